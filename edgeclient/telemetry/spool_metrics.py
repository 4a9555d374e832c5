"""What stored jobs do to the metrics, and the counts of the durable queue at the moment of a scrape.

The counts are those of the storage, from its creation on and not from the start of the process, because the law of
conservation spans restarts: accepted = sum of all rows + purged. An alert compares them.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edgeclient.core.events import Event
from edgeclient.core.job_events import (
    JobFinished,
    JobStarted,
    OperatorDoorClosed,
    SpoolDamaged,
    SpoolFailed,
    SpoolFellBack,
    SpoolPaused,
)
from edgeclient.core.jobs import JobState, SpoolStats
from edgeclient.telemetry import spool_names
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.faults import fault_domain
from edgeclient.telemetry.instruments import Instruments


class SpoolMetrics:
    """Takes the events of stored jobs.

    Args:
        make: Makes the instruments.

    Attributes:
        table: Who takes which event.
    """

    def __init__(self, make: Instruments) -> None:
        self._wait = make.histogram(spool_names.SPOOL_WAIT)
        self._age = make.histogram(spool_names.SPOOL_AGE)
        self._finished = make.counter(spool_names.SPOOL_FINISHED)
        self._billed = make.counter(spool_names.SPOOL_POSSIBLY_BILLED).cell()
        self._pauses = make.counter(spool_names.SPOOL_PAUSES)
        self._failures = make.counter(spool_names.SPOOL_STORAGE_FAILURES)
        self.table: dict[type[Event], Subscriber] = {
            JobStarted: self.started,
            JobFinished: self.finished,
            SpoolPaused: self.paused,
            SpoolFailed: lambda _: self._failures.cell("unusable").add(),
            SpoolDamaged: lambda _: self._failures.cell("damaged").add(),  # what is lost is counted by the queue
            SpoolFellBack: lambda _: self._failures.cell("fell_back").add(),
            OperatorDoorClosed: lambda _: self._failures.cell("control_socket").add(),
        }

    def started(self, event: JobStarted) -> None:
        """A first attempt begins."""
        self._wait.cell(event.priority).observe(event.wait_s)

    def finished(self, event: JobFinished) -> None:
        """A job has ended."""
        self._age.cell(event.state).observe(event.age_s)
        self._finished.cell(event.state, event.reason, fault_domain(event.reason)).add()
        if event.possibly_billed:
            self._billed.add()

    def paused(self, event: SpoolPaused) -> None:
        """No jobs are sent for now, or none of one model."""
        self._pauses.cell(event.cause).add()


def spool_families(stats: SpoolStats) -> Iterator[Metric]:
    """The counts of the durable queue, for a scrape."""
    rows = GaugeMetricFamily(
        spool_names.SPOOL_ROWS.name, spool_names.SPOOL_ROWS.help, labels=spool_names.SPOOL_ROWS.labels
    )
    for state in JobState:
        rows.add_metric((state.name.lower(),), stats.by_state.get(state, 0))
    yield rows
    for spec, total in (
        (spool_names.SPOOL_ACCEPTED, stats.accepted_total),
        (spool_names.SPOOL_PURGED, stats.purged_total),
        (spool_names.SPOOL_UNCERTAIN, stats.uncertain_total),
        (spool_names.SPOOL_RESENT, stats.resent_total),
        (spool_names.SPOOL_LOST, stats.lost_total),
    ):
        yield CounterMetricFamily(spec.name, spec.help, value=total)
    for spec, size in ((spool_names.SPOOL_BYTES, stats.bytes_used), (spool_names.SPOOL_FREE_BYTES, stats.free_bytes)):
        yield GaugeMetricFamily(spec.name, spec.help, value=size)
