"""Money by caller and day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.config.row_schema import CallerConfig
from edgeclient.core.accounts import QuotaRecord
from edgeclient.core.errors import Reason, Rejected, Throttled
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.policy.demand import Demand, Shortage, refusal
from edgeclient.policy.quota import Quota, Reservation, Spent

DAY_S = 86_400
NOW_S, WALL_S = 1000.0, 20_000.5 * DAY_S  # noon
ROW = CallerConfig(name="*", budget_per_day=1.0)


def made(*, wall_s: float = WALL_S, row: CallerConfig = ROW) -> Quota:
    return Quota(callers=[CallerConfig(name="other"), row], now_s=NOW_S, wall_s=wall_s)


def demand(cost: float, *, caller: str = "a", currency: str = "CNY", batch: bool = False) -> Demand:
    nanos = round(cost * NANOS)
    return Demand(model="m", caller=caller, tokens=1, cost_nanos=nanos, currency=currency, batch=batch)


def spent(cost: float, currency: str = "CNY") -> Spent:
    return Spent(tokens=1, cost_nanos=round(cost * NANOS), currency=currency)


def granted(quota: Quota, wanted: Demand, *, now_s: float = NOW_S) -> Reservation:
    got = quota.reserve(wanted, now_s=now_s)
    assert isinstance(got, Reservation)
    return got


def short(quota: Quota, wanted: Demand, *, now_s: float = NOW_S) -> Shortage:
    got = quota.reserve(wanted, now_s=now_s)
    assert isinstance(got, Shortage)
    return got


def standing(quota: Quota, *, now_s: float = NOW_S) -> BudgetState:
    (found,) = [each for each in quota.budgets(now_s) if each.caller == "a"]
    return found


def test_what_is_reserved_and_what_is_spent_together_stay_within_the_budget() -> None:
    quota = made()
    first = granted(quota, demand(0.4))
    granted(quota, demand(0.4))
    quota.settle(first, spent(0.3), now_s=NOW_S)

    assert short(quota, demand(0.4)).limit == "callers[1].budget_per_day"
    granted(quota, demand(0.3))
    granted(quota, demand(0.9, caller="b"))


def test_who_is_over_budget_is_told_the_setting_and_when_the_day_ends() -> None:
    quota = made()
    granted(quota, demand(0.9))
    got = short(quota, demand(0.2))

    assert (got.value, got.currency, got.of_caller, got.wait_s) == (1.0, "CNY", True, DAY_S / 2)
    error = refusal(got)
    assert isinstance(error, Throttled)
    assert (error.reason, error.retry_after_s) == (Reason.ERROR_REASON_RATE_LIMITED, DAY_S / 2)
    assert error.message == (
        "What is left of callers[1].budget_per_day, 1 CNY, does not pay for this request;"
        " the next day begins at 00:00 UTC"
    )
    granted(quota, demand(0.2), now_s=NOW_S + DAY_S / 2)


def test_a_request_above_the_whole_budget_is_refused_for_good() -> None:
    error = refusal(short(made(), demand(1.01)))

    assert isinstance(error, Rejected)
    assert error.retry_after_s is None
    assert "callers[1].budget_per_day, 1 CNY, ever permits" in error.message


@pytest.mark.parametrize("currency", ["", "USD"])
def test_without_a_price_in_its_currency_a_budget_permits_nothing(currency: str) -> None:
    assert short(made(), demand(0.0, currency=currency)).is_final


def test_a_bill_above_the_estimate_is_counted_in_full() -> None:
    quota = made()
    quota.settle(granted(quota, demand(0.1)), spent(1.4), now_s=NOW_S)

    assert standing(quota).spent_nanos == 1.4 * NANOS
    short(quota, demand(0.000001))


@pytest.mark.parametrize("outcome", [None, spent(0.1, "USD"), spent(0.1, "")])
def test_a_bill_that_nobody_knows_leaves_the_estimate_spent(outcome: Spent | None) -> None:
    quota = made()
    quota.settle(granted(quota, demand(0.7)), outcome, now_s=NOW_S)

    assert (standing(quota).spent_nanos, standing(quota).reserved_nanos) == (0.7 * NANOS, 0)


def test_what_was_not_processed_costs_nothing() -> None:
    quota = made()
    quota.refund(granted(quota, demand(1.0)), now_s=NOW_S)
    quota.settle(granted(quota, demand(1.0)), Spent(tokens=0, cost_nanos=0), now_s=NOW_S)

    granted(quota, demand(1.0))


def test_batch_work_is_paid_from_the_same_budget() -> None:
    quota = made()
    granted(quota, demand(0.8, batch=True))

    short(quota, demand(0.3, batch=True))
    short(quota, demand(0.3))


def test_an_attempt_belongs_to_the_day_on_which_it_began() -> None:
    quota = made()
    yesterdays = granted(quota, demand(0.9))
    tomorrow_s = NOW_S + DAY_S / 2
    granted(quota, demand(1.0), now_s=tomorrow_s)
    quota.settle(yesterdays, spent(0.9), now_s=tomorrow_s)

    assert (standing(quota, now_s=tomorrow_s).spent_nanos, standing(quota, now_s=tomorrow_s).day) == (0, 20_001)


def test_a_refusal_is_remembered_for_the_day() -> None:
    quota = made()
    granted(quota, demand(0.9))
    assert not standing(quota).refused
    short(quota, demand(0.2))

    assert standing(quota).refused
    assert not standing(quota, now_s=NOW_S + DAY_S).refused


# over a restart


def restarted(quota: Quota, *, final: bool, wall_s: float = WALL_S) -> Quota:
    kept = quota.snapshot(now_s=NOW_S, wall_s=WALL_S, final=final)
    new = made(wall_s=wall_s)
    new.restore(kept, now_s=NOW_S, wall_s=wall_s)
    return new


def test_a_proper_end_keeps_the_sum_exactly() -> None:
    quota = made()
    quota.settle(granted(quota, demand(0.3)), spent(0.25), now_s=NOW_S)
    quota.snapshot(now_s=NOW_S, wall_s=WALL_S)

    assert standing(restarted(quota, final=True)).spent_nanos == 0.25 * NANOS


def test_after_a_crash_what_was_under_way_and_what_a_second_may_have_hidden_count_as_spent() -> None:
    quota = made()
    quota.settle(granted(quota, demand(0.3)), spent(0.25), now_s=NOW_S)
    granted(quota, demand(0.1))
    after = standing(restarted(quota, final=False))

    assert after.spent_nanos == (0.25 + 0.1 + 0.4) * NANOS  # 0.4 was granted since the last snapshot, before the kill


def test_a_budget_at_rest_is_kept_exactly_a_snapshot_later() -> None:
    quota = made()
    quota.settle(granted(quota, demand(0.3)), spent(0.25), now_s=NOW_S)
    first = quota.snapshot(now_s=NOW_S, wall_s=WALL_S)
    second = quota.snapshot(now_s=NOW_S, wall_s=WALL_S)

    kept = [
        each.state["budget"]["spent_nanos"] for records in (first, second) for each in records if each.kind == "caller"
    ]
    assert kept == [(0.25 + 0.3) * NANOS, 0.25 * NANOS]
    assert quota.snapshot(now_s=NOW_S, wall_s=WALL_S) == []


def test_the_first_use_after_a_rest_wants_a_snapshot_at_once() -> None:
    quota, calls = made(), []
    quota.on_urgent = lambda: calls.append(1)
    first = granted(quota, demand(0.01))
    assert len(calls) == 1
    quota.snapshot(now_s=NOW_S, wall_s=WALL_S)
    quota.settle(granted(quota, demand(0.01)), spent(0.01), now_s=NOW_S)
    quota.settle(first, spent(0.01), now_s=NOW_S)
    assert len(calls) == 1
    for _ in range(2):
        quota.snapshot(now_s=NOW_S, wall_s=WALL_S)
    granted(quota, demand(0.01))

    assert len(calls) == 2


@given(st.lists(st.tuples(st.floats(0, 0.02), st.booleans()), max_size=80))
def test_kills_give_nobody_money_as_long_as_no_second_is_busier_than_the_busiest(
    seconds: list[tuple[float, bool]],
) -> None:
    """However often it is killed, always before the second's snapshot."""
    quota, paid = made(), 0
    kept: list[QuotaRecord] = []

    def keep() -> None:
        kept[:] = quota.snapshot(now_s=NOW_S, wall_s=WALL_S) or kept

    quota.settle(granted(quota, demand(0.02)), spent(0.02), now_s=NOW_S)  # the busiest
    paid = round(0.02 * NANOS)
    keep()
    for cost, dies in seconds:
        quota.on_urgent = keep
        got = quota.reserve(demand(cost), now_s=NOW_S)
        if isinstance(got, Shortage):
            break
        quota.settle(got, spent(cost), now_s=NOW_S)
        paid += round(cost * NANOS)
        if dies:
            quota = made()
            quota.restore(kept, now_s=NOW_S, wall_s=WALL_S)
            assert standing(quota).spent_nanos >= paid
        else:
            keep()

    assert paid <= NANOS


