"""What the order of service does to the metrics, and how the line stands at the moment of a scrape."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

from edgeclient.core.dispatch_events import (
    CallReleased,
    CallTurnedAway,
    GroupReleased,
    WidthNarrowed,
)
from edgeclient.core.events import Event
from edgeclient.telemetry import dispatch_names
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.instruments import Instruments
from edgeclient.telemetry.names import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchView:
    """How the line in front of one target stands.

    Attributes:
        target: Its name.
        width: How many requests may be in progress.
        waiting: Calls that wait, by priority.
    """

    target: str
    width: int
    waiting: Mapping[str, int]


class DispatchMetrics:
    """Takes the events of the order of service.

    Args:
        make: Makes the instruments.
    """

    def __init__(self, make: Instruments) -> None:
        waits = make.histogram(dispatch_names.QUEUE_WAIT)
        groups = make.histogram(dispatch_names.GROUP_CALLS)
        turned_away = make.counter(dispatch_names.TURNED_AWAY)
        narrowed = make.counter(dispatch_names.NARROWED)

        def released(event: CallReleased) -> None:
            waits.cell(event.priority).observe(event.wait_s)

        def group_released(event: GroupReleased) -> None:
            groups.cell(event.target).observe(event.call_count)

        self.table: dict[type[Event], Subscriber] = {
            CallReleased: released,
            GroupReleased: group_released,
            CallTurnedAway: lambda event: turned_away.cell(event.cause, event.priority).add(),
            WidthNarrowed: lambda event: narrowed.cell(event.target, event.reason).add(),
        }


def dispatch_families(views: Iterable[DispatchView]) -> Iterator[Metric]:
    """How the lines stand, for a scrape."""
    pending, width = _gauge(dispatch_names.QUEUE_PENDING), _gauge(dispatch_names.WIDTH)
    for view in views:
        width.add_metric((view.target,), view.width)
        for priority, count in view.waiting.items():
            pending.add_metric((view.target, priority), count)
    yield from (pending, width)


def _gauge(spec: Spec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
