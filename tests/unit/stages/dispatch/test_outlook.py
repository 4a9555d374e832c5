"""How long a call would wait for its turn, as the route wants to know, and who is sent away to ask elsewhere."""

from math import inf

import builders
import pytest
from fakes.desk import Desk
from fakes.timed_clock import TimedClock, settle

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.core.call import Call
from edgeclient.core.errors import Reason, Throttled
from edgeclient.policy.quota import Quota
from edgeclient.v1.chat_pb2 import PRIORITY_LOW

ONE_A_SECOND = LimitConfig(model="qwen-plus", requests_per_second=1)
TEN_A_MINUTE = LimitConfig(model="qwen-plus", requests_per_minute=10, requests_per_second=10)


def desk(*limits: LimitConfig, callers: tuple[CallerConfig, ...] = (), places: int = 100, **over: object) -> Desk:
    def quota(clock: TimedClock) -> Quota:
        return Quota(limits=limits, callers=callers, now_s=clock.monotonic_s(), wall_s=clock.wall_s())

    return Desk(quota=quota, places=places, **over)


def newcomer(*, model: str = "qwen-plus", background: bool = False, **request: object) -> Call:
    return builders.call(
        id="newcomer",
        background=background,
        model=builders.model(id=model),
        request=builders.chat_request(**request),
    )


def waits_s(the: Desk, call: Call) -> float:
    return the.stage.wait_s(call, the.clock.monotonic_s())


def limited(retry_after_s: float, *, told: bool) -> Throttled:
    return Throttled(
        Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "less", retry_after_s=retry_after_s, retry_after_told=told
    )


async def test_who_can_begin_at_once_does_not_wait() -> None:
    the = desk(ONE_A_SECOND, places=1)

    assert 0.0 == waits_s(the, newcomer())
    assert 0.0 == waits_s(the, newcomer(background=True))


async def test_looking_takes_nothing() -> None:
    the = desk(ONE_A_SECOND, places=1)
    for _ in range(10):
        waits_s(the, newcomer())
    assert the.quota is not None
    assert inf == the.quota.next_s(the.clock.monotonic_s())

    await the.asked("a")

    assert ["a"] == the.upstream.order


async def test_who_finds_the_limits_used_up_waits_as_long_as_they_want() -> None:
    the = desk(TEN_A_MINUTE)
    await the.asked(*(f"a{number}" for number in range(10)))
    await the.served()

    assert waits_s(the, newcomer()) == pytest.approx(60.6, abs=3.0)
    assert 0.0 == waits_s(the, newcomer(model="qwen-flash"))
    await the.clock.run(30.0)
    assert waits_s(the, newcomer()) == pytest.approx(30.6, abs=3.0)


async def test_what_no_limit_ever_permits_waits_for_ever() -> None:
    the = desk(LimitConfig(model="qwen-plus", tokens_per_minute=1000))
    the.tokens["newcomer"] = 5000

    assert inf == waits_s(the, newcomer())


async def test_a_callers_own_limit_is_no_reason_to_go_elsewhere() -> None:
    the = desk(callers=(CallerConfig(name="device-7", requests_per_minute=1),))
    await the.asked("a")

    assert 0.0 == waits_s(the, newcomer())


async def test_where_all_places_are_taken_the_longer_line_takes_longer() -> None:
    the = desk(places=2)
    await the.asked("a", "b")
    first_s = waits_s(the, newcomer())
    await the.asked("c", "d")

    assert 0.0 < first_s < waits_s(the, newcomer())


async def test_each_of_those_who_wait_for_the_limits_takes_as_much_of_them() -> None:
    the = desk(ONE_A_SECOND)
    await the.asked("a")
    alone_s = waits_s(the, newcomer())
    await the.asked("b", "c")

    assert waits_s(the, newcomer()) == pytest.approx(3 * alone_s, rel=0.05)
    await the.clock.run(3.5)
    assert ["a", "b", "c"] == the.upstream.order


async def test_pace_that_was_seen_is_what_is_told() -> None:
    the = desk(places=1)
    the.upstream.takes_s = 4.0
    for number in range(6):
        the.ask(f"a{number}")
    await the.clock.run(12.5)

    assert waits_s(the, newcomer()) == pytest.approx(4.0 * 3, rel=0.3)


async def test_who_waits_for_company_is_in_nobodys_way() -> None:
    the = desk(max_queue_delay_s=5.0)
    await the.asked("a", priority=PRIORITY_LOW)
    assert [] == the.upstream.order

    assert 0.0 == waits_s(the, newcomer())
    assert 0.0 == waits_s(the, newcomer(priority=PRIORITY_LOW))


async def test_jobs_that_wait_are_not_in_the_way_of_a_live_call() -> None:
    the = desk(places=10, background_share=0.1)
    await the.asked("a", "b", background=True)
    assert ["a"] == the.upstream.order

    assert 0.0 == waits_s(the, newcomer())
    assert waits_s(the, newcomer(background=True)) > 0.0


async def test_conversation_goes_on_where_it_is() -> None:
    the = desk(ONE_A_SECOND)
    await the.asked("a", conversation_id="talk")

    assert waits_s(the, newcomer(conversation_id="talk")) < 0.0
    assert waits_s(the, newcomer(conversation_id="other")) > 0.0
    await the.served()
    assert waits_s(the, newcomer(conversation_id="talk")) > 0.0


async def test_model_that_the_provider_wants_less_of_waits_a_moment() -> None:
    the = desk()
    the.upstream.errors = [limited(30.0, told=False)]
    await the.asked("a")
    await the.served()

    assert waits_s(the, newcomer()) == pytest.approx(1.0)
    assert 0.0 == waits_s(the, newcomer(model="qwen-flash"))


async def test_nobody_waits_here_for_a_pause_that_the_provider_has_told() -> None:
    the = desk(places=1)
    await the.asked("a", "b", "c")
    await the.asked("other", model="qwen-flash")
    the.upstream.errors = [limited(30.0, told=True)]
    the.upstream.finish("a")

    error = await the.failure("b")

    assert ("UPSTREAM_RATE_LIMITED", 30.0) == (error.reason_name, error.retry_after_s)
    assert error.retry_after_told
    assert "30.0 s" in error.message
    assert {"b": "paused", "c": "paused"} == the.turned_away()
    await settle()
    assert ["a", "other"] == the.upstream.order


async def test_who_waits_stays_if_the_pause_is_a_guess() -> None:
    the = desk(places=1)
    await the.asked("a", "b")
    the.upstream.errors = [limited(30.0, told=False)]
    the.upstream.finish("a")
    await settle()

    assert {} == the.turned_away()
    await the.clock.run(1.1)
    assert ["a", "b"] == the.upstream.order
