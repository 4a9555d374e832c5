"""Limits of models and callers, by the rows of the operator."""

from math import inf

import pytest

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.policy.quota import Demand, Quota, Reservation, Shortage, Spent

NOW_S, WALL_S = 1000.0, 1_800_000_000.0


def made(*rows: LimitConfig | CallerConfig) -> Quota:
    return Quota(
        limits=[row for row in rows if isinstance(row, LimitConfig)],
        callers=[row for row in rows if isinstance(row, CallerConfig)],
        now_s=NOW_S,
        wall_s=WALL_S,
        resolve=str.lower,
    )


def demand(tokens: int = 10, *, model: str = "qwen-plus", caller: str = "device-7", batch: bool = False) -> Demand:
    return Demand(model=model, caller=caller, tokens=tokens, cost_nanos=0, output_tokens=0, batch=batch)


def granted(quota: Quota, *args: Demand, now_s: float = NOW_S) -> list[Reservation]:
    got = [quota.reserve(each, now_s=now_s) for each in args or (demand(),)]
    assert all(isinstance(each, Reservation) for each in got), got
    return [each for each in got if isinstance(each, Reservation)]


def short(quota: Quota, wanted: Demand | None = None, *, now_s: float = NOW_S) -> Shortage:
    got = quota.reserve(wanted or demand(), now_s=now_s)
    assert isinstance(got, Shortage)
    return got


def used(quota: Quota, limit: str, *, name: str = "qwen-plus", now_s: float = NOW_S) -> int:
    (found,) = [each.used for each in quota.standings(now_s) if (each.name, each.limit) == (name, limit)]
    return found


def test_without_rows_everything_is_granted() -> None:
    quota = made()
    granted(quota, *[demand(1_000_000)] * 100)

    assert quota.next_s(NOW_S) == inf


def test_a_shortage_names_the_setting_and_the_moment() -> None:
    quota = made(
        LimitConfig(model="other"), LimitConfig(model="Qwen-Plus", requests_per_minute=2, requests_per_second=2)
    )
    first, _ = granted(quota, demand(), demand())
    quota.settle(first, Spent(tokens=10, cost_nanos=0), now_s=NOW_S)

    got = short(quota)
    assert (got.limit, got.value, got.of_caller, got.until_end) == ("limits[1].requests_per_minute", 2, False, False)
    assert 60 <= got.wait_s <= 60.6
    assert quota.next_s(NOW_S) == NOW_S + got.wait_s
    granted(quota, demand(), now_s=NOW_S + got.wait_s)
    assert quota.next_s(NOW_S) == inf


def test_who_looks_is_told_the_wait_of_the_account_and_takes_nothing() -> None:
    quota = made(
        LimitConfig(model="qwen-plus", requests_per_minute=2, requests_per_second=2, tokens_per_minute=6000),
        CallerConfig(name="*", requests_per_minute=1),
    )
    assert quota.wait_s(demand(), now_s=NOW_S) == 0.0
    first, _ = granted(quota, demand(), demand(caller="device-8"))
    quota.settle(first, Spent(tokens=10, cost_nanos=0), now_s=NOW_S)

    assert 60 <= quota.wait_s(demand(caller="device-9"), now_s=NOW_S) <= 60.6
    assert quota.wait_s(demand(7000), now_s=NOW_S) == inf
    assert quota.wait_s(demand(model="qwen-max"), now_s=NOW_S) == 0.0
    assert quota.next_s(NOW_S) == inf
    assert not quota.refusals


def test_a_star_is_a_limit_of_each_model_and_caller_by_itself() -> None:
    quota = made(
        LimitConfig(model="*", max_in_flight=2),
        LimitConfig(model="qwen-max", max_in_flight=3),
        CallerConfig(name="*", max_in_flight=4),
    )
    granted(quota, *[demand(model="qwen-plus")] * 2)

    assert short(quota, demand(model="qwen-plus")).limit == "limits[0].max_in_flight"
    granted(quota, *[demand(model="qwen-turbo")] * 2)
    assert short(quota, demand(model="qwen-max")).limit == "callers[0].max_in_flight"
    granted(quota, *[demand(model="qwen-max", caller="device-8")] * 3)
    assert short(quota, demand(model="qwen-max", caller="device-8")).limit == "limits[1].max_in_flight"


def test_a_second_has_a_sixtieth_of_a_minute_and_at_least_one_request() -> None:
    quota = made(LimitConfig(model="*", requests_per_minute=30), LimitConfig(model="fast", requests_per_minute=120))
    granted(quota, demand(), demand(model="fast"), demand(model="fast"))

    slow, fast = short(quota), short(quota, demand(model="fast"))
    assert (slow.limit, slow.value) == ("limits[0].requests_per_second", 1)
    assert (fast.limit, fast.value) == ("limits[1].requests_per_second", 2)
    assert 1 <= slow.wait_s <= 1.12


