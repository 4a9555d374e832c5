"""The end of the road as retry and drainer see it: an attempt at the best target, and at once another if it fails.

What is decided where: which way is next and what an error means for it in `policy/route.py`, whether a target is asked
at all in `policy/breaker.py`, how much a node may repeat in `policy/retry_budget.py`, what is known of the targets in
`ways.py`. Here is what they have in common, the call: one budget of attempts (`Call.attempt_count`) and one deadline
for all that is tried for it, whoever begins it.

It pauses never. A round asks no target twice for the same model, and none that has told to be left alone; when it has
no way left, it ends with the error that leaves most hope, of those of its attempts and the pauses that are left, and
the stage before pauses and begins another round, or tells the caller.

What the caller has seen is final: after `Call.committed` nothing moves, unless the caller has asked for a fresh start
of broken streams. Then the first piece that comes after the break says so, and not the break itself: as long as there
is no other beginning, what the caller has stays valid.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from edgeclient.config.route_schema import RouteConfig
from edgeclient.core.call import Call, Delta, Emit, Reply
from edgeclient.core.errors import CallError
from edgeclient.core.events import Event
from edgeclient.core.models import Catalogue
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.route_events import CallMoved, RetryRefused, StreamRestarted
from edgeclient.core.target import Target
from edgeclient.policy.retry_budget import RetryBudget
from edgeclient.policy.route import step_after
from edgeclient.policy.route_cause import Cause
from edgeclient.upstream.tour import Choice, Permits, StandIns, Tour
from edgeclient.upstream.ways import Ways


class Route:
    """A handler; see the module. `run` is a task of whoever wires it.

    Args:
        config: Which models stand in for which, and when a call moves on.
        targets: The targets, at least one.
        max_attempts: Most attempts for one call; for a stored job, most in one go.
        catalogue: Names the models that stand in for others.
        permits: Which of them a call may be given.
        budget: How much the node repeats; shared with the retry stage.
        observe: Takes the events of `core/route_events.py`.
        clock: Measures.
        rng: Draws the order of the targets and the length of their rests.

    Raises:
        UnknownModelError: The configuration names a model that there is not.
    """

    def __init__(
        self,
        config: RouteConfig,
        targets: Sequence[Target],
        *,
        max_attempts: int,
        catalogue: Catalogue,
        permits: Permits,
        budget: RetryBudget,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._ways = Ways(targets, observe=observe, clock=clock, rng=rng)
        self._stand_ins = StandIns(config.fallback_models, catalogue=catalogue, permits=permits)
        self._permitted = frozenset(map(Cause, config.fall_back_on))
        self._moves_after_timeout = config.after_timeout == "move"
        self._max_attempts = max_attempts
        self._budget = budget
        self._observe = observe
        self._clock = clock
        self._rng = rng

    @property
    def ways(self) -> Ways:
        """What is known of the targets."""
        return self._ways

    async def run(self) -> None:
        """Keep looking whether targets that rest have recovered. Ends only by cancellation."""
        await self._ways.run()

    def uplink_changed(self, event: Event) -> None:
        """Take the fact that an uplink has changed."""
        self._ways.uplink_changed(event)

    def key_changed(self, account: str) -> None:
        """Take the fact that an account has a new key."""
        self._ways.key_changed(account)

    async def __call__(self, call: Call) -> Reply:
        """Answer the call by the first attempt that succeeds, or raise the error that leaves most hope."""
        asked, emit = call.model, call.emit
        now_s = self._clock.monotonic_s()
        tour = Tour(call, self._ways, self._stand_ins, permitted=self._permitted, rng=self._rng)
        most_attempts = self._max_attempts + (call.attempt_count if call.background else 0)
        choice = tour.first(now_s)
        if choice is not None and not call.attempt_count:
            self._budget.called(now_s)
        try:
            while choice is not None:
                try:
                    return await self._ask(choice, call, emit)
                except CallError as error:
                    choice = self._after(error, choice, call, tour, most_attempts)
        except BaseException:
            call.model = asked
            raise
        finally:
            call.emit = emit
        call.model = asked
        last = tour.error()
        last.possibly_billed = last.possibly_billed or call.possibly_billed_count > 0
        raise last

    async def _ask(self, choice: Choice, call: Call, emit: Emit | None) -> Reply:
        """Make one attempt and learn from it."""
        ways, way, model_id = self._ways, choice.way, choice.model.id
        call.model = choice.model
        if call.committed and emit is not None:
            call.emit = self._anew(call, way.target.name, emit)
        begun_s, begun_count = self._clock.monotonic_s(), call.attempt_count
        choice.before_s = call.upstream_s
        trial = ways.begin(way, model_id, call, begun_s)
        try:
            reply = await way.target.attempt(call)
        except CallError as error:
            if call.attempt_count > begun_count:
                ways.failed(way, model_id, error, begun_s=begun_s, trial=trial)
                call.possibly_billed_count += error.possibly_billed
            else:
                way.left(trial)
            raise
        except BaseException:
            way.left(trial)
            raise
        ways.answered(way, model_id, trial)
        if call.possibly_billed_count:
            reply.response.possibly_billed_count = call.possibly_billed_count
        return reply

    def _after(self, error: CallError, failed: Choice, call: Call, tour: Tour, most_attempts: int) -> Choice | None:
        """What is asked after a failed attempt; None: nothing, and the round is over.

        Raises:
            CallError: The same, because the call ends with it.
        """
        step = step_after(call, error, moves_after_timeout=self._moves_after_timeout)
        if step is None:
            error.possibly_billed = error.possibly_billed or call.possibly_billed_count > 0
            raise error
        now_s = self._clock.monotonic_s()
        tour.failed(failed, step, error, now_s)
        if call.attempt_count >= most_attempts or call.deadline.has_passed(now_s):
            return None
        choice = tour.next(now_s)
        if choice is None:
            return None
        if call.upstream_s > failed.before_s and not self._budget.take(now_s):
            self._observe(RetryRefused(call_id=call.id, reason=error.reason_name))
            return None
        self._observe(
            CallMoved(
                call_id=call.id,
                asked=tour.asked.id,
                before=failed.way.target.name,
                after=choice.way.target.name,
                model_before=failed.model.id,
                model_after=choice.model.id,
                reason=error.reason_name,
            )
        )
        return choice

    def _anew(self, call: Call, target: str, emit: Emit) -> Emit:
        """Says with the first piece that the answer begins anew."""
        begun = False

        async def hand_on(delta: Delta) -> None:
            nonlocal begun
            if not begun:
                begun = True
                delta = replace(delta, anew=True)
                self._observe(StreamRestarted(call_id=call.id, target=target))
            await emit(delta)

        return hand_on
