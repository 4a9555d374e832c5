"""What the choice among targets does to the metrics."""

from edgeclient.core.events import Event
from edgeclient.core.route_events import (
    Breaker,
    BreakerChanged,
    CallMoved,
    RetryAfterCapped,
    RetryRefused,
    StreamRestarted,
    TargetSetAside,
)
from edgeclient.telemetry import route_names
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.instruments import Instruments
from edgeclient.telemetry.vocabulary import Vocabulary


class RouteMetrics:
    """Takes the events.

    Args:
        make: Makes the instruments.
        models: The models that have series of their own.
        breakers: State of each target, kept here for the scrape.

    Attributes:
        table: What is done with each type of event.
    """

    def __init__(self, make: Instruments, models: Vocabulary, *, breakers: dict[str, Breaker]) -> None:
        self._breakers = breakers
        self._models = models
        self._changes = make.counter(route_names.BREAKER_CHANGES)
        self._moves = make.counter(route_names.MOVES)
        self._stand_ins = make.counter(route_names.STAND_INS)
        restarts = make.counter(route_names.RESTARTS)
        set_aside = make.counter(route_names.SET_ASIDE)
        refused = make.counter(route_names.RETRIES_REFUSED)
        capped = make.counter(route_names.RETRY_AFTER_CAPPED)
        self.table: dict[type[Event], Subscriber] = {
            BreakerChanged: self._breaker_changed,
            CallMoved: self._moved,
            StreamRestarted: lambda event: restarts.cell(event.target).add(),
            TargetSetAside: lambda event: set_aside.cell(event.target, event.reason).add(),
            RetryRefused: lambda event: refused.cell(event.reason).add(),
            RetryAfterCapped: lambda event: capped.cell(event.target).add(),
        }

    def _breaker_changed(self, event: BreakerChanged) -> None:
        self._breakers[event.target] = event.after
        self._changes.cell(event.target, event.after.value).add()

    def _moved(self, event: CallMoved) -> None:
        self._moves.cell(event.before, event.after, event.reason).add()
        if event.model_after not in (event.model_before, event.asked):
            self._stand_ins.cell(self._models[event.asked], self._models[event.model_after]).add()
