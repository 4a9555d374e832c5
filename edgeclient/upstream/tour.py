"""One pass of a call over the targets: what it may ask, what it has used up, and what is left in the end.

The first choice is as a rule the first target, and found without looking at the others.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from random import Random

from edgeclient.core.call import Call
from edgeclient.core.errors import CallError, ModelBlocked, Reason, Throttled, Unavailable
from edgeclient.core.models import Catalogue, ModelSpec
from edgeclient.policy.route import (
    UNREACHABLE,
    Option,
    Round,
    Scope,
    Standing,
    Step,
    choose,
    is_lost,
    most_hopeful,
)
from edgeclient.policy.route_cause import Cause
from edgeclient.upstream.ways import Way, Ways

Permits = Callable[[Call, ModelSpec], bool]
"""Whether a call may be answered by this model: it is open to the caller, and can do what the request asks."""


class StandIns:
    """The models that may answer for others.

    Args:
        names: Name of the stand-in by the name of a model.
        catalogue: Knows the names.
        permits: Which of them a call may be given.

    Raises:
        UnknownModelError: There is no model of a name.
    """

    def __init__(self, names: Mapping[str, str], *, catalogue: Catalogue, permits: Permits) -> None:
        self._permits = permits
        direct = {catalogue.resolve(name).id: catalogue.resolve(stand_in) for name, stand_in in names.items()}
        self._chains = {model_id: _chain(model_id, direct) for model_id in direct}

    def of(self, call: Call, model: ModelSpec) -> list[ModelSpec]:
        """Those that this call may be given instead of the model, best first."""
        return [spec for spec in self._chains.get(model.id, ()) if self._permits(call, spec)]


def _chain(model_id: str, direct: Mapping[str, ModelSpec]) -> tuple[ModelSpec, ...]:
    chain: list[ModelSpec] = []
    spec = direct.get(model_id)
    while spec is not None and spec.id != model_id and spec not in chain:
        chain.append(spec)
        spec = direct.get(spec.id)
    return tuple(chain)


class Choice:
    """A model at a target.

    Attributes:
        way: The target.
        model: The model.
        before_s: What the call had spent waiting for providers when this was begun.
    """

    __slots__ = ("before_s", "model", "way")

    def __init__(self, way: Way, model: ModelSpec) -> None:
        self.way = way
        self.model = model
        self.before_s = 0.0


class Tour:
    """See the module.

    Args:
        call: The call; its model is the one that was asked.
        ways: The targets.
        stand_ins: Other models.
        permitted: Why one of them may be asked.
        rng: Draws the order of the targets of a tier.

    Attributes:
        asked: The model that was asked.
    """

    __slots__ = (
        "_call",
        "_causes",
        "_errors",
        "_looked_s",
        "_lost",
        "_models",
        "_order",
        "_permitted",
        "_spent",
        "_stand_ins",
        "_ways",
        "asked",
    )

    def __init__(
        self, call: Call, ways: Ways, stand_ins: StandIns, *, permitted: AbstractSet[Cause], rng: Random
    ) -> None:
        if call.model is None:
            raise RuntimeError("the validation stage sets the model of every call")
        self._call = call
        self.asked = call.model
        self._ways = ways
        self._stand_ins = stand_ins
        self._permitted = permitted
        self._order = ways.in_order(rng, conversation=_conversation(call))
        self._models: list[ModelSpec] = []
        self._spent: set[tuple[Scope, str, str]] = set()
        self._causes: set[Cause] = set()
        self._lost = True
        self._looked_s = 0.0
        self._errors: list[CallError] = []

    def first(self, now_s: float) -> Choice | None:
        """What is asked first; None: nothing can be."""
        asked = self.asked
        if self._call.request.conversation_id and len(self._order) > 1:
            return self.next(now_s)  # it may belong to any of them
        for way in self._order:
            target = way.target
            if (
                not target.local
                and target.serves(asked.id) is not None
                and self._standing(way, asked, now_s)[0] is Standing.READY
            ):
                return Choice(way, asked)
        return self.next(now_s)

    def next(self, now_s: float) -> Choice | None:
        """What is asked next; None: there is nothing left."""
        self._looked_s = now_s
        if not self._models:
            self._models = [self.asked, *self._stand_ins.of(self._call, self.asked)]
        so_far = Round(
            permitted=self._permitted,
            causes=self._causes,
            lost=self._lost,
            background=self._call.background,
        )
        option = choose(self._options(now_s), so_far)
        return None if option is None else Choice(self._order[option.place], self._models[option.model])

    def failed(self, choice: Choice, step: Step, error: CallError, now_s: float) -> None:
        """What was chosen has failed, and this is what follows."""
        self._looked_s = now_s
        if step.scope is Scope.LANE:
            lanes = self._call.not_before_s = self._call.not_before_s or {}
            lanes[choice.way.target.account, choice.model.id] = now_s + (error.retry_after_s or 0.0)
        self._errors.append(error)
        self._causes.add(step.cause)
        self._lost = self._lost and is_lost(error)
        self._spent.add(_key(step.scope, choice.way, choice.model.id))

    def error(self) -> CallError:
        """What the round ends with if nothing is left, as it was when that was found: a pause may be over since."""
        paused = self._paused(self._looked_s)
        errors = self._errors if paused is None else [*self._errors, paused]
        return most_hopeful(errors) if errors else self._nobody(self._looked_s)

    def _options(self, now_s: float) -> Iterator[Option]:
        for number, model in enumerate(self._models):
            for place, way in enumerate(self._order):
                if way.target.serves(model.id) is None or self._is_spent(way, model.id):
                    continue
                standing, wait_s = self._standing(way, model, now_s)
                yield Option(place=place, model=number, local=way.target.local, standing=standing, wait_s=wait_s)

    def _standing(self, way: Way, model: ModelSpec, now_s: float) -> tuple[Standing, float]:
        """How a model at a target stands for this call, and how long the call would wait there."""
        standing, pauses = self._ways.standing(way, model.id, now_s), self._ways.pauses
        if standing in UNREACHABLE:
            return standing, 0.0
        own, guessed_s = self._call.not_before_s, 0.0
        if pauses or own:
            lane = way.target.account, model.id
            told_s = max(pauses.told_s(lane, now_s), (own or {}).get(lane, now_s) - now_s)
            if told_s > 0:
                return Standing.WAITS, told_s
            guessed_s = pauses.guessed_s(lane, now_s)
        if standing is not Standing.READY:
            return standing, 0.0
        line_s = self._line_s(way, model, now_s)
        wait_s = max(guessed_s, line_s) if guessed_s else line_s
        return (Standing.SLOW if wait_s > 0 else Standing.READY), wait_s

    def _line_s(self, way: Way, model: ModelSpec, now_s: float) -> float:
        """How long the call would stand in the line of a target; who has no choice does not ask."""
        if len(self._order) == 1:
            return 0.0
        call, before = self._call, self._call.model
        call.model = model
        try:
            return way.target.wait_s(call, now_s)
        finally:
            call.model = before

    def _is_spent(self, way: Way, model_id: str) -> bool:
        return bool(self._spent) and any(_key(scope, way, model_id) in self._spent for scope in Scope)

    def _paused(self, now_s: float) -> CallError | None:
        """That of those which were not asked in this round one may be before long; None: none has asked for a pause."""
        waits_s, rests_s = [], []
        for way in self._order:
            if way.target.local or way.target.serves(self.asked.id) is None or self._is_spent(way, self.asked.id):
                continue
            standing, wait_s = self._standing(way, self.asked, now_s)
            if standing is Standing.WAITS:
                waits_s.append(wait_s)
            elif standing is Standing.RESTS:
                rests_s.append(self._ways.opens_in_s([way], now_s))
        if not waits_s:
            return None
        what = "the other targets" if self._errors else "all targets"
        sent = "" if self._errors else "; nothing was sent"
        wait_s = min(waits_s + rests_s)
        return Throttled(
            Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED,
            f"{what} that serve {self.asked.id} have asked for less traffic, one may be asked in {wait_s:.1f} s{sent}",
            retry_after_s=wait_s,
        )

    def _nobody(self, now_s: float) -> CallError:
        """Nothing was tried, because nothing could be."""
        model_id = self.asked.id
        serving = [way for way in self._order if way.target.serves(model_id) is not None]
        usable = [way for way in serving if not (way.target.local and self._call.background)]
        if not usable:
            who = "that a stored job may use " if serving else ""
            return ModelBlocked(
                Reason.ERROR_REASON_MODEL_NOT_FOUND, f"no target {who}serves {model_id}; nothing was sent"
            )
        if {self._ways.standing(way, model_id, now_s) for way in usable} == {Standing.OFFLINE}:
            return Unavailable(
                Reason.ERROR_REASON_UPLINK_OFFLINE, f"no target that serves {model_id} can be reached; nothing was sent"
            )
        wait_s = self._ways.opens_in_s(usable, now_s)
        return Unavailable(
            Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE,
            f"every target that serves {model_id} rests after failures, one will be tried in {wait_s:.1f} s;"
            " nothing was sent",
            retry_after_s=wait_s,
        )


def _key(scope: Scope, way: Way, model_id: str) -> tuple[Scope, str, str]:
    target = way.target
    if scope is Scope.TARGET:
        return scope, target.name, ""
    if scope is Scope.ACCOUNT:
        return scope, target.account, ""
    return scope, target.account if scope is Scope.LANE else target.name, model_id


def _conversation(call: Call) -> str:
    """The conversation that a call is part of, told apart from those of other callers; "" if it is part of none."""
    conversation_id = call.request.conversation_id
    return f"{call.caller}/{conversation_id}" if conversation_id else ""
