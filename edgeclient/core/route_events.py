"""Facts about the choice among targets; see `events.py` for what a fact is."""

from dataclasses import dataclass
from enum import Enum

from edgeclient.core.events import Event


class Breaker(Enum):
    """Whether a target is asked."""

    CLOSED = "closed"
    """It is, as often as there are calls."""
    OPEN = "open"
    """It is not: it rests after failures."""
    HALF_OPEN = "half_open"
    """One call tries whether it has recovered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged(Event):
    """Whether a target is asked has changed.

    Attributes:
        target: Which target.
        before, after: The states.
        cause: Name of the error reason that showed it, `probe`, `trial` or `uplink`.
        rest_s: Time until it is probed; 0.0 if it does not rest.
    """

    target: str
    before: Breaker
    after: Breaker
    cause: str
    rest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMoved(Event):
    """An attempt has failed, and the next one, at once, goes to another target or asks another model.

    Attributes:
        call_id: Which call.
        asked: Model that the caller asked.
        before, after: The targets.
        model_before, model_after: The models.
        reason: Name of the error reason of the attempt that failed.
    """

    call_id: str
    asked: str
    before: str
    after: str
    model_before: str
    model_after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRestarted(Event):
    """A stream of which the caller had seen pieces broke, and begins anew, as the caller wished.

    Attributes:
        call_id: Which call.
        target: Where it begins anew.
    """

    call_id: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSetAside(Event):
    """A target refuses this node rather than a request: it is asked last, until it has answered. A person has to act.

    Attributes:
        target: Which target; what concerns an account concerns all targets of it.
        model: Which model; "" for all.
        reason: Name of the error reason.
        problem: What it said, without words of its own.
    """

    target: str
    model: str
    reason: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTakenBack(Event):
    """A target that was set aside has answered, or has a new key.

    Attributes:
        target: Which target.
        model: Which model; "" for all.
    """

    target: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRefused(Event):
    """A call could have been repeated or moved, but the whole node repeats as much as it may.

    Attributes:
        call_id: Which call; it ends with the error of its last attempt.
        reason: Name of that error's reason.
    """

    call_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfterCapped(Event):
    """A target wants to be asked again so late that it is not believed.

    Attributes:
        target: Which target.
        told_s: What it said, in seconds from now; `inf` is possible.
        kept_s: What is kept of it.
    """

    target: str
    told_s: float
    kept_s: float