def test_a_request_larger_than_a_second_goes_alone() -> None:
    quota = made(LimitConfig(model="*", tokens_per_minute=6000))
    large = demand(4000)
    (first,) = granted(quota, large)
    assert short(quota, demand(1)).limit == "limits[0].tokens_per_second"
    quota.settle(first, Spent(tokens=1000, cost_nanos=0), now_s=NOW_S)
    granted(quota, demand(50), now_s=NOW_S + 1.2)

    beside_it = short(quota, large, now_s=NOW_S + 1.2)
    assert beside_it.limit == "limits[0].tokens_per_second"
    granted(quota, large, now_s=NOW_S + 1.2 + beside_it.wait_s)


def test_nothing_is_taken_if_one_limit_of_several_is_short() -> None:
    quota = made(
        LimitConfig(model="*", requests_per_minute=600, tokens_per_minute=60_000),
        CallerConfig(name="*", tokens_per_minute=100, max_in_flight=5),
    )
    before = list(quota.standings(NOW_S))

    assert short(quota, demand(101)).is_final
    after = [each for each in quota.standings(NOW_S) if each.used]
    assert (before, after) == ([], [])


def test_what_the_caller_lacks_is_told_before_what_the_account_lacks() -> None:
    quota = made(
        LimitConfig(model="*", requests_per_minute=60, requests_per_second=60),
        CallerConfig(name="*", requests_per_minute=60),
    )
    granted(quota, *[demand()] * 60)

    got = short(quota)
    assert (got.limit, got.of_caller) == ("callers[0].requests_per_minute", True)
    assert quota.refusals == {"callers[0].requests_per_minute": 1}
    assert quota.next_s(NOW_S) == inf  # it is refused, so nobody waits


def test_in_flight_is_free_again_when_an_attempt_ends_and_who_waits_is_to_ask() -> None:
    quota = made(LimitConfig(model="*", max_in_flight=1))
    (first,) = granted(quota)
    got = short(quota)
    assert (got.until_end, got.wait_s) == (True, 1.0)

    quota.settle(first, Spent(tokens=3, cost_nanos=0), now_s=NOW_S + 7)
    assert quota.next_s(NOW_S + 7) <= NOW_S + 7
    granted(quota, now_s=NOW_S + 7)
    assert short(quota, now_s=NOW_S + 7).wait_s > 1  # attempts take longer than was thought


def test_output_counts_until_a_minute_after_the_end_and_input_after_the_arrival() -> None:
    quota = made(LimitConfig(model="*", tokens_per_minute=1000, tokens_per_second=1000))
    both = Demand(model="qwen-plus", caller="a", tokens=1000, cost_nanos=0, output_tokens=400)
    (first,) = granted(quota, both)

    assert used(quota, "tokens_per_minute", now_s=NOW_S + 62) == 1000
    assert used(quota, "tokens_per_minute", now_s=NOW_S + 64) == 400
    quota.settle(first, Spent(tokens=900, cost_nanos=0, output_tokens=300), now_s=NOW_S + 64)
    assert used(quota, "tokens_per_minute", now_s=NOW_S + 64) == 300
    assert used(quota, "tokens_per_minute", now_s=NOW_S + 123) == 300
    assert used(quota, "tokens_per_minute", now_s=NOW_S + 125) == 0


@pytest.mark.parametrize(("usual_s", "counts_until_s"), [(2.0, 1.12), (0.01, 2.01)])
def test_an_attempt_that_is_late_may_still_be_on_its_way(usual_s: float, counts_until_s: float) -> None:
    quota, now_s = made(LimitConfig(model="*", requests_per_minute=600)), NOW_S
    for _ in range(50):
        (reservation,) = granted(quota, now_s=now_s)
        quota.settle(reservation, Spent(tokens=1, cost_nanos=0), now_s=now_s + usual_s)
        now_s += usual_s + 2
    granted(quota, now_s=now_s)  # and no answer comes

    assert used(quota, "requests_per_second", now_s=now_s + counts_until_s - 0.03) == 1
    assert used(quota, "requests_per_second", now_s=now_s + counts_until_s) == 0


