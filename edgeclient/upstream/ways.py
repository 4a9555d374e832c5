"""What the node has learned of each target: whether it works, whether it refuses this node, whether it is slow.

Three things are kept apart. A target that fails rests (`policy/breaker.py`). One that refuses this node (its key, its
account, a model) works, and a person has to act: it is set aside, that is asked after all others, and one call a minute
tries whether somebody has acted. One that asks for less traffic pauses (`policy/lane_pauses.py`).

`run` probes what has rested, so a target recovers without traffic too. A way that is found again ends a rest at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from random import Random

from edgeclient.core.call import Call
from edgeclient.core.errors import Blocked, CallError, ModelBlocked, Throttled
from edgeclient.core.events import Event, Uplink, UplinkChanged
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.route_events import Breaker, BreakerChanged, TargetSetAside, TargetTakenBack
from edgeclient.core.target import Target
from edgeclient.policy.breaker import TargetBreaker
from edgeclient.policy.lane_pauses import LanePauses
from edgeclient.policy.route import Standing, counts_against, in_order, lot, shows_life

ASIDE_S = 60.0
"""How often one call tries a target that has refused this node."""

_MOST_ASIDE = 256  # callers may ask for any dated snapshot of a model, so there is no end of models that there are not
_SHORTEST_WAIT_S = 0.1
_PROBE = "probe"
_TRIAL = "trial"


class Way:
    """A target, and what is known of it; see the module.

    Attributes:
        target: The target.
        breaker: Whether it is asked at all.
        opened: Set while it rests.
    """

    __slots__ = ("_clock", "_observe", "_rng", "_trial", "breaker", "opened", "target")

    def __init__(self, target: Target, *, observe: Observe, clock: Clock, rng: Random) -> None:
        self.target = target
        self.breaker = TargetBreaker()
        self.opened = asyncio.Event()
        self._observe = observe
        self._clock = clock
        self._rng = rng
        self._trial: tuple[int, Call, float] | None = None  # number, call, and when it had got a first piece before

    def admits(self, now_s: float) -> bool:
        """Whether an attempt may begin. A trial that has got a first piece has shown enough."""
        breaker = self.breaker
        if breaker.admits(now_s):
            return True
        if self._trial is not None:
            number, call, seen_s = self._trial
            if call.first_piece_at_s != seen_s:
                self.answered(number)
        return breaker.admits(now_s)

    def begin(self, call: Call, now_s: float) -> int:
        """Begin an attempt that `admits` permits; returns the number of the trial that it is, 0 for none."""
        trial = self.breaker.begin(now_s)
        if trial:
            self._trial = trial, call, call.first_piece_at_s
        return trial

    def answered(self, trial: int) -> None:
        """An attempt was answered."""
        breaker = self.breaker
        if breaker.state is Breaker.CLOSED:
            breaker.answered()
        else:
            self._trial = None if trial else self._trial
            self._told(lambda: breaker.answered(trial), _TRIAL)

    def failed(self, error: CallError, *, begun_s: float, trial: int) -> None:
        """An attempt was made, and failed."""
        if counts_against(error):
            now_s, draw = self._clock.monotonic_s(), self._rng.random()
            self._trial = None if trial else self._trial
            self._told(
                lambda: self.breaker.failed(begun_s=begun_s, now_s=now_s, draw=draw, trial=trial), error.reason_name
            )
        elif shows_life(error):
            self.answered(trial)
        else:
            self.left(trial)

    def left(self, trial: int) -> None:
        """An attempt has shown nothing of the target."""
        if trial:
            self._trial = None
            self.breaker.left(trial)

    def found(self) -> None:
        """The way there was lost, and is found again."""
        self._told(self.breaker.probe_answered, "uplink")

    async def keep_probing(self) -> None:
        """Probe whenever a rest is over. Ends only by cancellation."""
        while True:
            await self.opened.wait()
            await self._clock.sleep(max(0.0, self.breaker.rested_s - self._clock.monotonic_s()))
            if self.breaker.state is not Breaker.OPEN or self.breaker.rested_s > self._clock.monotonic_s():
                continue
            answers = await self._probe()
            now_s, draw = self._clock.monotonic_s(), self._rng.random()
            if answers:
                self._told(self.breaker.probe_answered, _PROBE)
            elif self.breaker.state is Breaker.OPEN:
                self.breaker.probe_lost(now_s=now_s, draw=draw)

    async def _probe(self) -> bool:
        try:
            return await self.target.probe()
        except CallError:
            return False

    def _told(self, change: Callable[[], None], cause: str) -> None:
        breaker = self.breaker
        before = breaker.state
        change()
        after = breaker.state
        if after is before:
            return
        if after is Breaker.OPEN:
            self.opened.set()
        else:
            self.opened.clear()
        rest_s = breaker.rest_s if after is Breaker.OPEN else 0.0
        self._observe(BreakerChanged(target=self.target.name, before=before, after=after, cause=cause, rest_s=rest_s))


class Ways:
    """All targets; see the module.

    Args:
        targets: The targets.
        observe: Takes `BreakerChanged`, `TargetSetAside` and `TargetTakenBack`.
        clock: Measures.
        rng: Spreads the rests.

    Attributes:
        all: One for each target.
        pauses: Which lanes have asked for less.
    """

    def __init__(self, targets: Sequence[Target], *, observe: Observe, clock: Clock, rng: Random) -> None:
        self.all = tuple(Way(target, observe=observe, clock=clock, rng=rng) for target in targets)
        self._observe = observe
        self._clock = clock
        self._tiers = [target.tier for target in targets]
        self._weights = [target.weight for target in targets]
        self._aside: dict[tuple[str, str], float] = {}  # account or target, with model: when it is tried again
        self.pauses = LanePauses()

    @property
    def aside_count(self) -> int:
        """How many accounts, and models at targets, are set aside."""
        return len(self._aside)

    def in_order(self, rng: Random, *, conversation: str = "") -> tuple[Way, ...]:
        """The targets in the order of one call.

        Args:
            rng: Draws it.
            conversation: What has the same order each time: its line keeps it in order, and its provider has cached
                what was said so far. "": nothing.
        """
        if len(self.all) == 1:
            return self.all
        if conversation:
            draws = [lot(way.target.name, conversation) for way in self.all]
        else:
            draws = [rng.random() for _ in self.all]
        return tuple(self.all[place] for place in in_order(self._tiers, self._weights, draws))

    async def run(self) -> None:
        """Probe whatever has rested. Ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            for way in self.all:
                group.create_task(way.keep_probing(), name=f"breaker {way.target.name}")

    def standing(self, way: Way, model_id: str, now_s: float) -> Standing:
        """How a model at a target stands now, pauses apart."""
        target = way.target
        if not way.admits(now_s):
            return Standing.RESTS
        if target.uplink() is Uplink.OFFLINE:
            return Standing.OFFLINE
        if self._aside and any(self._aside.get(key, -inf) > now_s for key in _aside_keys(target, model_id)):
            return Standing.ASIDE
        return Standing.READY

    def begin(self, way: Way, model_id: str, call: Call, now_s: float) -> int:
        """Begin an attempt; returns the number of the trial that it is. It takes the try of this minute."""
        for key in _aside_keys(way.target, model_id) if self._aside else ():
            if key in self._aside:
                self._aside[key] = max(self._aside[key], now_s + ASIDE_S)
        return way.begin(call, now_s)

    def answered(self, way: Way, model_id: str, trial: int) -> None:
        """An attempt was answered."""
        way.answered(trial)
        if self._aside:
            self._take_back(way.target, model_id)

    def failed(self, way: Way, model_id: str, error: CallError, *, begun_s: float, trial: int) -> None:
        """An attempt was made, and failed."""
        way.failed(error, begun_s=begun_s, trial=trial)
        target, now_s = way.target, self._clock.monotonic_s()
        if isinstance(error, Blocked):
            self._set_aside(target, model_id, error, now_s)
        elif shows_life(error) and self._aside:
            self._take_back(target, model_id)
        if isinstance(error, Throttled):
            self.pauses.throttled((target.account, model_id), error, now_s)

    def uplink_changed(self, event: Event) -> None:
        """Take the fact that an uplink has changed: a way that is found again is tried at once."""
        if isinstance(event, UplinkChanged) and event.before is Uplink.OFFLINE and event.after is not Uplink.OFFLINE:
            for way in self.all:
                if way.target.name == event.target:
                    way.found()

    def key_changed(self, account: str) -> None:
        """An account has a new key: what it was refused is tried again now."""
        for target in (way.target for way in self.all if way.target.account == account):
            owners = (_account(target), _target(target))
            for key in [key for key in self._aside if key[0] in owners]:
                self._forget(target.name, key)

    def opens_in_s(self, ways: Sequence[Way], now_s: float) -> float:
        """How long until one of them may be worth asking, but not so short that whoever is told would only spin."""
        return max(_SHORTEST_WAIT_S, min(way.breaker.opens_in_s(now_s) for way in ways))

    def _set_aside(self, target: Target, model_id: str, error: CallError, now_s: float) -> None:
        of_model = isinstance(error, ModelBlocked)
        key = (_target(target), model_id) if of_model else (_account(target), "")
        known = key in self._aside
        if not known and len(self._aside) >= _MOST_ASIDE:
            del self._aside[next(iter(self._aside))]
        self._aside[key] = now_s + ASIDE_S
        if not known:
            self._observe(
                TargetSetAside(target=target.name, model=key[1], reason=error.reason_name, problem=error.summary)
            )

    def _take_back(self, target: Target, model_id: str) -> None:
        for key in _aside_keys(target, model_id):
            if key in self._aside:
                self._forget(target.name, key)

    def _forget(self, target: str, key: tuple[str, str]) -> None:
        del self._aside[key]
        self._observe(TargetTakenBack(target=target, model=key[1]))


def _aside_keys(target: Target, model_id: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (_account(target), ""), (_target(target), model_id)


def _account(target: Target) -> str:
    return f"account {target.account}"


def _target(target: Target) -> str:
    return f"target {target.name}"
