"""A quantile that is learnt as values come."""

from random import Random

import pytest

from edgeclient.policy.running_quantile import RunningQuantile


@pytest.mark.parametrize("part", [0.5, 0.9, 0.97])
def test_the_right_part_of_the_values_stays_below(part: float) -> None:
    quantile, rng, below = RunningQuantile(first=1.0, part=part, least=0.001, most=1e6, step=0.1), Random(3), 0
    for number in range(6000):
        value = rng.lognormvariate(4, 1)
        below += number >= 1000 and value <= quantile.value
        quantile.learn(value)

    assert below / 5000 == pytest.approx(part, abs=0.03)


def test_it_follows_traffic_that_changes() -> None:
    quantile = RunningQuantile(first=100.0, part=0.95, least=1.0, most=1e6)
    for _ in range(20):
        quantile.learn(10_000.0)
    assert quantile.value > 9000
    for _ in range(500):
        quantile.learn(50.0)
    assert quantile.value < 80


def test_it_never_leaves_its_bounds() -> None:
    quantile = RunningQuantile(first=1e9, part=0.5, least=10.0, most=100.0)
    assert quantile.value == 100.0
    for value in [0.0] * 50:
        quantile.learn(value)
    assert quantile.value == 10.0
