"""A model is limited in each account by itself, a caller and its money over all of them."""

from dataclasses import replace

import pytest

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.policy.quota import Demand, Quota, Reservation, Shortage, Spent

NOW_S, WALL_S = 1000.0, 1_800_000_000.0
FIRST = Demand(model="qwen-plus", caller="device-7", tokens=10, cost_nanos=0, output_tokens=0, account="a")
SECOND = replace(FIRST, account="b")


def made(*rows: LimitConfig | CallerConfig) -> Quota:
    return Quota(
        limits=[row for row in rows if isinstance(row, LimitConfig)],
        callers=[row for row in rows if isinstance(row, CallerConfig)],
        now_s=NOW_S,
        wall_s=WALL_S,
        accounts=("a", "b", "c"),
    )


def limit_of(quota: Quota, demand: Demand) -> tuple[str, float]:
    """Path and value of the limit that is reached after enough of these."""
    for _ in range(100):
        got = quota.reserve(demand, now_s=NOW_S)
        if isinstance(got, Shortage):
            return got.limit, got.value
    pytest.fail("nothing is limited")


def test_what_one_account_uses_is_not_missing_in_another() -> None:
    quota = made(LimitConfig(model="qwen-plus", max_in_flight=1))
    assert isinstance(quota.reserve(FIRST, now_s=NOW_S), Reservation)
    assert isinstance(quota.reserve(FIRST, now_s=NOW_S), Shortage)
    assert isinstance(quota.reserve(SECOND, now_s=NOW_S), Reservation)
    assert isinstance(quota.reserve(SECOND, now_s=NOW_S), Shortage)


def test_first_account_is_meant_where_none_is_named() -> None:
    quota = made(LimitConfig(model="qwen-plus", max_in_flight=1))
    assert isinstance(quota.reserve(replace(FIRST, account=""), now_s=NOW_S), Reservation)
    assert isinstance(quota.reserve(FIRST, now_s=NOW_S), Shortage)


@pytest.mark.parametrize(
    ("demand", "limit"),
    [
        (replace(FIRST, account="a"), ("limits[1].max_in_flight", 2)),
        (replace(FIRST, account="b"), ("limits[3].max_in_flight", 4)),
        (replace(FIRST, account="b", model="qwen-max"), ("limits[3].max_in_flight", 4)),
        (replace(FIRST, account="c"), ("limits[2].max_in_flight", 3)),
        (replace(FIRST, account="c", model="qwen-max"), ("limits[0].max_in_flight", 1)),
        (replace(FIRST, account="a", model="qwen-max"), ("limits[0].max_in_flight", 1)),
    ],
)
def test_row_of_the_account_goes_before_rows_for_all(demand: Demand, limit: tuple[str, int]) -> None:
    quota = made(
        LimitConfig(model="*", max_in_flight=1),
        LimitConfig(model="qwen-plus", max_in_flight=2, account="a"),
        LimitConfig(model="qwen-plus", max_in_flight=3),
        LimitConfig(model="*", max_in_flight=4, account="b"),
    )
    assert limit_of(quota, demand) == limit


def test_caller_has_its_limit_and_its_budget_once() -> None:
    quota = made(CallerConfig(name="device-7", max_in_flight=2))
    assert isinstance(quota.reserve(FIRST, now_s=NOW_S), Reservation)
    assert isinstance(quota.reserve(SECOND, now_s=NOW_S), Reservation)
    assert limit_of(quota, SECOND) == ("callers[0].max_in_flight", 2)

    rich = made(CallerConfig(name="device-7", budget_per_day=1.0))
    paid = replace(FIRST, cost_nanos=600_000_000, currency="CNY")
    assert isinstance(rich.reserve(paid, now_s=NOW_S), Reservation)
    assert limit_of(rich, replace(paid, account="b")) == ("callers[0].budget_per_day", 1.0)


def test_provider_lowers_the_limit_of_one_account() -> None:
    quota = made()
    quota.lower("qwen-plus", requests_per_minute=60, now_s=NOW_S, account="b")
    quota.reserve(FIRST, now_s=NOW_S)
    quota.reserve(FIRST, now_s=NOW_S)
    assert limit_of(quota, SECOND) == ("provider.requests_per_second", 1)
    standings = [(each.name, each.limit, each.most) for each in quota.standings(NOW_S)]
    assert standings == [("qwen-plus@b", "requests_per_minute", 60), ("qwen-plus@b", "requests_per_second", 1)]


def test_accounts_survive_a_restart_apart() -> None:
    row = LimitConfig(model="*", requests_per_minute=3, requests_per_second=3)
    before = made(row)
    for demand in (FIRST, SECOND, SECOND):
        got = before.reserve(demand, now_s=NOW_S)
        assert isinstance(got, Reservation)
        before.settle(got, Spent(tokens=10, cost_nanos=0), now_s=NOW_S)
    kept = before.snapshot(now_s=NOW_S, wall_s=WALL_S, final=True)

    after = made(row)
    after.restore(kept, now_s=NOW_S, wall_s=WALL_S)
    used = {each.name: each.used for each in after.standings(NOW_S) if each.limit == "requests_per_minute"}
    assert used == {"qwen-plus": 1, "qwen-plus@b": 2}


def test_rows_of_accounts_may_change_while_the_node_runs() -> None:
    quota = made(LimitConfig(model="*", max_in_flight=1))
    assert isinstance(quota.reserve(SECOND, now_s=NOW_S), Reservation)
    quota.apply(limits=[LimitConfig(model="*", max_in_flight=3, account="b")], callers=(), now_s=NOW_S)
    assert limit_of(quota, SECOND) == ("limits[0].max_in_flight", 3)
