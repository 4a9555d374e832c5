import pytest

from edgeclient.policy.wait_estimate import WaitEstimate


def paced(interval_s: float, count: int, *, begin_s: float = 100.0) -> tuple[WaitEstimate, float]:
    """Completions at this interval, while calls wait; returns the moment of the last one as well."""
    estimate = WaitEstimate()
    estimate.waiting(begin_s)
    now_s = begin_s
    for _ in range(count):
        now_s += interval_s
        estimate.completed(now_s)
    return estimate, now_s


def test_nothing_is_known_before_something_was_seen() -> None:
    estimate = WaitEstimate()
    assert estimate.wait_s(5, 1.0, 0.0) is None

    estimate.waiting(0.0)
    estimate.nobody_waits(1.0)

    assert estimate.wait_s(5, 1.0, 1.0) is None


@pytest.mark.parametrize("interval_s", [0.001, 0.2, 30.0])
def test_wait_is_that_of_those_before_at_the_present_pace(interval_s: float) -> None:
    estimate, now_s = paced(interval_s, 100)

    assert 10 * interval_s == pytest.approx(estimate.wait_s(9, 1.0, now_s), rel=0.01)


def test_class_with_half_of_the_turns_waits_twice_as_long() -> None:
    estimate, now_s = paced(0.1, 50)

    assert 2.0 == pytest.approx(estimate.wait_s(9, 0.5, now_s), rel=0.01)


def test_completions_in_bunches_give_the_same_pace() -> None:
    estimate = WaitEstimate()
    estimate.waiting(0.0)
    for bunch in range(1, 6):
        for _ in range(50):
            estimate.completed(float(bunch))

    assert 0.02 == pytest.approx(estimate.wait_s(0, 1.0, 5.0), rel=0.2)


def test_time_in_which_nobody_waits_does_not_count() -> None:
    estimate, now_s = paced(0.1, 50)
    estimate.nobody_waits(now_s)
    estimate.completed(now_s + 20)
    estimate.waiting(now_s + 30)
    estimate.completed(now_s + 30.1)

    assert 0.1 == pytest.approx(estimate.wait_s(0, 1.0, now_s + 30.1), rel=0.05)


def test_pace_follows_the_present() -> None:
    estimate, now_s = paced(0.1, 100)
    for _ in range(60):
        now_s += 1.0
        estimate.completed(now_s)

    assert 1.0 == pytest.approx(estimate.wait_s(0, 1.0, now_s), rel=0.1)


def test_provider_that_has_stopped_makes_the_wait_grow() -> None:
    estimate, now_s = paced(0.1, 100)
    stopped = estimate.wait_s(0, 1.0, now_s + 60)

    assert stopped is not None
    assert stopped > 0.5


def test_pace_of_long_ago_is_forgotten() -> None:
    estimate, now_s = paced(10.0, 20)
    estimate.nobody_waits(now_s)
    estimate.waiting(now_s + 61)

    assert estimate.wait_s(0, 1.0, now_s + 61) is None
