"""What a fair share is: the figure of the measurement of fairness stands and falls with it."""

import pytest
from bench.shares import jain, max_min, satisfaction


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5, 5, 5, 5], 1.0), ([5, 0, 0, 0], 0.25), ([1, 3], 16 / 20), ([0, 0], 0.0), ([], 0.0), ([2], 1.0)],
)
def test_jain_is_one_for_equal_values_and_one_nth_for_a_single_one(values: list[float], expected: float) -> None:
    assert expected == pytest.approx(jain(values))


@pytest.mark.parametrize(
    ("demands", "capacity", "expected"),
    [
        ([2, 2, 100], 10, [2, 2, 6]),  # the modest get all, the other one the rest
        ([5, 5, 100], 9, [3, 3, 3]),  # all are short, all get the same
        ([1, 4, 100], 9, [1, 4, 4]),  # what the first one leaves is divided by the others
        ([100, 1, 4], 9, [4, 1, 4]),  # in any order
        ([2, 3], 10, [2, 3]),  # more than enough
        ([], 10, []),
    ],
)
def test_max_min_gives_each_his_demand_or_as_much_as_the_others(
    demands: list[float], capacity: float, expected: list[float]
) -> None:
    assert expected == pytest.approx(max_min(demands, capacity))


def test_satisfaction_of_a_fair_server_is_one_for_all() -> None:
    assert [1.0, 1.0, 1.0] == pytest.approx(satisfaction([2, 2, 6], [2, 2, 100]))


def test_satisfaction_of_a_server_in_order_of_arrival_is_low_for_the_modest() -> None:
    light, other, heavy = satisfaction([0.2, 0.2, 9.6], [2, 2, 100])

    assert pytest.approx(0.1) == light == other
    assert heavy == pytest.approx(1.6)


def test_callers_who_want_nothing_have_no_satisfaction() -> None:
    assert [1.0] == satisfaction([3, 0], [3, 0])
