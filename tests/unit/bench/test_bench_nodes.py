"""What the measurements of whole nodes make of what they saw: ratios, counts, money, verdicts."""

from collections import Counter

import pytest
from bench.added import added_ms
from bench.fairness import CALLERS, TIMES, index
from bench.layout import report
from bench.mixed import MIXES, Mixed, Windows, jobs_per_s
from bench.savings import cost_of
from bench.sim import Entry
from bench.traces import Seen


def seen(latency_s: float, failure: str = "") -> Seen:
    return Seen(device="", due_s=0.0, late_s=0.0, latency_s=latency_s, failure=failure)


def entry(model: str, time: float = 0.0, **over: float) -> Entry:
    facts = {"prompt_tokens_billed": 1000, "cached_tokens": 0, "tokens_billed": 2000, "price_factor": 1.0} | over
    return Entry(seq=1, time=time, kind="live", model=model, outcome="answered", **facts)  # type: ignore[arg-type]


def test_index_of_a_fair_node_is_one_although_one_caller_is_served_more() -> None:
    names = [f"device-{number:02}" for number in range(CALLERS)]
    demands = Counter({name: 10 * (TIMES if name == names[0] else 1) for name in names})
    fair = Counter({name: 200 if name == names[0] else 10 for name in names})
    by_arrival = Counter({name: 400 if name == names[0] else 4 for name in names})

    assert index(fair, demands) == pytest.approx(1.0)
    assert index(by_arrival, demands) < 0.95
    assert 0.0 == index(Counter(), demands)


def test_ratio_of_latencies_is_made_of_answered_calls_alone() -> None:
    mix = MIXES[0]
    alone = Windows(seen=[seen(0.2), seen(9.0, "UNAVAILABLE: OVERLOADED")])
    found = Mixed(alone={mix: alone}, beside={mix: Windows(seen=[seen(0.3)])})

    assert found.ratio(mix, 0.99) == pytest.approx(1.5)
    assert ["UNAVAILABLE: OVERLOADED"] == alone.failures


def test_jobs_are_counted_while_live_calls_come() -> None:
    live = [entry("qwen-plus", time) for time in (100.0, 112.0)]
    jobs = [entry("qwen-flash", time) for time in (99.0, 101.9, 102.0, 111.9, 112.0)]

    assert jobs_per_s([*live, *jobs]) == pytest.approx(2 / 10)  # from the end of the warm-up to the last live call


def test_cost_is_tokens_by_price_by_factor() -> None:
    assert cost_of(entry("qwen-plus")) == pytest.approx((1000 * 0.8 + 2000 * 2.0) / 1e6)
    assert cost_of(entry("qwen-plus", price_factor=0.5)) == pytest.approx(cost_of(entry("qwen-plus")) / 2)


def test_added_is_the_difference_of_the_same_share_of_calls() -> None:
    assert added_ms([0.003, 0.001, 0.002], [0.001, 0.001, 0.001], 0.5) == pytest.approx(1.0)


@pytest.mark.parametrize("markdown", [True, False])
def test_report_has_every_title_and_cell(markdown: bool) -> None:  # noqa: FBT001  a parameter of the test
    text = report("a machine", [("first", [["a", "b"], ["1", "2"]]), ("second", [["c"], ["3"]])], markdown=markdown)

    assert all(part in text for part in ("a machine", "first", "second", "a", "b", "c", "1", "2", "3"))
