"""What limits, money and usage do to the metrics.

A caller is a label here, because somebody has to pay: the first hundred names have series of their own, all others
share one. How limits and budgets stand is asked at the scrape; of budgets the hundred fullest are shown.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edgeclient.core.events import AttemptFinished, Event
from edgeclient.core.quota_events import (
    AccountsUnsaved,
    BatchAnswered,
    BudgetNearlySpent,
    BudgetSpent,
    QuotasRead,
    QuotasUnread,
)
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.policy.quota import Standing
from edgeclient.telemetry import quota_names
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.instruments import Instruments
from edgeclient.telemetry.names import Spec
from edgeclient.telemetry.vocabulary import Vocabulary

MOST_CALLERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView:
    """How limits and budgets stand at a moment.

    Attributes:
        standings: Of limits.
        budgets: Of callers.
        refusals: By path of the setting, since the start.
    """

    standings: Iterable[Standing]
    budgets: Iterable[BudgetState]
    refusals: Mapping[str, int]


class QuotaMetrics:
    """Takes the events of limits, money and usage.

    Args:
        make: Makes the instruments.
    """

    def __init__(self, make: Instruments) -> None:
        self._callers = Vocabulary(spare=MOST_CALLERS)
        self._tokens = make.counter(quota_names.CALLER_TOKENS)
        self._cost = make.counter(quota_names.CALLER_COST)
        self._saved = make.counter(quota_names.BATCH_SAVED)
        warnings = make.counter(quota_names.BUDGET_WARNINGS)
        reads = make.counter(quota_names.QUOTA_READS)
        unsaved = make.counter(quota_names.ACCOUNTS_UNSAVED)
        self.table: dict[type[Event], Subscriber] = {
            BatchAnswered: self.batched,
            BudgetNearlySpent: lambda _: warnings.cell("nearly").add(),
            BudgetSpent: lambda _: warnings.cell("spent").add(),
            QuotasRead: lambda _: reads.cell("success").add(),
            QuotasUnread: lambda _: reads.cell("failure").add(),
            AccountsUnsaved: lambda _: unsaved.cell().add(),
        }

    def attempt(self, event: AttemptFinished) -> None:
        """An attempt has ended; one that was not billed, or is nobody's, changes nothing."""
        if event.caller and (event.prompt_tokens or event.completion_tokens):
            self._count(event)

    def batched(self, event: BatchAnswered) -> None:
        """A request was answered at half price."""
        self._count(event)
        self._saved.cell(event.currency_code).add(max(0, event.full_cost_nanos - event.cost_nanos) / NANOS)

    def _count(self, event: AttemptFinished | BatchAnswered) -> None:
        caller = self._callers[event.caller]
        self._tokens.cell(caller, "input").add(event.prompt_tokens)
        self._tokens.cell(caller, "output").add(event.completion_tokens)
        if event.cost_nanos:
            self._cost.cell(caller, event.currency_code).add(event.cost_nanos / NANOS)


def quota_families(view: QuotaView) -> Iterator[Metric]:
    """How limits and budgets stand, for a scrape."""
    most, used = _gauge(quota_names.LIMIT), _gauge(quota_names.LIMIT_USED)
    for standing in view.standings:
        labels = (standing.kind, standing.name, standing.limit)
        most.add_metric(labels, standing.most)
        used.add_metric(labels, standing.used)
    yield from (most, used)
    refusals = CounterMetricFamily(
        quota_names.LIMIT_REFUSALS.name, quota_names.LIMIT_REFUSALS.help, labels=quota_names.LIMIT_REFUSALS.labels
    )
    for limit, count in view.refusals.items():
        refusals.add_metric((limit,), count)
    yield refusals
    budget, spent = _gauge(quota_names.BUDGET), _gauge(quota_names.BUDGET_USED)
    for state in sorted(view.budgets, key=_fullness)[-MOST_CALLERS:]:
        budget.add_metric((state.caller, state.currency), state.limit_nanos / NANOS)
        spent.add_metric((state.caller, state.currency), (state.spent_nanos + state.reserved_nanos) / NANOS)
    yield from (budget, spent)


def _fullness(state: BudgetState) -> float:
    return (state.spent_nanos + state.reserved_nanos) / state.limit_nanos


def _gauge(spec: Spec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
