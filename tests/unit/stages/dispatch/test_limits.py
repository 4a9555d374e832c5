"""What is short makes a call wait or ends it, and what was reserved is settled by what was used."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fakes.desk import Desk
from fakes.timed_clock import TimedClock, settle

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.core.errors import Blocked, CallError, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.policy.quota import Demand, Quota, Reservation, Spent
from edgeclient.v1.chat_pb2 import PRIORITY_HIGH, PRIORITY_LOW

SECOND = 1.15  # and what a window is late by


class Book(Quota):
    """The limits, and what was told to them."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.told: list[tuple[str, Spent | None]] = []
        self.reserved = 0

    def reserve(self, demand: Demand, *, now_s: float) -> Any:
        outcome = super().reserve(demand, now_s=now_s)
        self.reserved += isinstance(outcome, Reservation)
        return outcome

    def settle(self, reservation: Reservation, spent: Spent | None, *, now_s: float) -> None:
        self.told.append(("settled", spent))
        super().settle(reservation, spent, now_s=now_s)

    def refund(self, reservation: Reservation, *, now_s: float) -> None:
        self.told.append(("refunded", None))
        super().refund(reservation, now_s=now_s)


def quota(*rows: LimitConfig | CallerConfig) -> Callable[[TimedClock], Book]:
    def made(clock: TimedClock) -> Book:
        return Book(
            limits=[row for row in rows if isinstance(row, LimitConfig)],
            callers=[row for row in rows if isinstance(row, CallerConfig)],
            now_s=clock.monotonic_s(),
            wall_s=clock.wall_s(),
        )

    return made


def desk(*rows: LimitConfig | CallerConfig, **over: Any) -> Desk:
    return Desk(quota=quota(*rows), **({"places": 100} | over))


ONE_A_SECOND = LimitConfig(model="qwen-plus", requests_per_second=1)


async def test_short_of_the_account_a_call_waits_and_is_woken_in_time() -> None:
    the = desk(ONE_A_SECOND)
    await the.asked("a", "b", "c")
    assert ["a"] == the.upstream.order

    await the.clock.run(SECOND)
    assert ["a", "b"] == the.upstream.order
    await the.clock.run(SECOND)

    assert ["a", "b", "c"] == the.upstream.order
    await the.served()
    assert the.is_empty


async def test_other_models_are_not_held_up() -> None:
    the = desk(ONE_A_SECOND)
    await the.asked("a", "b", "c", model="qwen-plus")
    await the.asked("d", "e", model="qwen-flash")

    assert ["a", "d", "e"] == the.upstream.order


async def test_end_of_an_attempt_frees_what_it_held() -> None:
    the = desk(LimitConfig(model="qwen-plus", max_in_flight=1))
    await the.asked("a", "b", "c")

    assert ["a"] == the.upstream.open
    assert ["b", "c"] == await the.served()


async def test_higher_priority_asks_for_itself_where_a_large_call_waits() -> None:
    the = desk(LimitConfig(model="qwen-plus", tokens_per_minute=1000, tokens_per_second=1000))
    await the.asked("used", tokens=600)
    await the.asked("large", tokens=900, priority=PRIORITY_LOW)
    await the.asked("small", tokens=10, priority=PRIORITY_LOW)
    await the.asked("urgent", tokens=10, priority=PRIORITY_HIGH)

    assert ["used", "urgent"] == the.upstream.order


async def test_those_behind_a_large_call_ask_again_when_it_leaves() -> None:
    the = desk(LimitConfig(model="qwen-plus", tokens_per_minute=1000, tokens_per_second=1000))
    await the.asked("used", tokens=600)
    await the.asked("large", tokens=900)
    await the.asked("small", tokens=10)
    the.tasks["large"].cancel()
    await settle()

    assert ["used", "small"] == the.upstream.order


async def test_large_call_that_has_aged_is_not_passed_over_any_more() -> None:
    the = desk(LimitConfig(model="qwen-plus", tokens_per_minute=1000, tokens_per_second=1000), ageing_s=5.0)
    await the.asked("used", tokens=600)
    await the.asked("large", tokens=900, priority=PRIORITY_LOW)
    await the.clock.run(7.0)
    await the.asked("urgent", tokens=200, priority=PRIORITY_HIGH)

    assert ["used"] == the.upstream.order
    assert {"large", "urgent"} == set(await the.served())


@pytest.mark.parametrize("background", [False, True])
async def test_short_of_its_callers_own_limit_a_call_is_refused_at_once(*, background: bool) -> None:
    the = desk(CallerConfig(name="greedy", requests_per_minute=2))
    await the.asked("a", "b", caller="greedy")
    await the.asked("c", caller="greedy", background=background)
    await the.asked("d", caller="modest")

    error = await the.failure("c")
    assert isinstance(error, Throttled)
    assert "RATE_LIMITED" == error.reason_name
    assert error.retry_after_s == pytest.approx(63.0, rel=0.05)
    assert "callers[0].requests_per_minute" in error.message
    assert {"c": "caller_limit"} == the.turned_away()
    assert ["a", "b", "d"] == the.upstream.order


async def test_callers_limit_is_told_at_once_even_where_there_is_no_place() -> None:
    the = desk(CallerConfig(name="greedy", max_in_flight=1), places=1)
    await the.asked("a", "b", caller="greedy")

    assert "callers[0].max_in_flight" in (await the.failure("b")).message


async def test_callers_limit_that_is_reached_while_a_call_waits_ends_the_wait() -> None:
    the = desk(CallerConfig(name="greedy", requests_per_minute=2), places=1)
    await the.asked("a", "b", "c", caller="greedy")
    await the.served()

    assert ["a", "b"] == the.upstream.order
    assert "RATE_LIMITED" == (await the.failure("c")).reason_name
    assert the.is_empty


