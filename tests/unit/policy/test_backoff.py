from hypothesis import given
from hypothesis import strategies as st

from edgeclient.policy.backoff import Backoff

BACKOFF = Backoff(initial_s=0.5, max_s=30.0)


def test_ceiling_doubles_until_its_maximum() -> None:
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == [BACKOFF.ceiling_s(count) for count in range(1, 9)]


def test_thousands_of_failures_are_no_overflow() -> None:
    assert 30.0 == BACKOFF.ceiling_s(10_000)


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.floats(0, 3600))
def test_pause_lies_between_what_the_provider_asks_and_that_plus_the_ceiling(
    failed_count: int, draw: float, least_s: float
) -> None:
    delay_s = BACKOFF.delay_s(failed_count, draw=draw, least_s=least_s)

    assert least_s <= delay_s <= least_s + BACKOFF.ceiling_s(failed_count)