def test_what_is_written_in_a_second_is_learnt_and_counts_while_it_is_written() -> None:
    quota, now_s = made(LimitConfig(model="*", tokens_per_minute=600_000)), NOW_S
    slow = Demand(model="qwen-plus", caller="a", tokens=1000, cost_nanos=0, output_tokens=1000)
    for _ in range(100):
        (reservation,) = granted(quota, slow, now_s=now_s)
        quota.settle(reservation, Spent(tokens=400, cost_nanos=0, output_tokens=400), now_s=now_s + 10)
        now_s += 100
    granted(quota, slow, now_s=now_s)  # ten seconds for 400 tokens are 40 a second

    assert 40 <= used(quota, "tokens_per_second", now_s=now_s + 5) <= 60


@pytest.mark.parametrize(("tokens", "output"), [(500, 400), (1500, None), (100, 0)])
def test_truth_takes_the_place_of_the_estimate(tokens: int, output: int | None) -> None:
    quota = made(
        LimitConfig(model="*", tokens_per_minute=100_000), CallerConfig(name="device-7", tokens_per_minute=9000)
    )
    (first,) = granted(quota, Demand(model="qwen-plus", caller="device-7", tokens=1000, cost_nanos=0))
    quota.settle(first, Spent(tokens=tokens, cost_nanos=0, output_tokens=output), now_s=NOW_S + 0.05)

    assert used(quota, "tokens_per_minute") == tokens
    assert used(quota, "tokens_per_second") == tokens
    assert used(quota, "tokens_per_minute", name="device-7") == tokens


def test_an_unknown_outcome_leaves_the_estimate_spent_and_is_told() -> None:
    told: list[Demand] = []
    limits = [LimitConfig(model="*", tokens_per_minute=100_000)]
    quota = Quota(limits=limits, now_s=NOW_S, wall_s=WALL_S, unknown=told.append)
    first, second = granted(quota, demand(700), demand(800))
    quota.settle(first, None, now_s=NOW_S + 5)
    quota.settle(second, Spent(tokens=0, cost_nanos=0), now_s=NOW_S + 5)

    assert used(quota, "tokens_per_minute", now_s=NOW_S + 5) == 700
    assert told == [first.demand]


def test_a_refund_gives_everything_back() -> None:
    quota = made(LimitConfig(model="*", requests_per_minute=1, tokens_per_minute=10, max_in_flight=1))
    for _ in range(50):
        (reservation,) = granted(quota)
        quota.refund(reservation, now_s=NOW_S)

    assert {0} == {each.used for each in quota.standings(NOW_S)}


def test_batch_work_is_limited_by_money_alone() -> None:
    quota = made(
        LimitConfig(model="*", requests_per_minute=1, max_in_flight=1), CallerConfig(name="*", max_in_flight=1)
    )
    granted(quota, *[demand(batch=True)] * 20)

    assert {0} == {each.used for each in quota.standings(NOW_S)}
    granted(quota)


# the growth rule


def test_traffic_may_begin_with_so_many_tokens_and_grow_by_a_third_in_five_minutes() -> None:
    quota = made(LimitConfig(model="*", tokens_per_minute=1_000_000, tokens_per_second=1_000_000, growth_tokens=1000))
    (first,) = granted(quota, demand(1000))
    quota.settle(first, Spent(tokens=1000, cost_nanos=0), now_s=NOW_S)

    assert short(quota).limit == "limits[0].growth_tokens"
    later_s = NOW_S + 330  # that thousand lies in the minute five minutes ago
    assert short(quota, demand(1), now_s=NOW_S + 50).value == 1000
    granted(quota, demand(1000), now_s=later_s)
    granted(quota, demand(300), now_s=later_s)
    assert short(quota, demand(1), now_s=later_s).value == 1300


def test_one_request_above_the_growth_rule_goes_alone() -> None:
    quota = made(LimitConfig(model="*", tokens_per_minute=100_000, growth_tokens=100))

    (first,) = granted(quota, demand(5000))
    quota.settle(first, Spent(tokens=5000, cost_nanos=0), now_s=NOW_S + 9)
    got = short(quota, demand(5000), now_s=NOW_S + 9)
    assert got.limit == "limits[0].growth_tokens"
    granted(quota, demand(5000), now_s=NOW_S + 9 + got.wait_s)


# what the provider teaches


def test_what_the_provider_tells_lowers_a_limit_and_never_raises_it() -> None:
    quota = made(LimitConfig(model="*", requests_per_minute=600, tokens_per_minute=100))
    quota.lower("qwen-plus", requests_per_minute=60, tokens_per_minute=10_000, now_s=NOW_S)
    granted(quota)

    assert short(quota).value == 1
    assert {each.limit: each.most for each in quota.standings(NOW_S)} == {
        "requests_per_minute": 60,
        "requests_per_second": 1,
        "tokens_per_minute": 100,
        "tokens_per_second": 1,
    }
    granted(quota, *[demand(model="qwen-max", tokens=0)] * 10)  # another model


