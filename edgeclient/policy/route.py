"""Where an attempt goes, and what an error means for where the next one goes.

Three kinds of errors open another way at once. The target could not be reached or failed, and this certainly was not
billed: another one may do better. It asks for less, or refuses the account or the model: another account or another
model is not concerned. And, if the operator and the kind of call permit that it is paid for twice, it took too long
before the first piece. Every other error is passed on: what the provider refuses for its content or its form it is
shown once, and a caller's own limits hold wherever it goes.

The order is: the model that was asked, at the targets that can take it now, lower tiers first and by weight within
one; at those where it has to wait, the shortest wait first; the models that may stand in for it; targets that have
refused this node; those on this site, when no other can be reached; and what is believed to be out of reach, if nothing
was tried. A target that has told when to come back is not asked before, by whatever call: who finds no other waits.
"""

import hashlib
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, IntEnum

from edgeclient.core.call import Call
from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    OutOfTime,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
    Unfetched,
)
from edgeclient.policy.route_cause import Cause

_NO_ANSWER = frozenset({Reason.ERROR_REASON_UPLINK_OFFLINE, Reason.ERROR_REASON_UPSTREAM_TIMEOUT})
_BROKE = frozenset({Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, Reason.ERROR_REASON_UPSTREAM_TIMEOUT})


class Scope(Enum):
    """What an error has shown to be of no use for this call."""

    TARGET = "target"
    """The target, whatever model is asked there."""
    ACCOUNT = "account"
    """All targets of its account."""
    LANE = "lane"
    """This model at all targets of its account."""
    MODEL = "model"
    """This model at this target."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from an error.

    Attributes:
        scope: What is not asked again in this round.
        cause: Why another way is needed.
    """

    scope: Scope
    cause: Cause


_STEPS = {
    Throttled: Step(Scope.LANE, Cause.THROTTLED),
    Unavailable: Step(Scope.MODEL, Cause.UNAVAILABLE),
    Blocked: Step(Scope.ACCOUNT, Cause.BLOCKED),
    ModelBlocked: Step(Scope.MODEL, Cause.BLOCKED),
}
_BY_REASON = {
    Reason.ERROR_REASON_DISPATCH_FULL: Step(Scope.TARGET, Cause.THROTTLED),  # this node's line in front of it
    Reason.ERROR_REASON_UPLINK_OFFLINE: Step(Scope.TARGET, Cause.UNAVAILABLE),
}
_NEVER = frozenset({Reason.ERROR_REASON_RATE_LIMITED})  # the caller's own limit: it holds everywhere


def step_after(call: Call, error: CallError, *, moves_after_timeout: bool) -> Step | None:
    """What a failed attempt means for the next one; None: there is none.

    Args:
        call: Whose attempt it was.
        error: How it failed.
        moves_after_timeout: The operator permits that a live call which got no answer in time is sent elsewhere.
    """
    anew = begins_anew(call)
    if call.committed and not anew:
        return None
    if isinstance(error, Uncertain):
        if anew and error.reason in _BROKE:
            return Step(Scope.TARGET, Cause.TIMEOUT)
        late = error.reason == Reason.ERROR_REASON_UPSTREAM_TIMEOUT
        may_pay_twice = moves_after_timeout and not call.background and not call.request.idempotency_key
        return Step(Scope.MODEL, Cause.TIMEOUT) if late and may_pay_twice else None
    if error.possibly_billed or error.reason in _NEVER:
        return None
    return _BY_REASON.get(error.reason) or _STEPS.get(type(error))


def begins_anew(call: Call) -> bool:
    """The caller wants a stream that breaks to begin anew, and nobody has promised that it is paid for once."""
    request = call.request
    return request.restart_stream and call.emit is not None and not call.background and not request.idempotency_key


def may_repeat(call: Call, error: CallError) -> bool:
    """The same may be asked again after a pause, at the same target if need be."""
    if begins_anew(call) and isinstance(error, Uncertain):
        return error.reason in _BROKE
    if error.reason == Reason.ERROR_REASON_UPSTREAM_TIMEOUT and error.retry_after_s is None:
        return False  # it would take as long again
    return isinstance(error, Throttled | Unavailable) and (not call.committed or begins_anew(call))


def is_pause(error: CallError) -> bool:
    """Asked of a refusal before anything was sent: it passes with the pauses that targets have asked for."""
    return error.reason == Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED


def counts_against(error: CallError) -> bool:
    """The failure of an attempt shows that the target does not work, rather than that it refuses or asks for less."""
    if isinstance(error, OutOfTime):
        return error.shows_silence
    return isinstance(error, Unavailable | Uncertain) and not isinstance(error, Unfetched)


def is_lost(error: CallError) -> bool:
    """No way to the target was found, or no answer came back in time."""
    return error.reason in _NO_ANSWER


def shows_life(error: CallError) -> bool:
    """The target has answered, if only with a refusal. Ask only of what was sent: this node refuses calls as well."""
    return isinstance(error, Throttled | Rejected | Blocked | Unfetched)


