"""Who is told that it is vain, when, and in which words; and that nobody who leaves keeps a place."""

import asyncio
import time
from typing import Any

import builders
import pytest
from fakes.desk import Desk
from fakes.timed_clock import settle
from upstream_end import RealClock

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import OutOfTime, Stopping, Throttled, Unavailable
from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.policy.quota import Demand, Spent
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.v1.chat_pb2 import PRIORITY_HIGH, PRIORITY_LOW


def uplink(before: Uplink, after: Uplink) -> UplinkChanged:
    return UplinkChanged(target="dashscope", before=before, after=after, cause="probe")


async def test_waiting_call_ends_at_its_deadline_whatever_happens() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "patient")
    call = desk.ask("hurried", within_s=3.0)
    await desk.clock.run(2.99)
    assert not desk.tasks["hurried"].done()
    await desk.clock.run(0.02)

    error = await desk.failure("hurried")
    assert isinstance(error, OutOfTime)
    assert "DEADLINE" == error.reason_name
    assert "nothing was sent" in error.message
    assert not error.possibly_billed
    assert (0, 0.0) == (call.attempt_count, call.upstream_s)
    assert 3.0 == pytest.approx(call.queued_s)
    assert "deadline" == desk.turned_away()["hurried"]
    assert ["patient"] == await desk.served()


async def test_deadline_is_kept_within_50_ms_by_the_clock_of_the_machine() -> None:
    clock = RealClock()
    stage = Dispatch(
        DispatchConfig(),
        target="dashscope",
        max_in_flight=1,
        reservations=Reservations(
            None,
            demand=lambda call: Demand(model="", caller=call.caller, tokens=0, cost_nanos=0),
            spent=lambda _call, _reply: Spent(tokens=0, cost_nanos=0),
        ),
        observe=lambda _event: None,
        clock=clock,
    )

    async def hang(_call: Call) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    blocking = asyncio.ensure_future(stage(builders.call(), hang))
    await asyncio.sleep(0)
    begun_s = time.monotonic()
    with pytest.raises(OutOfTime):
        await stage(builders.call(deadline=Deadline(begun_s + 0.1)), hang)
    late_s = time.monotonic() - begun_s - 0.1
    blocking.cancel()
    await asyncio.gather(blocking, return_exceptions=True)

    assert -0.002 <= late_s <= 0.05


async def test_deadline_that_others_put_off_is_kept_as_it_is_then() -> None:
    desk = Desk(places=1)
    await desk.asked("a")
    call = desk.ask("joined", within_s=1.0)
    await settle()
    call.deadline = Deadline.after(5.0, now_s=desk.clock.monotonic_s())
    await desk.clock.run(4.9)
    assert not desk.tasks["joined"].done()
    await desk.clock.run(0.2)

    assert isinstance(await desk.failure("joined"), OutOfTime)


async def test_full_line_refuses_at_once() -> None:
    desk = Desk(places=1, max_waiting=2)
    await desk.asked("a", "b", "c", "d")

    error = await desk.failure("d")
    assert isinstance(error, Throttled)
    assert "DISPATCH_FULL" == error.reason_name
    assert "2 calls wait" in error.message
    assert "nothing was sent" in error.message
    assert error.retry_after_s == 1.0  # nothing is known of the pace yet
    assert {"d": "full"} == desk.turned_away()


async def test_line_is_bounded_in_bytes_too() -> None:
    desk = Desk(places=1, max_waiting_bytes=1000)
    await desk.asked("a", "b", prompt="x" * 600)
    await desk.asked("c", prompt="x" * 600)

    assert "max_waiting_bytes" in (await desk.failure("c")).message


async def test_refusal_tells_the_wait_as_it_is() -> None:
    desk = Desk(places=1, max_waiting=5)
    desk.upstream.takes_s = 2.0
    for name in "abcdef":
        desk.ask(name, caller="one")
    await desk.clock.run(6.5)
    for name in "ghij":
        desk.ask(name, caller="one")
    error = await desk.failure("j")

    assert error.retry_after_s == pytest.approx(12.0, rel=0.25)
    assert f"about {error.retry_after_s:.1f} s" in error.message


async def test_wait_that_is_told_follows_the_present_pace() -> None:
    desk = Desk(places=1, max_waiting=30)
    desk.upstream.takes_s = 10.0
    for _ in range(31):
        desk.ask(caller="one")
    await desk.clock.run(9.0)
    desk.upstream.takes_s = 1.0
    await desk.clock.run(16.5)
    for _ in range(20):
        desk.ask(caller="one")
    desk.ask("last", caller="one")

    assert (await desk.failure("last")).retry_after_s == pytest.approx(30 * 25 / 16, rel=0.3)


