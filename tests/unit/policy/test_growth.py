"""How much traffic may grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.policy.growth import Growth


def test_at_the_beginning_there_is_what_is_allowed_at_once() -> None:
    assert Growth().allowed(500, 1000.0) == 500


@pytest.mark.parametrize(
    ("later_s", "expected"), [(0, 100), (299, 100), (302, 1300), (350, 1300), (361, 100), (9999, 100)]
)
def test_a_third_more_than_the_minute_five_minutes_ago(later_s: float, expected: int) -> None:
    growth = Growth()
    growth.add(1000, 1000.5)

    assert growth.allowed(100, 1000.5 + later_s) == expected


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(0, 1000)), max_size=50), st.floats(0, 500))
def test_never_more_than_what_was_used_in_that_minute_permits(uses: list[tuple[float, int]], later_s: float) -> None:
    growth, now_s, seen = Growth(), 1000.0, []
    for gap_s, amount in uses:
        now_s += gap_s
        growth.add(amount, now_s)
        seen.append((now_s, amount))
    now_s += later_s

    before = sum(amount for at_s, amount in seen if now_s - 360 < at_s <= now_s - 300)
    assert growth.allowed(0, now_s) <= before * 1.3


def test_old_seconds_are_forgotten() -> None:
    growth = Growth()
    for second in range(5000):
        growth.add(1, float(second))

    assert len(growth._seconds) <= 362
    assert not growth.is_empty(5300.0)
    assert growth.is_empty(5361.0)
