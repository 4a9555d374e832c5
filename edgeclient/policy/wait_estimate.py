"""How long a call that comes now will have to wait for its turn.

Two facts decide: how fast calls leave the line, and how many of its class leave before it. The first is measured while
calls wait, and only then, for the pace of a node with nothing to do says nothing about its pace under load: completions
over the time that they took, of the last ten seconds, or the last eight of them where answers take that long. While
none completes, the present pause counts as part of that time, so a provider that has stopped makes the estimate grow.

The second follows from the order of service: a class gets its part of the turns by its weight, and within it callers
take turns, so that a caller's next call stands behind at most as many calls of each other caller as it has itself.

An estimate, not a promise: weights of classes that come or go later are not known. None as long as nothing was seen.
"""

from math import exp
from typing import Final

HORIZON_S: Final = 10.0
_LEAST_MEMORY: Final = 7 / 8  # of a completion: the last eight count
_FORGET_S: Final = 60.0


class WaitEstimate:
    """Measures the pace; see the module."""

    __slots__ = ("_busy_s", "_count", "_ended_s", "_since_s")

    def __init__(self) -> None:
        self._count = 0.0
        self._busy_s = 0.0
        self._since_s: float | None = None
        self._ended_s = 0.0

    def __repr__(self) -> str:
        return f"<WaitEstimate {self._count:.1f} in {self._busy_s:.1f} s>"

    def waiting(self, now_s: float) -> None:
        """From now on calls wait."""
        if self._since_s is not None:
            return
        if now_s - self._ended_s > _FORGET_S:
            self._count = self._busy_s = 0.0
        self._since_s = now_s

    def nobody_waits(self, now_s: float) -> None:
        """From now on none waits."""
        if self._since_s is not None:
            self._busy_s += now_s - self._since_s
            self._since_s = None
            self._ended_s = now_s

    def completed(self, now_s: float) -> None:
        """A place has become free."""
        if self._since_s is None:
            return
        passed_s = now_s - self._since_s
        memory = max(exp(-passed_s / HORIZON_S), _LEAST_MEMORY)
        self._count = self._count * memory + 1.0
        self._busy_s = self._busy_s * memory + passed_s
        self._since_s = now_s

    def wait_s(self, ahead: int, share: float, now_s: float) -> float | None:
        """The estimate; None if nothing is known.

        Args:
            ahead: Calls of the same class that leave before.
            share: Part of the turns that the class gets, above 0.
            now_s: The present time.
        """
        if not self._count:
            return None
        pause_s = now_s - self._since_s if self._since_s is not None else 0.0
        return (ahead + 1) / share * (self._busy_s + pause_s) / self._count
