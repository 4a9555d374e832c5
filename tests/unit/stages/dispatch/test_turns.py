"""Who begins, who waits, in which order."""

import asyncio
from typing import Any

import pytest
from fakes.desk import Desk
from fakes.timed_clock import settle

from edgeclient.core.dispatch_events import CallReleased, GroupReleased
from edgeclient.core.errors import Reason, Unavailable
from edgeclient.v1.chat_pb2 import PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NORMAL


async def test_call_begins_at_once_where_nobody_waits_and_sets_no_timer() -> None:
    desk = Desk(places=1)
    call = desk.ask("a", within_s=5)
    await asyncio.sleep(0)

    assert ["a"] == desk.upstream.open
    assert 0 == desk.clock.timer_count
    assert 0.0 == call.queued_s
    assert [0.0] == [event.wait_s for event in desk.told(CallReleased)]


async def test_no_more_are_under_way_than_there_are_places() -> None:
    desk = Desk(places=3)
    await desk.asked(*"abcdefgh")
    await desk.served()

    assert 3 == desk.upstream.most
    assert list("abcdefgh") == desk.upstream.order
    assert desk.is_empty


async def test_waiting_is_measured_and_told() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "b")
    await desk.clock.run(2.5)
    desk.upstream.finish("a")
    await settle()

    assert [0.0, 2.5] == [event.wait_s for event in desk.told(CallReleased)]
    assert ["normal", "normal"] == [event.priority for event in desk.told(CallReleased)]


async def test_reply_is_that_of_the_attempt() -> None:
    desk = Desk(places=1)
    desk.upstream.takes_s = 1.0
    await desk.asked("a")
    await desk.clock.run(1.0)
    await settle()

    assert 7 == desk.tasks["a"].result().response.usage.total_tokens


async def test_higher_priorities_get_more_turns_and_none_starves() -> None:
    desk = Desk(places=1)
    await desk.asked("first")
    for turn in range(20):
        for letter, priority in (("l", PRIORITY_LOW), ("n", PRIORITY_NORMAL), ("h", PRIORITY_HIGH)):
            await desk.asked(f"{letter}{turn}", caller=f"{letter}{turn}", priority=priority)
    order = await desk.served()

    first = "".join(name[0] for name in order[:13])
    assert (8, 4, 1) == tuple(first.count(letter) for letter in "hnl")


async def test_callers_take_turns() -> None:
    desk = Desk(places=1)
    await desk.asked("first")
    await desk.asked(*(f"chatty-{number}" for number in range(50)), caller="chatty")
    await desk.asked(*(f"quiet-{number}" for number in range(3)), caller="quiet")
    order = await desk.served()

    assert ["chatty-0", "quiet-0", "chatty-1", "quiet-1", "chatty-2", "quiet-2", "chatty-3"] == order[:7]


async def test_conversation_has_one_call_under_way_in_order_of_arrival() -> None:
    desk = Desk(places=10)
    await desk.asked("a1", "a2", "a3", conversation_id="a")
    await desk.asked("b1", conversation_id="b")
    await desk.asked("c1", conversation_id="a", caller="other")
    assert ["a1", "b1", "c1"] == desk.upstream.open

    desk.upstream.finish("a1")
    await settle()
    assert ["b1", "c1", "a2"] == desk.upstream.open
    await desk.served()

    assert ["a1", "b1", "c1", "a2", "a3"] == desk.upstream.order
    assert desk.is_empty


async def test_conversation_goes_on_when_one_of_its_calls_leaves() -> None:
    desk = Desk(places=10)
    await desk.asked("a1", "a2", "a3", conversation_id="a")
    desk.tasks["a2"].cancel()
    desk.tasks["a1"].cancel()
    await settle()

    assert ["a3"] == desk.upstream.open


async def test_conversation_is_one_for_jobs_and_live_calls() -> None:
    desk = Desk(places=10)
    await desk.asked("job", conversation_id="a", background=True)
    await desk.asked("live", conversation_id="a")

    assert ["job"] == desk.upstream.open


