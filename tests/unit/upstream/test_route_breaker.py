"""Targets that fail rest, are probed, and one call tries whether they have recovered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import builders
import pytest
from fakes.targets import FakeTarget, Routed, says
from fakes.timed_clock import settle

from edgeclient.core.call import Call, Delta
from edgeclient.core.errors import Blocked, CallError, OutOfTime, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.core.route_events import Breaker, BreakerChanged
from edgeclient.policy.breaker import IN_A_ROW, LONGEST_REST_S


def down() -> CallError:
    return Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "it failed")


async def fail(routed: Routed, times: int = IN_A_ROW) -> None:
    """Make calls fail, one after the other."""
    for _ in range(times):
        routed.clock.advance(1.0)
        with pytest.raises(CallError):
            await routed.route(builders.call())


async def opened() -> tuple[FakeTarget, Routed]:
    """One target, which rests."""
    only = FakeTarget("a")
    only.always = down()
    routed = Routed(only)
    await fail(routed)
    only.asked.clear()
    assert Breaker.OPEN is routed.route.ways.all[0].breaker.state
    return only, routed


@asynccontextmanager
async def probing(routed: Routed) -> AsyncIterator[None]:
    task = asyncio.ensure_future(routed.route.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def rest(routed: Routed, duration_s: float = LONGEST_REST_S * 1.25) -> None:
    """Let a rest go by and the probe after it be made."""
    routed.clock.advance(duration_s)
    await settle()


def states(routed: Routed) -> list[tuple[str, str]]:
    return [(event.after.value, event.cause) for event in routed.events if isinstance(event, BreakerChanged)]


async def test_who_is_not_asked_is_told_at_once_and_when_to_come_back() -> None:
    only, routed = await opened()

    with pytest.raises(Unavailable, match=r"rests after failures, one will be tried in \d\.\d s") as caught:
        await routed.with_retry(builders.call())

    assert [] == only.asked
    assert ("UPSTREAM_UNAVAILABLE", False) == (caught.value.reason_name, caught.value.possibly_billed)
    assert caught.value.retry_after_s is not None
    assert 1.5 <= caught.value.retry_after_s <= 2.5
    (event,) = [event for event in routed.events if isinstance(event, BreakerChanged)]
    assert ("a", Breaker.CLOSED, Breaker.OPEN) == (event.target, event.before, event.after)
    assert caught.value.retry_after_s == pytest.approx(event.rest_s)


async def test_others_are_asked_meanwhile() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.always = down()
    routed = Routed(first, second)
    for _ in range(IN_A_ROW + 5):
        routed.clock.advance(1.0)
        assert "b" == (await routed.route(builders.call())).response.target

    assert IN_A_ROW == len(first.asked)


async def test_recovers_without_traffic() -> None:
    only, routed = await opened()
    only.always = None
    async with probing(routed):
        await rest(routed)

        assert [("open", "UPSTREAM_UNAVAILABLE"), ("half_open", "probe")] == states(routed)
        assert (1, []) == (only.probe_count, only.asked)
        assert "a" == (await routed.route(builders.call())).response.target

    assert ("closed", "trial") == states(routed)[-1]


async def test_recovers_with_traffic() -> None:
    only, routed = await opened()
    only.always = None
    async with probing(routed):
        told = 0
        for _ in range(100):
            routed.clock.advance(0.1)
            await settle()
            try:
                await routed.route(builders.call())
            except Unavailable:
                told += 1

    assert 15 <= told <= 25  # 2 s of rest, spread by a quarter
    assert 100 == told + len(only.asked)


async def test_a_lost_probe_is_no_call() -> None:
    only, routed = await opened()
    only.probes = [False, False]
    async with probing(routed):
        await rest(routed)
        await rest(routed)
        with pytest.raises(Unavailable, match="rests"):
            await routed.route(builders.call())
        await rest(routed)

    assert (3, []) == (only.probe_count, only.asked)
    assert Breaker.HALF_OPEN is routed.route.ways.all[0].breaker.state


async def test_exactly_one_of_a_thousand_tries() -> None:
    only, routed = await opened()
    async with probing(routed):
        await rest(routed)
    begun = asyncio.Event()
    ends = asyncio.Event()

    async def hang(_call: Call) -> None:
        begun.set()
        await ends.wait()

    only.always = hang
    tasks = [asyncio.ensure_future(routed.route(builders.call())) for _ in range(1000)]
    await begun.wait()
    await settle()

    assert 999 == sum(task.done() for task in tasks)
    assert 1 == len(only.asked)
    assert all(isinstance(task.exception(), Unavailable) for task in tasks if task.done())
    ends.set()
    await asyncio.wait(tasks)
    assert 1 == sum(task.exception() is None for task in tasks)
    only.always = None
    await asyncio.gather(*(routed.route(builders.call()) for _ in range(1000)))
    assert 1001 == len(only.asked)


async def test_a_trial_that_fails_is_one_call_and_a_longer_rest() -> None:
    only, routed = await opened()
    async with probing(routed):
        await rest(routed)
        with pytest.raises(Unavailable, match="it failed"):
            await routed.route(builders.call())
        with pytest.raises(Unavailable, match="rests"):
            await routed.route(builders.call())

    assert 1 == len(only.asked)
    rests = [event.rest_s for event in routed.events if isinstance(event, BreakerChanged) if event.rest_s]
    assert 2 == len(rests)
    assert rests[1] > rests[0]


async def test_a_trial_whose_caller_leaves_lets_another_try() -> None:
    only, routed = await opened()
    async with probing(routed):
        await rest(routed)
    begun = asyncio.Event()

    async def hang(_call: Call) -> None:
        begun.set()
        await asyncio.Event().wait()

    only.always = hang
    task = asyncio.ensure_future(routed.route(builders.call()))
    await begun.wait()
    with pytest.raises(Unavailable):
        await routed.route(builders.call())
    task.cancel()
    await asyncio.wait([task])

    only.always = None
    assert "a" == (await routed.route(builders.call())).response.target


async def test_the_first_piece_of_a_trial_is_enough() -> None:
    only, routed = await opened()
    async with probing(routed):
        await rest(routed)
    begun, ends = asyncio.Event(), asyncio.Event()

    async def slow(call: Call) -> None:
        await says("Yes")(call)
        begun.set()
        await ends.wait()

    async def emit(delta: Delta) -> None: ...

    only.script, only.always = [slow], None
    trial = asyncio.ensure_future(routed.route(builders.call(emit=emit)))
    await begun.wait()

    assert "a" == (await routed.route(builders.call())).response.target
    assert ("closed", "trial") == states(routed)[-1]
    ends.set()
    await trial


@pytest.mark.parametrize(
    "error",
    [
        Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down"),
        Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused"),
        Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "wrong key"),
        OutOfTime(Reason.ERROR_REASON_DEADLINE, "the caller's time is over"),
    ],
    ids=lambda error: str(error.reason_name),
)
async def test_what_does_not_count(error: CallError) -> None:
    only = FakeTarget("a")
    only.always = error
    routed = Routed(only)

    await fail(routed, times=40)

    assert Breaker.CLOSED is routed.route.ways.all[0].breaker.state


@pytest.mark.parametrize(
    "make",
    [
        down,
        lambda: Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"),
        lambda: Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"),
    ],
    ids=["down", "late", "cut"],
)
async def test_what_counts(make: Callable[[], CallError]) -> None:
    only = FakeTarget("a")
    only.always = make()
    routed = Routed(only)

    await fail(routed)

    assert Breaker.OPEN is routed.route.ways.all[0].breaker.state


def silence() -> CallError:
    error = OutOfTime(Reason.ERROR_REASON_DEADLINE, "the caller's time is over", possibly_billed=True)
    error.shows_silence = True
    return error


async def test_a_black_hole_opens_it_though_only_deadlines_end() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.always = silence()
    routed = Routed(first, second)

    await fail(routed)

    assert [("open", "DEADLINE")] == states(routed)
    assert "b" == (await routed.route(builders.call())).response.target


async def test_an_answer_in_between_shows_that_it_is_none() -> None:
    only = FakeTarget("a")
    routed = Routed(only)
    for _ in range(4):
        only.script = [silence()] * (IN_A_ROW - 1)
        await fail(routed, times=IN_A_ROW - 1)
        for _ in range(2 * IN_A_ROW):
            await routed.route(builders.call())

    assert [] == states(routed)


async def test_a_trial_that_finds_silence_is_a_longer_rest() -> None:
    only, routed = await opened()
    only.always = silence()
    async with probing(routed):
        await rest(routed)
        await fail(routed, times=1)

    assert ("open", "DEADLINE") == states(routed)[-1]


async def test_a_refusal_of_this_node_shows_nothing_of_the_target() -> None:
    only = FakeTarget("a")
    only.always = down()
    only.refuses_before = True
    routed = Routed(only)

    await fail(routed, times=40)

    assert Breaker.CLOSED is routed.route.ways.all[0].breaker.state


async def test_a_way_that_is_found_again_is_tried_at_once() -> None:
    only, routed = await opened()
    only.always = None
    changed = UplinkChanged(target="a", before=Uplink.OFFLINE, after=Uplink.DEGRADED, cause="probe")

    routed.route.uplink_changed(UplinkChanged(target="b", before=Uplink.OFFLINE, after=Uplink.ONLINE, cause="probe"))
    with pytest.raises(Unavailable):
        await routed.route(builders.call())
    routed.route.uplink_changed(changed)

    assert "a" == (await routed.route(builders.call())).response.target


async def test_a_probe_that_raises_is_a_lost_one() -> None:
    only, routed = await opened()

    async def raise_it() -> bool:
        only.probe_count += 1
        raise down()

    object.__setattr__(routed.route.ways.all[0].target, "probe", raise_it)
    async with probing(routed):
        await rest(routed)
        await rest(routed)

    assert 2 == only.probe_count
