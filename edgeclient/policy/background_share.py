"""How many places stored jobs may take beside live calls.

A job cannot be called off once it is sent, so what keeps live calls quick is decided before they come: jobs take only
what live calls have not needed of late, by the most of them that were there at one moment of the last half to full
minute, and never more than their share. One place they get in any case, or a busy node would never finish them; the
fair queue bounds how often they get that.
"""

from math import inf
from typing import Final

WINDOW_S: Final = 30.0


class BackgroundShare:
    """Remembers what live calls needed; see the module.

    Args:
        most: Largest part of the width that jobs may take.
    """

    __slots__ = ("_before", "_most", "_now", "_until_s")

    def __init__(self, *, most: float) -> None:
        self._most = most
        self._now = 0
        self._before = 0
        self._until_s = -inf

    def __repr__(self) -> str:
        return f"<BackgroundShare {self._most:g}, live calls needed {max(self._now, self._before)}>"

    def needed(self, live_count: int, now_s: float) -> None:
        """So many live calls are there, waiting ones included."""
        if now_s >= self._until_s:
            self._turn(now_s)
        self._now = max(self._now, live_count)

    def places(self, width: int, now_s: float) -> int:
        """How many places jobs may take now."""
        if now_s >= self._until_s:
            self._turn(now_s)
        return max(1, min(int(width * self._most), width - max(self._now, self._before)))

    def _turn(self, now_s: float) -> None:
        """Begin a new window."""
        self._before = self._now if now_s < self._until_s + WINDOW_S else 0
        self._now = 0
        self._until_s = now_s + WINDOW_S
