"""A window never counts less than was used within its period, wherever that begins, and little more."""

from hypothesis import given
from hypothesis import strategies as st

from edgeclient.policy.rate_window import PARTS, RateWindow

AMOUNT = st.integers(1, 50)
GAP_S = st.one_of(st.floats(0, 2), st.sampled_from([0.0, 0.1, 0.6, 59.9, 60.0, 60.6, 3600.0]))
PERIOD_S = st.sampled_from([1.0, 60.0])
START_S = st.sampled_from([0.0, 1000.0, 12_345_678.9])
_ROUNDING = 1e-5


@given(PERIOD_S, START_S, st.lists(st.tuples(GAP_S, AMOUNT, st.floats(0, 3)), max_size=40))
def test_what_is_used_within_the_period_counts_and_what_is_older_does_not(
    period_s: float, start_s: float, uses: list[tuple[float, int, float]]
) -> None:
    window, now_s = RateWindow(period_s), start_s
    stamped: list[tuple[float, int]] = []
    for gap_s, amount, ahead_s in uses:
        now_s += gap_s
        window.add(amount, now_s + ahead_s)
        stamped.append((now_s + ahead_s, amount))

        longest_s = period_s * (1 + 1 / PARTS) + _ROUNDING
        assert sum(used for at_s, used in stamped if at_s > now_s - period_s) <= window.used(now_s)
        assert sum(used for at_s, used in stamped if at_s > now_s - longest_s) >= window.used(now_s)


@given(PERIOD_S, START_S, st.lists(st.tuples(GAP_S, AMOUNT), min_size=1, max_size=40), st.integers(0, 100))
def test_room_is_there_at_the_moment_that_is_told_and_not_before(
    period_s: float, start_s: float, uses: list[tuple[float, int]], room: int
) -> None:
    window, now_s = RateWindow(period_s), start_s
    for gap_s, amount in uses:
        now_s += gap_s
        window.add(amount, now_s)
    is_full = window.used(now_s) > room

    at_s = window.fit_s(room, now_s)

    assert at_s is not None
    assert (at_s > now_s) == is_full
    if is_full:
        assert window.used(at_s - period_s * 1e-7) > room
    assert window.used(at_s) <= room


@given(st.lists(st.tuples(st.floats(0, 1), AMOUNT), max_size=30), st.floats(0, 70))
def test_taking_back_leaves_no_trace_whenever_it_happens(uses: list[tuple[float, int]], later_s: float) -> None:
    window, now_s = RateWindow(60.0), 1000.0
    stamped = []
    for gap_s, amount in uses:
        now_s += gap_s
        window.add(amount, now_s)
        window.hold(amount)
        stamped.append((now_s, amount))
    now_s += later_s
    window.used(now_s)

    for at_s, amount in stamped:
        window.take(amount, at_s)
        window.release(amount)

    assert window.used(now_s) == 0
    assert window.used(now_s + 100) == 0


@given(st.lists(st.tuples(st.floats(0, 5), AMOUNT), max_size=30), AMOUNT, st.floats(0, 80))
def test_a_restored_window_counts_no_less_than_the_old_one(
    uses: list[tuple[float, int]], held: int, gap_s: float
) -> None:
    old, new, now_s = RateWindow(60.0), RateWindow(60.0), 1000.0
    for step_s, amount in uses:
        now_s += step_s
        old.add(amount, now_s)
    ages = old.ages(now_s, grain_s=5.0)
    new.restore([(age_s + gap_s, amount) for age_s, amount in ages], 7.0)  # another process, another clock

    assert new.used(7.0) >= old.used(now_s + gap_s)
    assert new.used(7.0) <= sum(amount for _, amount in uses)
    old.hold(held)
    assert sum(amount for _, amount in old.ages(now_s, grain_s=5.0)) == old.used(now_s)


def test_memory_is_bounded_by_the_parts() -> None:
    window = RateWindow(60.0)
    for number in range(100_000):
        window.add(1, number * 0.01)
        window.used(number * 0.01)

    assert len(window._parts) <= PARTS + 2


def test_what_is_held_stays_until_it_is_released() -> None:
    window = RateWindow(60.0)
    window.add(5, 0.0)
    window.hold(7)

    assert window.used(1e6) == 7
    assert window.fit_s(6, 1e6) is None
    assert window.fit_s(7, 1e6) == 1e6
