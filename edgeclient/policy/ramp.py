"""How many jobs may be under way: little after an outage, more with every success, little again after a setback.

When a link comes back to a site, or a provider recovers, every node has a queue to empty. If all begin at once, at full
width, they bring down again what has just come up. So a node waits for a random moment within the spread, begins with
one job, and grows as TCP does: by one per success, which doubles the width with every round, up to the width that half
survived last time; from there by one per round. A setback (a loss of the way, a throttle) halves that mark and begins
again with one, after a pause if one is given.

Jobs that were under way together fail together. A setback counts only once for all that began before it: the mark that
`begin` returns tells which did.
"""

from math import inf


class Ramp:
    """The width; see the module.

    Args:
        most: Largest width.
        spread_s: The start after an outage is put off by a random part of this.
    """

    __slots__ = ("_mark", "_most", "_spread_s", "_start_s", "_threshold", "_width")

    def __init__(self, *, most: int, spread_s: float) -> None:
        self._most = most
        self._spread_s = spread_s
        self._start_s = -inf
        self._threshold = float(most)
        self._width = 1.0
        self._mark = 0

    def __repr__(self) -> str:
        return f"<Ramp {int(self._width)} of {self._most}>"

    @property
    def start_s(self) -> float:
        """Nothing begins before this moment."""
        return self._start_s

    def limit(self, now_s: float) -> int:
        """How many may be under way at this moment."""
        return int(self._width) if now_s >= self._start_s else 0

    def resume(self, now_s: float, *, draw: float) -> None:
        """The outage is over.

        Args:
            now_s: The present time.
            draw: A random number from [0, 1).
        """
        self._start_s = now_s + draw * self._spread_s
        self._width = 1.0

    def begin(self) -> int:
        """An attempt begins; returns the mark to give back with its outcome."""
        return self._mark

    def succeeded(self, mark: int) -> None:
        """An attempt got its answer; of those that began before a setback nothing is learnt."""
        if mark == self._mark:
            step = 1.0 if self._width < self._threshold else 1.0 / int(self._width)
            self._width = min(float(self._most), self._width + step)

    def setback(self, mark: int, *, until_s: float = -inf) -> bool:
        """An attempt was lost or throttled.

        Args:
            mark: Of that attempt.
            until_s: Nothing begins before this moment.

        Returns:
            Whether it counts: False if it is part of an earlier setback.
        """
        if mark != self._mark:
            return False
        self._mark += 1
        self._threshold = max(1.0, self._width / 2)
        self._width = 1.0
        self._start_s = max(self._start_s, until_s)
        return True