async def test_repeated_attempt_keeps_its_place_in_the_order_of_arrival() -> None:
    desk = Desk(places=1)
    early = desk.ask("early")
    await desk.asked("b", "c", "d")
    desk.upstream.errors.append(Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down"))
    desk.upstream.finish("early")
    await settle()

    desk.again(early)
    await settle()

    assert ["early", "c", "d"] == await desk.served()


async def test_what_waits_together_is_released_together() -> None:
    desk = Desk(places=8)
    await desk.asked(*(f"a{number}" for number in range(8)))
    await desk.asked(*(f"b{number}" for number in range(8)))
    desk.upstream.finish()
    await settle()

    assert [1] * 8 + [8] == [event.call_count for event in desk.told(GroupReleased)]
    assert 8 == len(desk.upstream.open)


async def test_calls_that_come_in_one_turn_of_the_loop_are_one_group() -> None:
    desk = Desk(places=8)
    for _ in range(5):
        desk.ask()
    await settle()

    assert [5] == [event.call_count for event in desk.told(GroupReleased)]


@pytest.mark.parametrize(
    ("limits", "groups"), [({"max_group_count": 3}, [3, 3, 2]), ({"max_group_bytes": 300}, [2, 2, 2, 2])]
)
async def test_group_is_no_larger_than_its_limits(limits: dict[str, Any], groups: list[int]) -> None:
    desk = Desk(places=8, **limits)
    for _ in range(8):
        desk.ask(prompt="x" * 120)
    await settle()

    assert groups == [event.call_count for event in desk.told(GroupReleased)]
    assert all(event.size_bytes <= 366 for event in desk.told(GroupReleased))


async def test_request_larger_than_a_group_goes_alone() -> None:
    desk = Desk(places=8, max_group_bytes=100)
    for size in (10, 5000, 10):
        desk.ask(prompt="x" * size)
    await settle()

    assert [1, 1, 1] == [event.call_count for event in desk.told(GroupReleased)]


async def test_calls_of_a_group_end_each_by_itself() -> None:
    desk = Desk(places=2)
    await desk.asked("a", "b", "c", "d")
    desk.upstream.finish("a", "b")
    await settle()
    desk.upstream.finish("d")
    await settle()

    assert desk.tasks["d"].done()
    assert not desk.tasks["c"].done()


async def test_low_priority_waits_for_company_and_goes_when_it_comes() -> None:
    desk = Desk(places=8, max_queue_delay_s=2.0)
    await desk.asked("low-1", "low-2", priority=PRIORITY_LOW)
    assert [] == desk.upstream.open

    await desk.asked("normal", priority=PRIORITY_NORMAL)

    assert ["normal", "low-1", "low-2"] == desk.upstream.order
    assert 3 == desk.told(GroupReleased)[-1].call_count


async def test_who_finds_no_company_goes_alone_after_the_delay() -> None:
    desk = Desk(places=8, max_queue_delay_s=2.0)
    await desk.asked("low", priority=PRIORITY_LOW)
    await desk.asked("job", background=True)
    await desk.clock.run(1.99)
    assert [] == desk.upstream.open

    await desk.clock.run(0.02)

    assert ["low", "job"] == desk.upstream.open


async def test_full_group_waits_no_longer() -> None:
    desk = Desk(places=8, max_queue_delay_s=60.0, max_group_count=3)
    await desk.asked("a", "b", "c", "d", priority=PRIORITY_LOW)

    assert ["a", "b", "c"] == desk.upstream.open


async def test_who_has_left_does_not_fill_the_group() -> None:
    desk = Desk(places=8, max_queue_delay_s=60.0, max_group_count=3)
    await desk.asked("a", "b", priority=PRIORITY_LOW)
    desk.tasks["a"].cancel()
    await settle()
    await desk.asked("c", priority=PRIORITY_LOW)

    assert [] == desk.upstream.order


async def test_group_that_is_full_by_its_bytes_waits_no_longer() -> None:
    desk = Desk(places=8, max_queue_delay_s=60.0, max_group_bytes=600)
    await desk.asked("a", "b", priority=PRIORITY_LOW, prompt="x" * 400)

    assert ["a", "b"] == desk.upstream.order


async def test_who_has_not_the_time_or_is_part_of_a_conversation_does_not_wait_for_company() -> None:
    desk = Desk(places=8, max_queue_delay_s=2.0)
    await desk.asked("hurried", priority=PRIORITY_LOW, within_s=3)
    await desk.asked("talking", priority=PRIORITY_LOW, conversation_id="c")

    assert ["hurried", "talking"] == desk.upstream.open


async def test_who_waits_for_company_may_leave() -> None:
    desk = Desk(places=8, max_queue_delay_s=2.0)
    await desk.asked("a", "b", priority=PRIORITY_LOW)
    desk.tasks["a"].cancel()
    await settle()
    await desk.clock.run(3.0)

    assert ["b"] == desk.upstream.order
    await desk.served()
    assert desk.is_empty
