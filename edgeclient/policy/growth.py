"""The provider's rule against traffic that grows too fast, even below every limit.

Up to a number of tokens per minute it may grow at once; above that, the last minute may hold at most 30 % more than
the minute five minutes ago. The numbers of the provider are not public; this is how it describes the rule.

The minute five minutes ago is counted in whole seconds that lie entirely in it, so up to two of its sixty seconds are
left out, which errs on the safe side. What nobody has ended yet is not in it either.
"""

from collections import deque
from collections.abc import Sequence
from math import ceil, floor

AGO_S = 300
MINUTE_S = 60
GROWTH_PERCENT = 130
_AHEAD_S = 64  # by then everything that has ended has left the minute


class Growth:
    """What was used in each of the last six minutes' seconds; see the module."""

    __slots__ = ("_newest", "_seconds")

    def __init__(self) -> None:
        self._seconds: dict[int, int] = {}
        self._newest = -(1 << 62)

    def add(self, amount: int, at_s: float) -> None:
        """Count a use at this moment."""
        second = floor(at_s)
        if second > self._newest:
            self._newest = second
            for old in [each for each in self._seconds if each <= second - AGO_S - MINUTE_S - 1]:
                del self._seconds[old]
        self._seconds[second] = self._seconds.get(second, 0) + amount

    def allowed(self, at_once: int, now_s: float) -> int:
        """Most tokens that the minute up to this moment may hold.

        Args:
            at_once: What is allowed whatever was before.
            now_s: The moment.
        """
        first, last = ceil(now_s - AGO_S - MINUTE_S), floor(now_s - AGO_S)
        seconds = self._seconds
        before = sum(seconds.get(second, 0) for second in range(first, last)) if seconds else 0
        return max(at_once, before * GROWTH_PERCENT // 100)

    def fit_s(
        self,
        at_once: int,
        needed: int,
        *,
        used: int,
        departures: Sequence[tuple[float, int]],
        now_s: float,
        from_s: float,
    ) -> float | None:
        """The first moment at which so much more is allowed; None: not before something that is held is released.

        Args:
            at_once: What is allowed whatever was before.
            needed: How much more, `at_once` at most.
            used: What the last minute holds now.
            departures: What it holds later, by moment.
            now_s: The present moment.
            from_s: The first moment that is of use.
        """
        ahead = deque(departures)
        seconds = (float(int(now_s) + second) for second in range(1, _AHEAD_S))
        moments = {from_s, *(at_s for at_s, _ in departures), *seconds}
        for moment_s in sorted(moment_s for moment_s in moments if moment_s >= from_s):
            while ahead and ahead[0][0] <= moment_s:
                _, used = ahead.popleft()
            if used + needed <= self.allowed(at_once, moment_s):
                return moment_s
        return None

    def ages(self, now_s: float) -> list[tuple[float, int]]:
        """What counts, as age and amount, for `restore`."""
        return [(now_s - second - 0.5, amount) for second, amount in sorted(self._seconds.items())]

    def restore(self, ages: list[tuple[float, int]], now_s: float) -> None:
        """Count what an earlier process has counted; `ages` are those of this moment."""
        for age_s, amount in ages:
            self.add(amount, now_s - age_s)

    def is_empty(self, now_s: float) -> bool:
        """Nothing of it counts any more, or ever will."""
        return self._newest <= now_s - AGO_S - MINUTE_S - 1
