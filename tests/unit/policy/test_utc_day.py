"""Which day it is, whatever the clock does."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgeclient.policy.utc_day import DAY_S, UtcDay

NOON_S = 20_000.5 * DAY_S


def made() -> UtcDay:
    return UtcDay(now_s=100.0, wall_s=NOON_S)


def test_a_day_ends_at_midnight() -> None:
    day = made()

    assert (day.at(100.0), day.ends_s(100.0)) == (20_000, 100.0 + DAY_S / 2)
    assert (day.at(100.0 + DAY_S / 2 - 1), day.at(100.0 + DAY_S / 2)) == (20_000, 20_001)


def test_a_clock_that_is_put_back_does_not_begin_a_day_again() -> None:
    day = made()
    day.at(100.0 + DAY_S / 2)
    day.set_clock(now_s=100.0 + DAY_S / 2, wall_s=NOON_S)

    assert day.at(100.0 + DAY_S / 2) == 20_001


def test_after_a_clock_that_was_ahead_the_true_day_is_believed_within_a_day() -> None:
    day = made()
    day.set_clock(now_s=200.0, wall_s=NOON_S + 1000 * DAY_S)
    assert day.at(200.0) == 21_000
    day.set_clock(now_s=300.0, wall_s=NOON_S + 200)

    assert day.ends_s(300.0) == 200.0 + DAY_S
    assert day.at(200.0 + DAY_S - 1) == 21_000
    assert day.at(200.0 + DAY_S) == 20_001


def test_a_board_without_a_battery_goes_on_with_the_day_it_had_stored() -> None:
    day = UtcDay(now_s=0.0, wall_s=5.0)  # 1970
    day.go_on_with(20_000, now_s=0.0)
    assert day.at(1.0) == 20_000
    day.set_clock(now_s=30.0, wall_s=NOON_S)
    assert day.at(30.0) == 20_000
    assert day.ends_s(30.0) == 30.0 + DAY_S / 2

    old = made()
    old.go_on_with(7, now_s=100.0)
    assert old.at(100.0) == 20_000


@given(st.lists(st.tuples(st.floats(0, 30_000), st.floats(-1e6, 1e6)), max_size=30))
def test_a_jumping_clock_gives_no_day_twice_within_a_day_of_real_time(jumps: list[tuple[float, float]]) -> None:
    day, now_s, numbers = UtcDay(now_s=0.0, wall_s=NOON_S), 0.0, []
    for passed_s, jump_s in jumps:
        now_s += passed_s
        day.set_clock(now_s=now_s, wall_s=NOON_S + now_s + jump_s)
        number = day.at(now_s)
        assert now_s <= day.ends_s(now_s) <= now_s + DAY_S
        numbers.append((now_s, number))

    pairs = pairwise(numbers)
    changes = [(at_s, number) for (_, before), (at_s, number) in pairs if number != before]
    for index, (at_s, number) in enumerate(changes):
        again = [later_s for later_s, later in changes[index + 1 :] if later == number]
        assert all(later_s - at_s >= DAY_S for later_s in again)
