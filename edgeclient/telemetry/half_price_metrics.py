"""What work at half price does to the metrics. Every label has few values, all of them words of our own code."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from edgeclient.core.events import Event
from edgeclient.core.half_price import OpenBatches
from edgeclient.core.half_price_events import (
    BatchCameLate,
    BatchChanged,
    BatchFileKept,
    BatchLinesSettled,
    BatchMissing,
    BatchRefused,
    BatchStuck,
    SentLive,
)
from edgeclient.telemetry import half_price_names
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.instruments import Instruments

_NANOS = 1e-9


class HalfPriceMetrics:
    """Takes the events.

    Args:
        make: Makes the instruments.

    Attributes:
        table: What is done with each type of event.
    """

    def __init__(self, make: Instruments) -> None:
        self._batches = make.counter(half_price_names.BATCHES)
        self._lines = make.counter(half_price_names.LINES)
        self._saved = make.counter(half_price_names.SAVED)
        self._sent_live = make.counter(half_price_names.SENT_LIVE)
        self._failures = make.counter(half_price_names.FAILURES)
        self.table: dict[type[Event], Subscriber] = {
            BatchChanged: lambda event: self._batches.cell(event.state).add(),
            BatchLinesSettled: self._settled,
            SentLive: lambda event: self._sent_live.cell(event.cause).add(event.count),
            BatchRefused: lambda _: self._failures.cell("refused").add(),
            BatchStuck: lambda _: self._failures.cell("stuck").add(),
            BatchMissing: lambda _: self._failures.cell("missing").add(),
            BatchCameLate: lambda _: self._failures.cell("came_late").add(),
            BatchFileKept: lambda _: self._failures.cell("file_kept").add(),
        }

    def _settled(self, event: BatchLinesSettled) -> None:
        self._lines.cell(event.outcome).add(event.count)
        if event.saved_nanos:
            self._saved.cell(event.currency_code).add(event.saved_nanos * _NANOS)


def half_price_families(open_batches: Mapping[str, OpenBatches]) -> Iterator[Metric]:
    """The batches that are not over, for a scrape."""
    batches, lines = (
        GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
        for spec in (half_price_names.OPEN, half_price_names.OPEN_LINES)
    )
    for state, each in open_batches.items():
        batches.add_metric((state,), each.batch_count)
        lines.add_metric((state,), each.line_count)
    yield batches
    yield lines
