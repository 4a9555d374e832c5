"""Facts about the order of service in front of the provider; see `events.py` for what a fact is."""

from dataclasses import dataclass

from edgeclient.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReleased(Event):
    """It is a call's turn: an attempt begins.

    Attributes:
        call_id: Which call.
        priority: `high`, `normal`, `low`, or `background` for a stored job.
        wait_s: Time that it waited for this turn; 0.0 if it did not have to.
    """

    call_id: str
    priority: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReleased(Event):
    """Calls were released together: in one turn of the event loop.

    Attributes:
        target: Where they go.
        call_count: How many; 1 for a call alone.
        size_bytes: Size of their requests.
    """

    target: str
    call_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTurnedAway(Event):
    """A call was not released: nothing was sent.

    Attributes:
        call_id: Which call.
        priority: As in `CallReleased`.
        cause: `full` (no room to wait), `shed` (gave way to a higher priority), `too_long` (the wait would outlast its
            deadline), `deadline` (it did outlast it), `caller_limit`, `never_fits` (larger than a limit), `paused` (the
            provider wants no more for a while), `offline`, `stopping` or `left` (its caller went away).
        wait_s: Time that it had waited.
    """

    call_id: str
    priority: str
    cause: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthNarrowed(Event):
    """Fewer requests may be in progress than before, because of what the provider answered, or did not.

    Attributes:
        target: Which target.
        before, after: The widths.
        reason: Name of the error reason that showed it.
    """

    target: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthRestored(Event):
    """As many requests may be in progress as the settings permit, after it had been fewer.

    Attributes:
        target: Which target.
        width: How many.
        duration_s: Time since it was narrowed first.
    """

    target: str
    width: int
    duration_s: float