async def test_call_above_the_limit_itself_is_refused_for_good() -> None:
    the = desk(LimitConfig(model="qwen-plus", tokens_per_minute=1000))
    await the.asked("a", tokens=5000)

    error = await the.failure("a")
    assert isinstance(error, Rejected)
    assert "limits[0].tokens_per_minute" in error.message
    assert {"a": "never_fits"} == the.turned_away()


async def test_wait_for_the_account_counts_into_the_wait_that_is_told() -> None:
    the = desk(LimitConfig(model="qwen-plus", requests_per_minute=1, requests_per_second=1))
    await the.asked("a", "b")
    await the.asked("c", within_s=20)

    error = await the.failure("c")
    assert "DISPATCH_FULL" == error.reason_name
    assert error.retry_after_s == pytest.approx(63.0, rel=0.05)


REFUSED = Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=30.0)
BROKEN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "HTTP 500")
LOST = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "broke off")
WRONG = Rejected(Reason.ERROR_REASON_INVALID_REQUEST, "HTTP 400")
KEY = Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "HTTP 401")
NOTHING = Spent(tokens=0, cost_nanos=0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, ("settled", Spent(tokens=7, cost_nanos=0))),
        (REFUSED, ("refunded", None)),
        (BROKEN, ("settled", NOTHING)),
        (WRONG, ("settled", NOTHING)),
        (KEY, ("settled", NOTHING)),
        (LOST, ("settled", None)),
    ],
    ids=["answered", "429", "500", "400", "401", "lost"],
)
async def test_reservation_is_settled_by_what_was_used(error: CallError | None, told: tuple[str, Spent | None]) -> None:
    the = desk()
    the.upstream.errors = [error] if error else []
    await the.asked("a")
    await the.served()

    assert isinstance(the.quota, Book)
    assert [told] == the.quota.told


async def test_attempt_that_is_cut_off_keeps_its_estimate_and_one_that_never_left_gives_it_back() -> None:
    the = desk(places=1)
    await the.asked("a", "b")
    assert isinstance(the.quota, Book)
    the.quota.told.clear()
    the.upstream.finish("a")
    the.tasks["b"].cancel()
    await settle()
    await the.asked("c")
    the.tasks["c"].cancel()
    await settle()

    assert [("settled", Spent(tokens=7, cost_nanos=0)), ("settled", None)] == the.quota.told


@pytest.mark.parametrize("error", [BROKEN, None], ids=["failed", "cancelled"])
async def test_attempt_that_got_nowhere_gives_its_estimate_back(error: CallError | None) -> None:
    the = desk()
    the.upstream.sends = False
    await the.asked("a")
    if error is None:
        the.tasks["a"].cancel()
        await settle()
    else:
        the.upstream.errors = [error]
        await the.served()

    assert isinstance(the.quota, Book)
    assert [("refunded", None)] == the.quota.told


@pytest.mark.parametrize("turns", range(5))
async def test_turn_that_comes_in_the_moment_of_leaving_gives_its_estimate_back(turns: int) -> None:
    the = desk(places=1)
    await the.asked("a", "b")
    the.upstream.finish("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    the.tasks["b"].cancel()
    await settle()

    assert isinstance(the.quota, Book)
    assert the.quota.reserved == len(the.quota.told)
    assert the.is_empty


async def test_every_reservation_is_given_back_or_settled() -> None:
    the = desk(ONE_A_SECOND, CallerConfig(name="*", max_in_flight=3), places=2)
    for number in range(20):
        the.ask(f"a{number}", within_s=3.0, caller=f"c{number % 5}")
    the.tasks["a7"].cancel()
    await the.clock.run(4.0)
    await the.served()

    assert isinstance(the.quota, Book)
    assert the.quota.reserved == len(the.quota.told)
    assert the.is_empty


async def test_provider_that_wants_less_gets_a_pause_of_that_model_for_all_classes() -> None:
    the = desk()
    the.upstream.errors = [REFUSED]
    await the.asked("a", "longer", model="qwen-plus")
    the.upstream.finish("a")
    await settle()
    await the.asked("b", model="qwen-plus", priority=PRIORITY_HIGH)
    await the.asked("c", model="qwen-flash")
    the.upstream.finish("longer")
    await settle()
    assert ["a", "longer", "c"] == the.upstream.order

    await the.clock.run(0.99)
    assert ["a", "longer", "c"] == the.upstream.order
    await the.clock.run(0.02)

    assert ["a", "longer", "c", "b"] == the.upstream.order


async def test_only_a_few_jobs_wait_for_the_account() -> None:
    the = desk(ONE_A_SECOND, places=10, background_share=1.0)
    await the.asked("a", "b", "c", background=True)
    assert 10 == the.stage.room_for_jobs()
    await the.asked("d", "e", background=True)

    assert 5 == the.stage.room_for_jobs()


async def test_limits_that_are_wider_let_those_go_who_waited_for_the_narrow_ones() -> None:
    the = desk(LimitConfig(model="qwen-plus", requests_per_minute=1, requests_per_second=1))
    await the.asked("a", "b", "c")
    assert ["a"] == the.upstream.order
    assert the.quota is not None

    wide = LimitConfig(model="qwen-plus", requests_per_minute=2, requests_per_second=2)
    the.quota.apply(limits=[wide], callers=[], now_s=the.clock.monotonic_s())
    the.stage.limits_changed()
    await settle()

    assert ["a", "b"] == the.upstream.order
    the.quota.apply(limits=[], callers=[], now_s=the.clock.monotonic_s())
    the.stage.limits_changed()
    await settle()
    assert ["a", "b", "c"] == the.upstream.order
    await the.served()
    assert the.is_empty
