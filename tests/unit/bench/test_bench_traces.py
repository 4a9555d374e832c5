"""The traces: seeded, and of the shape that they are said to have."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from bench.savings import BURST, made
from bench.traces import Ask, Seen, Zipf, bursts, in_order, poisson, within


def test_poisson_has_the_rate_and_the_irregularity_of_independent_arrivals() -> None:
    times = list(poisson(50.0, 200.0, Random(1)))
    gaps = [after - before for before, after in pairwise(times)]
    mean_s = sum(gaps) / len(gaps)
    variance = sum((gap - mean_s) ** 2 for gap in gaps) / len(gaps)

    assert times == sorted(times)
    assert 0.0 < times[0]
    assert times[-1] < 200.0
    assert len(times) == pytest.approx(10_000, rel=0.03)
    assert variance**0.5 == pytest.approx(mean_s, rel=0.05)  # a regular beat would have none


def test_zipf_prefers_ranks_by_the_power_law() -> None:
    zipf, random = Zipf(2_000, 1.1), Random(1)
    drawn = Counter(zipf.draw(random) for _ in range(50_000))

    assert set(drawn) <= set(range(2_000))
    assert drawn[0] / drawn[1] == pytest.approx(2**1.1, rel=0.1)
    assert drawn[0] / drawn[9] == pytest.approx(10**1.1, rel=0.15)


def test_zipf_of_zero_prefers_none() -> None:
    zipf, random = Zipf(4, 0.0), Random(1)

    assert {0, 1, 2, 3} == {zipf.draw(random) for _ in range(100)}


def test_burst_is_so_many_at_once() -> None:
    (burst, _) = bursts([1.0, 2.0], 40, 0.1, Random(1))

    assert 40 == len(burst)
    assert all(1.0 <= at_s <= 1.1 for at_s in burst)
    assert len(set(burst)) > 1


def test_trace_of_a_seed_is_always_the_same() -> None:
    assert made(1, duration_s=5.0, jobs=3) == made(1, duration_s=5.0, jobs=3)
    assert made(1, duration_s=5.0, jobs=3) != made(2, duration_s=5.0, jobs=3)


def test_trace_is_in_order_and_has_bursts_and_jobs() -> None:
    trace = made(1, duration_s=20.0, jobs=3)
    times = [ask.at_s for ask in trace.calls]
    most = max(
        Counter((ask.prompt, round(ask.at_s / 0.1)) for ask in trace.calls).values()  # one question within 0.1 s
    )

    assert times == sorted(times)
    assert most >= BURST // 2  # a burst may lie on both sides of a boundary
    assert 3 == len(trace.jobs)
    assert all(job.deferrable for job in trace.jobs)


def test_in_order_sorts_by_time() -> None:
    late, early = Ask(at_s=2.0, prompt="b"), Ask(at_s=1.0, prompt="a")

    assert [early, late] == in_order([late, early])


def test_within_goes_by_when_calls_were_due_and_not_by_when_they_ended() -> None:
    seen = [Seen(device="", due_s=due_s, late_s=0.0, latency_s=9.0) for due_s in (0.9, 1.0, 1.9, 2.0)]

    assert [1.0, 1.9] == [each.due_s for each in within(seen, 1.0, 2.0)]
