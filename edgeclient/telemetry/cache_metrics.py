"""What reused answers and the stores of the cache do to the metrics, and their counts at the moment of a scrape.

Every label has few values, all of them words of our own code; the currencies are those of the operator's price table.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from edgeclient.core.cache import CacheStats
from edgeclient.core.cache_events import (
    AnswerKept,
    AnswerReused,
    CacheEvicted,
    CacheFileDiscarded,
    CacheLookedUp,
    CacheMissed,
    CacheStoreLost,
    CacheWriteDropped,
    CacheWritesRefused,
    SharedCallPassedOn,
)
from edgeclient.core.events import Event
from edgeclient.telemetry import cache_names
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.instruments import Instruments

_NANOS = 1e-9


class CacheMetrics:
    """Takes the events of the cache and of shared calls.

    Args:
        make: Makes the instruments.

    Attributes:
        table: What is done with each type of event.
    """

    def __init__(self, make: Instruments) -> None:
        self._reused = make.counter(cache_names.REUSED)
        self._saved_tokens = make.counter(cache_names.SAVED_TOKENS)
        self._saved_cost = make.counter(cache_names.SAVED_COST)
        self._misses = make.counter(cache_names.MISSES)
        self._answers = make.counter(cache_names.ANSWERS)
        self._evictions = make.counter(cache_names.EVICTIONS)
        self._dropped = make.counter(cache_names.WRITES_DROPPED)
        self._look_ups = make.histogram(cache_names.LOOK_UPS)
        self._failures = make.counter(cache_names.STORE_FAILURES)
        self._passed_on = make.counter(cache_names.PASSED_ON).cell()
        self.table: dict[type[Event], Subscriber] = {
            AnswerReused: self._answer_reused,
            CacheMissed: lambda event: self._misses.cell(event.why).add(),
            AnswerKept: lambda event: self._answers.cell(event.outcome).add(),
            CacheEvicted: lambda event: self._evictions.cell(event.store, event.cause).add(event.count),
            CacheWriteDropped: lambda event: self._dropped.cell(event.store, event.why).add(),
            CacheLookedUp: self._looked_up,
            CacheStoreLost: lambda event: self._failures.cell(event.store, "lost").add(),
            CacheWritesRefused: lambda event: self._failures.cell(event.store, "refused").add(),
            CacheFileDiscarded: lambda _: self._failures.cell("disk", "discarded").add(),
            SharedCallPassedOn: lambda _: self._passed_on.add(),
        }

    def _answer_reused(self, event: AnswerReused) -> None:
        self._reused.cell(event.source, event.store).add()
        if event.prompt_tokens or event.completion_tokens:
            self._saved_tokens.cell(event.source, "input").add(event.prompt_tokens)
            self._saved_tokens.cell(event.source, "output").add(event.completion_tokens)
        if event.cost_nanos:
            self._saved_cost.cell(event.source, event.currency_code).add(event.cost_nanos * _NANOS)

    def _looked_up(self, event: CacheLookedUp) -> None:
        self._look_ups.cell(event.store, event.outcome).observe(event.duration_s)


def cache_families(stats: CacheStats) -> Iterator[Metric]:
    """The counts of the stores, for a scrape; what a store outside of the node holds is not known."""
    entries, sizes, usable = (
        GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
        for spec in (cache_names.ENTRIES, cache_names.BYTES, cache_names.USABLE)
    )
    for name, store in stats.stores.items():
        usable.add_metric((name,), float(store.usable))
        if name != "redis":
            entries.add_metric((name,), store.entries)
            sizes.add_metric((name,), store.size_bytes)
    yield from (entries, sizes, usable)
