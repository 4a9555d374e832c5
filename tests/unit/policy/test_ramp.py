import pytest

from edgeclient.policy.ramp import Ramp


def grown(ramp: Ramp, successes: int) -> list[int]:
    """The width after each success."""
    widths = []
    for _ in range(successes):
        ramp.succeeded(ramp.begin())
        widths.append(ramp.limit(0.0))
    return widths


def test_begins_with_one_and_grows_by_one_per_success() -> None:
    ramp = Ramp(most=4, spread_s=10.0)

    assert 1 == ramp.limit(0.0)
    assert [2, 3, 4, 4] == grown(ramp, 4)


@pytest.mark.parametrize(("draw", "start_s"), [(0.0, 100.0), (0.25, 102.5), (0.999, 109.99)])
def test_start_after_an_outage_is_put_off_at_random(draw: float, start_s: float) -> None:
    ramp = Ramp(most=4, spread_s=10.0)
    grown(ramp, 10)

    ramp.resume(100.0, draw=draw)

    assert start_s == pytest.approx(ramp.start_s)
    assert [0, 1] == [ramp.limit(ramp.start_s - 0.001), ramp.limit(ramp.start_s)]


def test_setback_leads_back_to_one_and_then_more_slowly_past_the_half() -> None:
    ramp = Ramp(most=16, spread_s=0.0)
    assert 8 == grown(ramp, 7)[-1]

    ramp.setback(ramp.begin())

    assert 1 == ramp.limit(0.0)
    assert [2, 3, 4] == grown(ramp, 3)  # up to the half of 8
    assert [4, 4, 4, 5] == grown(ramp, 4)  # one per round


def test_jobs_that_fail_together_are_one_setback() -> None:
    ramp = Ramp(most=16, spread_s=0.0)
    grown(ramp, 15)
    together = [ramp.begin() for _ in range(16)]

    for mark in together:
        ramp.setback(mark)

    assert [2, 3, 4, 5, 6, 7, 8, 8] == grown(ramp, 8)


def test_success_of_before_the_setback_counts_nothing() -> None:
    ramp = Ramp(most=16, spread_s=0.0)
    old = ramp.begin()
    ramp.setback(ramp.begin())

    ramp.succeeded(old)

    assert 1 == ramp.limit(0.0)


def test_width_stays_between_one_and_the_most() -> None:
    ramp = Ramp(most=1, spread_s=0.0)
    for _ in range(3):
        ramp.setback(ramp.begin())

    assert 1 == ramp.limit(0.0)
    assert [1, 1] == grown(ramp, 2)


def test_pause_after_a_setback_holds() -> None:
    ramp = Ramp(most=16, spread_s=0.0)
    mark = ramp.begin()

    assert ramp.setback(mark, until_s=50.0)
    assert not ramp.setback(mark, until_s=90.0)

    assert [0, 1] == [ramp.limit(49.9), ramp.limit(50.0)]