def test_a_limit_that_only_the_provider_told_says_so() -> None:
    quota = made()
    granted(quota)
    quota.lower("qwen-plus", tokens_per_minute=600, now_s=NOW_S)

    assert short(quota, demand(700)).limit == "provider.tokens_per_minute"
    quota.lower("qwen-plus", now_s=NOW_S)
    granted(quota, demand(700))


def test_what_is_lowered_for_a_while_comes_back_and_stops_nobody_for_ever() -> None:
    quota = made(LimitConfig(model="*", tokens_per_minute=6000, tokens_per_second=6000))
    quota.lower("qwen-plus", tokens_per_minute=1000, now_s=NOW_S)
    quota.lower("qwen-plus", tokens_per_minute=60, now_s=NOW_S, for_s=30)
    granted(quota, demand(10))

    got = short(quota, demand(900))
    assert got.wait_s == pytest.approx(30)
    granted(quota, demand(900), now_s=NOW_S + 30)
    assert short(quota, demand(1001), now_s=NOW_S + 30).is_final  # what was told for good still holds


def test_a_lowered_limit_that_frees_itself_before_it_ends_is_told_so() -> None:
    quota = made(LimitConfig(model="*", requests_per_minute=6000))
    quota.lower("qwen-plus", requests_per_minute=60, now_s=NOW_S, for_s=30)
    granted(quota)

    assert 1 < short(quota).wait_s < 1.12


# over a restart


def test_a_restart_forgets_no_minute() -> None:
    rows = (LimitConfig(model="*", requests_per_minute=3), CallerConfig(name="*", tokens_per_minute=50))
    old = made(*rows)
    old.settle(granted(old)[0], Spent(tokens=20, cost_nanos=0), now_s=NOW_S)
    granted(old, demand(20), now_s=NOW_S + 10)  # under way when the process dies
    kept = old.snapshot(now_s=NOW_S + 11, wall_s=WALL_S + 11)

    new = Quota(limits=rows[:1], callers=rows[1:], now_s=7.0, wall_s=WALL_S + 21)
    new.restore(kept, now_s=7.0, wall_s=WALL_S + 21)
    assert used(new, "requests_per_minute", now_s=7.0) == 2
    assert short(new, demand(11), now_s=7.0).limit == "callers[0].tokens_per_minute"
    assert used(new, "requests_per_minute", now_s=7.0 + 46) == 1
    assert used(new, "requests_per_minute", now_s=7.0 + 61) == 0


@pytest.mark.parametrize("jump_s", [-86_400.0 * 365, -3600.0, 0.0])
def test_a_clock_that_went_back_locks_nobody_out_for_longer_than_a_window(jump_s: float) -> None:
    quota = made(LimitConfig(model="*", requests_per_minute=1))
    granted(quota)
    kept = quota.snapshot(now_s=NOW_S, wall_s=WALL_S)

    new = made(LimitConfig(model="*", requests_per_minute=1))
    new.restore(kept, now_s=NOW_S, wall_s=WALL_S + jump_s)
    assert short(new).wait_s <= 61
    granted(new, now_s=NOW_S + 61)


def test_growth_survives_a_restart() -> None:
    row = LimitConfig(model="*", tokens_per_minute=10**6, tokens_per_second=10**6, growth_tokens=100)
    old = made(row)
    old.settle(granted(old, demand(1000))[0], Spent(tokens=1000, cost_nanos=0), now_s=NOW_S)
    kept = old.snapshot(now_s=NOW_S + 200, wall_s=WALL_S)

    new = made(row)
    new.restore(kept, now_s=NOW_S, wall_s=WALL_S + 130)
    granted(new, demand(100))
    granted(new, demand(1200))
    assert short(new, demand(1)).value == 1300


def test_a_snapshot_holds_what_has_changed_and_a_final_one_everything() -> None:
    quota = made(LimitConfig(model="*", requests_per_minute=60))
    granted(quota)
    first = quota.snapshot(now_s=NOW_S, wall_s=WALL_S)

    assert {(each.kind, each.name) for each in first} == {("model", "qwen-plus"), ("caller", "device-7")}
    assert quota.snapshot(now_s=NOW_S, wall_s=WALL_S) == []
    assert len(quota.snapshot(now_s=NOW_S, wall_s=WALL_S, final=True)) == 2


def test_an_erased_caller_is_in_no_snapshot() -> None:
    quota = made(CallerConfig(name="*", requests_per_minute=60))
    granted(quota)
    quota.erase("device-7")

    assert [each.name for each in quota.snapshot(now_s=NOW_S, wall_s=WALL_S, final=True)] == ["qwen-plus"]
