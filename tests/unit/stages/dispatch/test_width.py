"""How many are under way: narrower with trouble, wider with success, and what stored jobs get of it."""

import pytest
from fakes.desk import Desk
from fakes.timed_clock import settle

from edgeclient.core.dispatch_events import WidthNarrowed, WidthRestored
from edgeclient.core.errors import CallError, OutOfTime, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.v1.chat_pb2 import PRIORITY_LOW

SLOW_DOWN = Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=0.1)
DOWN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "HTTP 503")
SILENT = Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "silent")


@pytest.mark.parametrize(
    ("error", "width"),
    [
        (SLOW_DOWN, 20),
        (DOWN, 38),
        (SILENT, 38),
        (Rejected(Reason.ERROR_REASON_INVALID_REQUEST, "HTTP 400"), 40),
        (OutOfTime(Reason.ERROR_REASON_DEADLINE, "too late", possibly_billed=True), 40),
        (Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "broke off"), 40),
    ],
)
async def test_width_follows_what_may_come_from_too_many(error: CallError, width: int) -> None:
    desk = Desk(places=40)
    desk.upstream.errors = [error]
    await desk.asked("a")
    await desk.served()

    assert width == desk.stage.width


async def test_attempts_that_fail_together_narrow_it_once() -> None:
    desk = Desk(places=40)
    desk.upstream.errors = [SLOW_DOWN] * 40
    for _ in range(40):
        desk.ask()
    await settle()
    await desk.served(one_by_one=False)

    assert 20 == desk.stage.width
    (event,) = desk.told(WidthNarrowed)
    assert (40, 20, "UPSTREAM_RATE_LIMITED") == (event.before, event.after, event.reason)


async def test_width_is_kept_at_any_time_and_recovers_when_the_trouble_is_over() -> None:
    desk = Desk(places=8)
    desk.upstream.errors = [SLOW_DOWN] * 3
    for _ in range(3):
        await desk.asked(f"call {len(desk.tasks)}")
        await desk.clock.run(1.5)
        desk.upstream.finish()
        await desk.clock.run(1.5)
        assert len(desk.upstream.open) <= desk.stage.width
    assert desk.stage.width < 8

    desk.upstream.takes_s = 1.0
    for _ in range(300):
        desk.ask()
    desk.upstream.finish()
    await desk.clock.run(200.0)

    assert 8 == desk.stage.width
    assert 8 == desk.upstream.most
    assert 1 == len(desk.told(WidthRestored))


async def test_jobs_take_no_more_than_their_share() -> None:
    desk = Desk(places=10, background_share=0.5)
    await desk.asked(*(f"job-{number}" for number in range(8)), background=True)

    assert 5 == len(desk.upstream.open)
    assert {"background": 3, "low": 0, "normal": 0, "high": 0} == desk.stage.waiting()


async def test_live_call_finds_a_place_however_many_jobs_there_are() -> None:
    desk = Desk(places=10, background_share=0.5)
    await desk.asked(*(f"job-{number}" for number in range(100)), background=True)
    call = desk.ask("live")
    await settle()

    assert "live" in desk.upstream.open
    assert 0.0 == call.queued_s


async def test_jobs_leave_what_live_calls_needed_of_late() -> None:
    desk = Desk(places=10, background_share=1.0)
    await desk.asked(*(f"live-{number}" for number in range(8)))
    await desk.served()

    assert 2 == desk.stage.room_for_jobs()
    await desk.asked(*(f"job-{number}" for number in range(5)), background=True)
    assert 2 == len(desk.upstream.open)

    await desk.clock.run(90.0)
    assert 10 == desk.stage.room_for_jobs()


async def test_live_calls_that_go_on_waiting_go_on_being_needed_for() -> None:
    desk = Desk(places=4, background_share=1.0)
    desk.upstream.takes_s = 10.0
    for _ in range(60):
        desk.ask()
    await desk.clock.run(125.0)

    assert 1 == desk.stage.room_for_jobs()


async def test_no_more_jobs_are_asked_for_than_there_is_room_and_a_few_to_follow() -> None:
    desk = Desk(places=10, background_share=0.2)
    assert 2 == desk.stage.room_for_jobs()
    await desk.asked(*(f"live-{number}" for number in range(10)))
    await desk.asked(*(f"job-{number}" for number in range(4)), background=True)

    assert 1 == desk.stage.room_for_jobs()


async def test_jobs_never_starve_behind_live_calls() -> None:
    desk = Desk(places=1)
    desk.upstream.takes_s = 1.0
    await desk.asked("live")
    await desk.asked("job", background=True)
    for number in range(200):
        desk.ask(f"live-{number}", caller=f"caller-{number % 7}")
    await desk.clock.run(100.0)

    assert desk.upstream.order.index("job") <= 66


async def test_fresh_jobs_get_a_small_part_of_the_turns_beside_live_calls_of_low_priority() -> None:
    desk = Desk(places=1, ageing_s=1e6)
    await desk.asked("live")
    for number in range(60):
        desk.ask(f"job-{number}", background=True, caller="jobs")
        desk.ask(f"live-{number}", priority=PRIORITY_LOW, caller="device")
    order = (await desk.served())[:51]

    assert 3 == sum(name.startswith("job") for name in order)


async def test_job_that_has_waited_long_gets_its_turn_sooner() -> None:
    desk = Desk(places=1, ageing_s=5.0)
    desk.upstream.takes_s = 1.0
    await desk.asked("live")
    await desk.asked("job", background=True)
    for number in range(200):
        desk.ask(f"live-{number}")
    await desk.clock.run(40.0)

    assert desk.upstream.order.index("job") <= 16


async def test_no_more_are_under_way_than_the_peer_takes_and_it_may_change_its_mind() -> None:
    desk = Desk(places=40)
    desk.peer_limit = 3
    for _ in range(10):
        desk.ask()
    await settle()
    assert (3, 3) == (len(desk.upstream.open), desk.stage.width)

    desk.peer_limit = 1
    desk.upstream.finish()
    await settle()
    assert 1 == len(desk.upstream.open)
    desk.peer_limit = 100
    await desk.served()

    assert [] == desk.told(WidthNarrowed)


async def test_peer_that_takes_none_for_now_keeps_one_place() -> None:
    desk = Desk(places=40)
    desk.peer_limit = 0
    await desk.asked("a")

    assert 1 == desk.stage.width
    await desk.served()
