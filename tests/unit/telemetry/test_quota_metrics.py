"""Limits, money and usage on the page that Prometheus reads."""

from typing import Any

import pytest
from unit.telemetry.sample_events import sample

from edgeclient.core.events import AttemptFinished
from edgeclient.core.quota_events import BatchAnswered, BudgetNearlySpent, BudgetSpent, QuotasRead, QuotasUnread
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.policy.quota import Standing
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.metrics import Metrics
from edgeclient.telemetry.quota_metrics import MOST_CALLERS, QuotaView


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(node_id="box-1", version="1.2.3", models=["qwen-plus"], targets=["dashscope"])


def tell(metrics: Metrics, *events: Any) -> None:
    for event in events:
        metrics.table[type(event)](event)


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def attempt(**over: Any) -> AttemptFinished:
    facts = {"caller": "a", "prompt_tokens": 100, "completion_tokens": 40, "cost_nanos": NANOS, "currency_code": "CNY"}
    return sample(AttemptFinished, **(facts | over))


def test_callers_have_tokens_and_cost_of_their_own(metrics: Metrics) -> None:
    batch = {"prompt_tokens": 10, "completion_tokens": 4, "cost_nanos": NANOS // 2, "full_cost_nanos": NANOS}
    tell(metrics, attempt(), attempt(), sample(BatchAnswered, caller="a", currency_code="CNY", **batch))

    assert value(metrics, "edgeclient_caller_tokens_total", caller="a", type="input") == 210
    assert value(metrics, "edgeclient_caller_tokens_total", caller="a", type="output") == 84
    assert value(metrics, "edgeclient_caller_cost_total", caller="a", currency="CNY") == 2.5
    assert value(metrics, "edgeclient_batch_saved_cost_total", currency="CNY") == 0.5


def test_what_was_not_billed_or_is_nobodys_makes_no_series(metrics: Metrics) -> None:
    tell(metrics, attempt(caller=""), attempt(caller="b", prompt_tokens=0, completion_tokens=0))

    assert not [s for family in metrics.registry.collect() for s in family.samples if "caller_tokens" in s.name]


def test_after_a_hundred_callers_the_others_share_a_series(metrics: Metrics) -> None:
    tell(metrics, *[attempt(caller=f"c-{number}") for number in range(1000)])

    series = [
        s.labels["caller"]
        for family in metrics.registry.collect()
        for s in family.samples
        if s.name == "edgeclient_caller_cost_total"
    ]
    assert len(series) == MOST_CALLERS + 1
    assert value(metrics, "edgeclient_caller_cost_total", caller="_OTHER", currency="CNY") == 1000 - MOST_CALLERS


def budget(caller: str, spent: float) -> BudgetState:
    return BudgetState(
        caller=caller,
        path="callers[0].budget_per_day",
        limit_nanos=2 * NANOS,
        spent_nanos=round(spent * NANOS),
        reserved_nanos=NANOS // 2,
        currency="CNY",
        day=20_000,
        refused=False,
    )


def test_limits_and_budgets_are_told_as_they_stand(metrics: Metrics) -> None:
    limit = Standing(kind="model", name="qwen-plus", limit="tokens_per_minute", used=7, most=60)
    view = QuotaView(standings=[limit], budgets=[budget("a", 1.0)], refusals={"callers[0].budget_per_day": 3})
    metrics.read_at_scrape(Gauges(quota=lambda: view))

    where = {"subject": "model", "name": "qwen-plus", "limit": "tokens_per_minute"}
    assert value(metrics, "edgeclient_limit", **where) == 60
    assert value(metrics, "edgeclient_limit_used", **where) == 7
    assert value(metrics, "edgeclient_limit_refusals_total", limit="callers[0].budget_per_day") == 3
    assert value(metrics, "edgeclient_budget", caller="a", currency="CNY") == 2.0
    assert value(metrics, "edgeclient_budget_used", caller="a", currency="CNY") == 1.5


def test_of_budgets_the_hundred_fullest_are_shown(metrics: Metrics) -> None:
    budgets = [budget(f"c-{number}", number / 1000) for number in range(300)]
    metrics.read_at_scrape(Gauges(quota=lambda: QuotaView(standings=[], budgets=budgets, refusals={})))

    assert value(metrics, "edgeclient_budget", caller="c-299", currency="CNY") == 2.0
    assert value(metrics, "edgeclient_budget", caller="c-199", currency="CNY") is None


def test_warnings_and_reads_are_counted(metrics: Metrics) -> None:
    tell(metrics, sample(BudgetNearlySpent), sample(BudgetSpent), sample(QuotasRead), sample(QuotasUnread))

    assert value(metrics, "edgeclient_budget_warnings_total", level="nearly") == 1
    assert value(metrics, "edgeclient_budget_warnings_total", level="spent") == 1
    assert value(metrics, "edgeclient_quota_reads_total", outcome="success") == 1
    assert value(metrics, "edgeclient_quota_reads_total", outcome="failure") == 1
