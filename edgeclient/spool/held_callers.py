"""Callers that are at a limit of their own: their jobs keep their places in the queue, and are passed over.

What is short is known only when an attempt is to be reserved (`stages/dispatch`), which costs reading the request. So
after such a refusal none of that caller's jobs is taken before the moment that the refusal names; nothing is written
down meanwhile, the jobs of others go on, and the caller has its turns again from that moment on.

A limit per minute is full for all of a caller's jobs alike, more or less, and soon over. What is left of a budget may
still pay for another job, and it lasts until midnight: such a job waits by itself, and asks again now and then, for a
budget can be raised.
"""

from math import inf

from edgeclient.core.errors import CallError
from edgeclient.core.ports import Clock

_LONGEST_HOLD_S = 70.0  # a window of a minute, and the time for a request to arrive
_SHORTEST_HOLD_S = 0.05  # the end of an attempt that has to come first is a guess
_ASK_AGAIN_S = 300.0


class HeldCallers:
    """Which they are, and until when; see the module. Bounded by the callers that were refused within a minute.

    Args:
        clock: Measures.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._until_s: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<HeldCallers {len(self._until_s)}>"

    def refused(self, caller: str, error: CallError) -> float:
        """A job of this caller was refused for the caller's own limit; returns how long that job waits by itself."""
        wait_s = error.retry_after_s or 0.0
        if wait_s > _LONGEST_HOLD_S:
            return min(wait_s, _ASK_AGAIN_S)
        self._until_s[caller] = self._clock.monotonic_s() + max(wait_s, _SHORTEST_HOLD_S)
        return 0.0

    def holds(self, caller: str) -> bool:
        """Whether the jobs of this caller are passed over at present."""
        return bool(self._until_s) and self._until_s.get(caller, -inf) > self._clock.monotonic_s()

    def due_s(self, looked_s: float) -> float:
        """When the next of those held at that moment has its turns again, on the monotonic clock; `inf`: none is."""
        self._until_s = {caller: until_s for caller, until_s in self._until_s.items() if until_s > looked_s}
        return min(self._until_s.values(), default=inf)