def most_hopeful(errors: Sequence[CallError]) -> CallError:
    """Which of the errors of its attempts a call ends with.

    What may have been billed is told first, because nothing that is told instead would be true. Else the one after
    which a repeat makes sense soonest; where none does, that of the first choice.
    """
    for error in errors:
        if error.possibly_billed:
            return error
    passing = [error for error in errors if isinstance(error, Throttled | Unavailable)]
    return min(passing, key=_pause_s, default=errors[0])


def _pause_s(error: CallError) -> float:
    return error.retry_after_s or 0.0


class Standing(IntEnum):
    """How a model at a target stands at a moment; the lower, the better."""

    READY = 0
    SLOW = 1
    """The call would have to wait for its turn there, or it asked for less traffic a moment ago."""
    ASIDE = 2
    """It refused this node."""
    OFFLINE = 3
    """It is not believed to be within reach."""
    RESTS = 4
    """Its breaker lets no call through."""
    WAITS = 5
    """It has told when to come back, and the time has not come."""


UNREACHABLE = (Standing.OFFLINE, Standing.RESTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A model at a target, as it stands.

    Attributes:
        place: Place of the target in the order of this call.
        model: Place of the model: 0 is the one that was asked, and then those that may stand in for it.
        local: The target is on this site.
        standing: How it stands.
        wait_s: How long the call would have to wait there, as far as is known; below 0.0: it belongs there.
    """

    place: int
    model: int
    local: bool
    standing: Standing
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What has become of one pass over the targets so far.

    Attributes:
        permitted: What the operator permits another model for.
        causes: Why the attempts of this round have failed; empty: there was none.
        lost: None of them has got an answer; so is a round without any.
        background: It is a stored job: it has time, and is answered by the model that it asks for, off this site.
    """

    permitted: AbstractSet[Cause]
    causes: AbstractSet[Cause] = frozenset()
    lost: bool = True
    background: bool = False


def choose(options: Iterable[Option], so_far: Round) -> Option | None:
    """The option for the next attempt; None: there is none.

    Args:
        options: Those that this call has not used up; of other models than the one asked, those that it may be given.
        so_far: What has become of the round.
    """
    far: list[Option] = []
    near: list[Option] = []
    for option in options:
        (near if option.local else far).append(option)
    asked = [option for option in far if not option.model]
    best = min(asked, key=_by_standing, default=None)
    if best is not None and best.standing <= Standing.SLOW:
        return best
    opened = not so_far.background and not so_far.permitted.isdisjoint(_causes(asked, so_far))
    ready = [option for option in far if option.model and option.standing is Standing.READY] if opened else []
    if ready:
        return min(ready, key=_by_model)
    if best is not None and best.standing is Standing.ASIDE:
        return best
    within_reach = [option for option in near if option.standing < Standing.OFFLINE]
    if within_reach and so_far.lost and not so_far.background and all(each.standing in UNREACHABLE for each in asked):
        return min(within_reach, key=_by_model)
    tries_all_the_same = best is not None and best.standing is Standing.OFFLINE and not so_far.causes
    return best if tries_all_the_same else None


def _causes(asked: Sequence[Option], so_far: Round) -> set[Cause]:
    """Why the model that was asked cannot be, by what was tried and by what is not even tried."""
    causes = set(so_far.causes) | {_CAUSES[option.standing] for option in asked}
    return causes or {Cause.BLOCKED}  # nobody serves it


_CAUSES = {
    Standing.SLOW: Cause.THROTTLED,
    Standing.ASIDE: Cause.BLOCKED,
    Standing.OFFLINE: Cause.UNAVAILABLE,
    Standing.RESTS: Cause.UNAVAILABLE,
    Standing.WAITS: Cause.THROTTLED,
}


def _by_standing(option: Option) -> tuple[int, float, int]:
    return option.standing, round(option.wait_s, 1), option.place  # less than that is not worth a higher tier


def _by_model(option: Option) -> tuple[int, int, int]:
    return option.model, option.standing, option.place


def in_order(tiers: Sequence[int], weights: Sequence[float], draws: Sequence[float]) -> list[int]:
    """Places of the targets in the order of one call: lower tiers first, and in a tier each by its share.

    Within a tier the target with the greatest draw ** (1 / weight) is first, which gives each its share of first
    places, and of the places after that among those that are left.

    Args:
        tiers: The tier of each target.
        weights: The weight of each.
        draws: A random number from [0, 1) for each.
    """
    keys = [(tier, -(draw ** (1 / weight))) for tier, weight, draw in zip(tiers, weights, draws, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def lot(target: str, key: str) -> float:
    """A number from [0, 1) that is the same each time for a target and a key, and even over many keys.

    A target that comes or goes moves the keys that it has, and no others.
    """
    digest = hashlib.blake2b(f"{target}\0{key}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)