def test_a_clock_in_the_past_does_not_give_the_budget_again() -> None:
    quota = made()
    quota.settle(granted(quota, demand(1.0)), spent(1.0), now_s=NOW_S)

    new = restarted(quota, final=True, wall_s=5.0)
    assert short(new, demand(0.1)).wait_s <= DAY_S
    new.set_clock(now_s=NOW_S + 60, wall_s=WALL_S + 60)
    assert short(new, demand(0.1), now_s=NOW_S + 60).wait_s == DAY_S / 2 - 60


def test_a_new_day_begins_with_nothing_spent_after_a_restart_too() -> None:
    quota = made()
    quota.settle(granted(quota, demand(1.0)), spent(1.0), now_s=NOW_S)

    granted(restarted(quota, final=True, wall_s=WALL_S + DAY_S), demand(1.0))


def test_another_currency_is_another_budget() -> None:
    quota = made()
    quota.settle(granted(quota, demand(1.0)), spent(1.0), now_s=NOW_S)
    kept = quota.snapshot(now_s=NOW_S, wall_s=WALL_S)

    new = made(row=CallerConfig(name="*", budget_per_day=1.0, budget_currency="USD"))
    new.restore(kept, now_s=NOW_S, wall_s=WALL_S)
    granted(new, demand(1.0, currency="USD"))
