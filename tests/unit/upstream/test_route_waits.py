"""Where a call goes that finds no room, and how long it waits where every target has asked for a pause."""

import asyncio

import builders
import pytest
from fakes.targets import FakeTarget, Routed
from fakes.timed_clock import settle

from edgeclient.config.route_schema import RouteConfig
from edgeclient.core.call import Call
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import Blocked, CallError, Reason, Throttled, Unavailable
from edgeclient.core.events import RetryScheduled
from edgeclient.policy.lane_pauses import LONGEST_PAUSE_S
from edgeclient.policy.retry_budget import FLOOR
from edgeclient.runtime import SystemClock

FALL_BACK = RouteConfig(fallback_models={"qwen-plus": "qwen-flash"})
GUARD_S = 20.0


class SlowClock(SystemClock):
    """A clock that runs on with every look at it.

    Attributes:
        step_s: By how much.
    """

    def __init__(self) -> None:
        self.step_s = 0.0
        self._now_s = 1000.0

    def monotonic_s(self) -> float:
        self._now_s += self.step_s
        return self._now_s - self.step_s


def told(retry_after_s: float) -> CallError:
    """A 429 with a Retry-After."""
    return Throttled(
        Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=retry_after_s, retry_after_told=True
    )


def guessed(retry_after_s: float) -> CallError:
    """A 429 without one."""
    return Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=retry_after_s)


def down(retry_after_s: float = 1.0) -> CallError:
    return Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "it failed", retry_after_s=retry_after_s)


def bad_key() -> CallError:
    return Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "wrong key")


def within(duration_s: float, routed: Routed) -> Call:
    return builders.call(deadline=Deadline.after(duration_s, now_s=routed.clock.monotonic_s()))


async def pauses(routed: Routed, call: Call) -> float:
    """How long a call waits; it is not waited for."""
    before = len(routed.events)
    task = asyncio.ensure_future(routed.with_retry(call))
    await settle()
    assert not task.done(), task.exception()
    task.cancel()
    await asyncio.wait([task])
    (event,) = [event for event in routed.events[before:] if isinstance(event, RetryScheduled)]
    return event.delay_s


# -- room


async def test_a_call_goes_where_there_is_room() -> None:
    first, second, third = FakeTarget("a"), FakeTarget("b", tier=1), FakeTarget("c", tier=2)
    first.waits_s = 40.0
    routed = Routed(first, second, third)

    assert "b" == (await routed.route(builders.call())).response.target
    first.waits_s = 0.0
    assert "a" == (await routed.route(builders.call())).response.target


async def test_where_there_is_none_it_waits_for_the_shortest_time() -> None:
    first, second, third = FakeTarget("a"), FakeTarget("b", tier=1), FakeTarget("c", tier=2)
    first.waits_s, second.waits_s, third.waits_s = 40.0, 0.5, 0.5
    routed = Routed(first, second, third)

    assert "b" == (await routed.route(builders.call())).response.target


async def test_own_limits_are_known_better_than_what_a_throttle_may_mean() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.script = [guessed(30.0)]
    routed = Routed(first, second)
    await routed.route(builders.call())

    second.waits_s = 0.5

    assert "b" == (await routed.route(builders.call())).response.target


async def test_a_call_that_has_to_wait_waits_for_the_model_that_it_asked() -> None:
    only, other = FakeTarget("a"), FakeTarget("b", tier=1)
    only.waits_s = other.waits_s = 1.0

    assert "qwen-plus" == (await Routed(only, other, config=FALL_BACK).route(builders.call())).response.model


async def test_each_model_has_a_room_of_its_own() -> None:
    asked: list[str] = []
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)

    def wait_s(call: Call, _now_s: float) -> float:
        assert call.model is not None
        asked.append(call.model.id)
        return 0.0

    object.__setattr__(first.target, "wait_s", wait_s)
    first.script, second.script = [guessed(30.0)], [guessed(30.0)]
    call = builders.call()

    reply = await Routed(first, second, config=FALL_BACK).route(call)

    assert ("qwen-flash", "a") == (reply.response.model, reply.response.target)
    assert {"qwen-plus", "qwen-flash"} == set(asked)


async def test_who_has_no_choice_does_not_look() -> None:
    only = FakeTarget("a")

    def defect(_call: Call, _now_s: float) -> float:
        raise AssertionError("nobody needs to know")

    object.__setattr__(only.target, "wait_s", defect)

    assert "a" == (await Routed(only).route(builders.call())).response.target


async def test_a_conversation_goes_on_where_it_is() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    second.waits_s = -1.0
    routed = Routed(first, second)
    call = builders.call(request=builders.chat_request(conversation_id="talk"))

    assert "b" == (await routed.route(call)).response.target


# -- pauses


async def test_a_target_that_has_told_when_to_come_back_is_asked_by_nobody_before() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.script = [told(30.0)]
    second.always = down()
    routed = Routed(first, second)
    for _ in range(3):
        with pytest.raises(CallError):
            await routed.route(builders.call())
    assert 1 == len(first.asked)

    routed.clock.advance(30.0)
    await routed.route(builders.call())

    assert 2 == len(first.asked)


async def test_who_has_the_time_waits_for_the_pause_of_another_call() -> None:
    only = FakeTarget("a")
    only.script = [told(30.0)]
    routed = Routed(only)
    with pytest.raises(Throttled):
        await routed.route(builders.call())
    routed.clock.advance(10.0)

    assert 20.0 == await pauses(routed, within(25.0, routed))
    assert 1 == len(only.asked)