async def test_call_whose_turn_would_come_too_late_is_refused_at_once() -> None:
    desk = Desk(places=1)
    desk.upstream.takes_s = 2.0
    for name in "abcdefgh":
        desk.ask(name, caller="one")
    await desk.clock.run(6.5)
    desk.ask("hurried", caller="one", within_s=5.0)
    desk.ask("patient", caller="one", within_s=30.0)
    desk.ask("other", caller="other", within_s=5.0)
    error = await desk.failure("hurried")

    assert isinstance(error, Throttled)
    assert "DISPATCH_FULL" == error.reason_name
    assert error.retry_after_s == pytest.approx(10.0, rel=0.25)
    assert "5.0 s left" in error.message
    assert {"hurried": "too_long"} == desk.turned_away()
    assert not desk.tasks["patient"].done()
    assert not desk.tasks["other"].done()  # callers take turns


async def test_lowest_and_youngest_gives_way_to_a_higher_priority() -> None:
    desk = Desk(places=1, max_waiting=3)
    await desk.asked("a")
    await desk.asked("job", background=True)
    await desk.asked("low-1", "low-2", priority=PRIORITY_LOW)
    await desk.asked("normal-1", "normal-2")
    await desk.asked("high", priority=PRIORITY_HIGH)
    await desk.asked("low-3", priority=PRIORITY_LOW)

    assert {"job": "shed", "low-2": "shed", "low-1": "shed", "low-3": "full"} == desk.turned_away()
    error = await desk.failure("low-1")
    assert "DISPATCH_FULL" == error.reason_name
    assert "higher priority" in error.message
    assert {"normal-1", "normal-2", "high"} == set(await desk.served())


async def test_cancelled_call_leaves_at_once() -> None:
    desk = Desk(places=1, max_waiting=1)
    await desk.asked("a", "b")
    desk.tasks["b"].cancel()
    await settle()
    assert desk.tasks["b"].cancelled()
    assert {"b": "left"} == desk.turned_away()

    await desk.asked("c")
    assert ["c"] == (await desk.served())
    assert desk.is_empty


@pytest.mark.parametrize("turns", range(5))
async def test_turn_that_comes_in_the_moment_of_leaving_is_passed_on(turns: int) -> None:
    defects: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: defects.append(context))
    desk = Desk(places=1)
    await desk.asked("a", "b", "c")
    desk.upstream.finish("a")
    for _ in range(turns):  # in one of them b's turn is decided on
        await asyncio.sleep(0)
    desk.tasks["b"].cancel()
    await settle()

    assert "c" in desk.upstream.order
    await desk.served()
    assert desk.is_empty
    assert [] == defects


async def test_who_does_not_wait_any_more_has_no_timer() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "b", "c", within_s=50.0)
    assert 2 == desk.clock.timer_count
    desk.tasks["c"].cancel()
    desk.upstream.finish("a")
    await settle()

    assert 0 == desk.clock.timer_count


async def test_who_leaves_in_the_moment_of_being_turned_away_leaves_nothing_behind() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "b")
    desk.tasks["b"].cancel()
    desk.stage.stop()
    await settle()

    assert desk.tasks["b"].cancelled()
    await desk.served()
    assert desk.is_empty


async def test_stop_ends_all_waits_and_lets_others_finish() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "b")
    await desk.asked("job", background=True)
    desk.stage.stop()
    await desk.asked("late")

    for name in ("b", "job", "late"):
        error = await desk.failure(name)
        assert isinstance(error, Stopping)
        assert "SHUTTING_DOWN" == error.reason_name
        assert error.retry_after_s == 1.0
    assert ["a"] == desk.upstream.open
    await desk.served()
    await desk.asked("still")
    assert ["still"] == desk.upstream.open


async def test_those_who_wait_end_when_the_way_is_lost() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "b")
    desk.stage.uplink_changed(uplink(Uplink.DEGRADED, Uplink.OFFLINE))

    error = await desk.failure("b")
    assert isinstance(error, Unavailable)
    assert "UPLINK_OFFLINE" == error.reason_name
    assert {"b": "offline"} == desk.turned_away()


async def test_outage_of_another_target_concerns_nobody_here() -> None:
    desk = Desk(places=1)
    await desk.asked("a", "b")
    desk.stage.uplink_changed(UplinkChanged(target="other", before=Uplink.ONLINE, after=Uplink.OFFLINE, cause="probe"))
    await settle()

    assert not desk.tasks["b"].done()


async def test_after_an_outage_it_begins_small() -> None:
    desk = Desk(places=100)
    desk.stage.uplink_changed(uplink(Uplink.ONLINE, Uplink.DEGRADED))
    assert 100 == desk.stage.width

    desk.stage.uplink_changed(uplink(Uplink.OFFLINE, Uplink.DEGRADED))
    await desk.asked(*(f"a{number}" for number in range(50)))

    assert 8 == len(desk.upstream.open)
    await desk.served(one_by_one=False)
    assert 26 == desk.upstream.most  # 8, 16, 26 of 50
