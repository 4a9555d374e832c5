"""Another round, when it is free, allowed and in time.

Free: only `Unavailable` and `Throttled` are certain not to have been billed. An `Uncertain` attempt may have been paid
for and is not repeated here, unless the caller has asked for a fresh start of broken streams. Allowed: nothing has
reached the caller, or it would see two answers in one (again but for that wish), and the node may repeat something at
all (`policy/retry_budget.py`). In time: a pause that ends after the deadline is not begun, so the caller gets the true
cause now instead of a time-out later.

What was refused before anything was tried (no room to wait for a turn, a limit of the caller, no target that is asked
at present) was no attempt and is told at once: the refusal names a delay, and the caller decides. But where all targets
have asked for a pause, be it of this call or of another one before, a call that has the time waits until the first of
them is over; such a round costs no attempt.

One budget per call: every attempt of a call counts (`Call.attempt_count`), whoever begins it, so the route further
down, which tries other targets without a pause, cannot multiply attempts.

`stop` ends every pause: in a node that drains, a waiting call is better off elsewhere.
"""

import asyncio
from random import Random

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import CallError, Reason, Stopping
from edgeclient.core.events import RetryScheduled
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.route_events import RetryRefused
from edgeclient.policy.backoff import Backoff
from edgeclient.policy.retry_budget import RetryBudget
from edgeclient.policy.route import is_pause, may_repeat

_COME_BACK_S = 1.0  # another node, or this one after its restart


class Retry:
    """A stage; see the module.

    Args:
        config: Attempts and pauses.
        observe: Takes `RetryScheduled` and `RetryRefused`.
        clock: Tells whether a pause fits before the deadline.
        rng: Draws the jitter.
        budget: How much the node repeats, shared with the route, which counts the calls; None: as much as it likes.
    """

    def __init__(
        self,
        config: UpstreamConfig,
        *,
        observe: Observe,
        clock: Clock,
        rng: Random,
        budget: RetryBudget | None = None,
    ) -> None:
        self._max_attempts = config.max_attempts
        self._backoff = Backoff(initial_s=config.retry_initial_s, max_s=config.retry_max_s)
        self._observe = observe
        self._clock = clock
        self._rng = rng
        self._budget = budget
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End all pauses with `Stopping`, and begin none any more. May be called again."""
        self._stopping.set()

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call by the first attempt that succeeds."""
        failed_count = 0
        while True:
            begun_count, before_s = call.attempt_count, call.upstream_s
            try:
                return await forward(call)
            except CallError as error:
                is_tried = call.attempt_count > begun_count
                if not (is_tried or is_pause(error)) or not may_repeat(call, error):
                    raise
                failed_count += is_tried
                delay_s = self._delay_s(call, error, failed_count)
                if delay_s is None:
                    raise
                if self._stopping.is_set():
                    raise _stopping(error) from error
                if call.upstream_s > before_s and not self._may_repeat():
                    self._observe(RetryRefused(call_id=call.id, reason=error.reason_name))
                    raise
                self._observe(
                    RetryScheduled(
                        call_id=call.id, attempt=call.attempt_count, reason=error.reason_name, delay_s=delay_s
                    )
                )
                if await self._stopped_within(delay_s):
                    raise _stopping(error) from error

    def _delay_s(self, call: Call, error: CallError, failed_count: int) -> float | None:
        """The pause before the next attempt; None if there must be none."""
        if max(call.attempt_count, failed_count) >= self._max_attempts:
            return None
        delay_s = self._backoff.delay_s(failed_count, draw=self._rng.random(), least_s=error.retry_after_s or 0.0)
        return delay_s if call.deadline.remaining_s(self._clock.monotonic_s()) > delay_s else None

    def _may_repeat(self) -> bool:
        return self._budget is None or self._budget.take(self._clock.monotonic_s())

    async def _stopped_within(self, delay_s: float) -> bool:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True


def _stopping(cause: CallError) -> Stopping:
    return Stopping(
        Reason.ERROR_REASON_SHUTTING_DOWN,
        f"This node is shutting down, and the last attempt had failed: {cause.summary}",
        retry_after_s=_COME_BACK_S,
        possibly_billed=cause.possibly_billed,
    )