async def test_who_has_not_is_told_at_once_and_how_long_it_lasts() -> None:
    only = FakeTarget("a")
    only.script = [told(30.0)]
    routed = Routed(only)
    with pytest.raises(Throttled):
        await routed.route(builders.call())
    routed.clock.advance(10.0)
    call = within(15.0, routed)

    with pytest.raises(
        Throttled, match=r"asked for less traffic, one may be asked in 20\.0 s; nothing was sent"
    ) as caught:
        await routed.with_retry(call)

    assert ("UPSTREAM_RATE_LIMITED", 20.0) == (caught.value.reason_name, caught.value.retry_after_s)
    assert not caught.value.possibly_billed
    assert (0, 1) == (call.attempt_count, len(only.asked))


async def test_a_call_that_has_waited_is_answered() -> None:
    only = FakeTarget("a")
    only.script = [told(0.05)]
    routed = Routed(only, clock=SystemClock())
    with pytest.raises(Throttled):
        await routed.route(builders.call())

    async with asyncio.timeout(GUARD_S):
        replies = await asyncio.gather(*(routed.with_retry(builders.call()) for _ in range(20)))

    assert [1] * 20 == [reply.response.attempt_count for reply in replies]
    assert 21 == len(only.asked)


async def test_a_pause_that_ends_while_the_round_is_over_is_told_as_a_pause() -> None:
    only, clock = FakeTarget("a"), SlowClock()
    only.script = [told(5.0)]
    routed = Routed(only, clock=clock)
    with pytest.raises(Throttled):
        await routed.route(builders.call())
    clock.step_s = 6.0  # with every look at it: the first one sees the pause, any later one its end

    with pytest.raises(Throttled, match="nothing was sent"):
        await routed.route(builders.call())


async def test_waiting_uses_up_neither_attempts_nor_repeats() -> None:
    only = FakeTarget("a")
    only.always = told(0.02)
    routed = Routed(only, clock=SystemClock())
    with pytest.raises(Throttled):
        await routed.route(builders.call())
    only.script = [None] * (2 * FLOOR)

    async with asyncio.timeout(GUARD_S):
        for _ in range(2 * FLOOR):
            assert 1 == (await routed.with_retry(builders.call())).response.attempt_count

    assert routed.budget.take(0.0)


async def test_the_shortest_pause_of_all_targets_is_waited_for() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.script, second.script = [told(30.0)], [told(12.0)]
    routed = Routed(first, second)

    assert 12.0 == await pauses(routed, builders.call())
    assert ["a/qwen-plus", "b/qwen-plus"] == routed.asked


async def test_what_is_known_of_others_counts_with_what_was_tried() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.script = [told(20.0)]
    routed = Routed(first, second)
    await routed.route(builders.call())
    second.script = [told(50.0)]

    assert 20.0 == await pauses(routed, builders.call())
    assert ["a/qwen-plus", "b/qwen-plus", "b/qwen-plus"] == routed.asked


async def test_a_refusal_of_one_target_does_not_end_a_call_that_may_wait_for_another() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    first.script = [told(20.0)]
    routed = Routed(first, second)
    await routed.route(builders.call())
    second.script = [bad_key()]

    assert 20.0 == await pauses(routed, builders.call())


async def test_a_target_that_rests_may_be_back_sooner_than_one_that_pauses() -> None:
    first, second = FakeTarget("a"), FakeTarget("b", tier=1)
    second.always = down()
    routed = Routed(first, second)
    first.script = [told(0.0) for _ in range(5)]
    for _ in range(5):
        routed.clock.advance(1.0)
        with pytest.raises(CallError):
            await routed.route(builders.call())
    first.script = [told(30.0)]
    with pytest.raises(CallError):
        await routed.route(builders.call())

    assert 1.4 < await pauses(routed, builders.call()) < 2.6


async def test_a_long_pause_is_tried_once_a_minute() -> None:
    only = FakeTarget("a")
    only.script = [told(3600.0), told(3540.0)]
    routed = Routed(only)
    with pytest.raises(Throttled):
        await routed.with_retry(within(30.0, routed))
    routed.clock.advance(LONGEST_PAUSE_S)

    for _ in range(5):
        with pytest.raises(Throttled):
            await routed.with_retry(within(30.0, routed))

    assert 2 == len(only.asked)


async def test_a_stand_in_answers_during_a_pause() -> None:
    only = FakeTarget("a")
    only.script = [told(30.0)]
    routed = Routed(only, config=FALL_BACK)
    await routed.route(builders.call())

    assert "qwen-flash" == (await routed.route(builders.call())).response.model
    assert ["qwen-plus", "qwen-flash", "qwen-flash"] == only.asked


async def test_a_job_is_told_how_long_the_pause_is() -> None:
    only = FakeTarget("a")
    only.script = [told(30.0)]
    routed = Routed(only)
    with pytest.raises(Throttled):
        await routed.route(builders.call())

    with pytest.raises(Throttled) as caught:
        await routed.route(builders.call(background=True))

    assert 30.0 == caught.value.retry_after_s
    assert 1 == len(only.asked)


async def test_a_target_on_this_site_has_no_say_in_the_pauses() -> None:
    cloud, here = FakeTarget("a"), FakeTarget("here", local=True)
    cloud.script = [told(30.0)]
    routed = Routed(cloud, here)
    with pytest.raises(Throttled):
        await routed.route(builders.call())

    assert 30.0 == await pauses(routed, builders.call())
    assert [] == here.asked


async def test_a_pause_is_that_of_its_account_and_model() -> None:
    first, same, other = FakeTarget("a", account="x"), FakeTarget("b", account="x", tier=1), FakeTarget("c", tier=2)
    first.script = [told(30.0)]
    routed = Routed(first, same, other)
    await routed.route(builders.call())

    assert "c" == (await routed.route(builders.call())).response.target
    assert "a" == (await routed.route(builders.call(model=builders.model(id="qwen-max")))).response.target
    assert [] == same.asked
