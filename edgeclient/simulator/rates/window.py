"""How much was used within the last seconds: exactly, and for the growth rule by whole seconds.

`now_s` is an argument and never runs backwards, so every count can be tested with values.
"""

from collections import deque
from typing import Final

KEPT_S: Final = 3_600  # of the history; the growth rule may look back almost as far


class Window:
    """What was used after `now - period` and up to now; a use leaves when exactly `period_s` has passed."""

    __slots__ = ("_period_s", "_total", "_uses", "highest")

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._uses: deque[tuple[float, int]] = deque()  # bounded by what the clients send within the period
        self._total = 0
        self.highest = 0

    def used(self, now_s: float) -> int:
        """The sum of the uses within the window."""
        uses, ended = self._uses, now_s - self._period_s
        while uses and uses[0][0] <= ended:
            self._total -= uses.popleft()[1]
        return self._total

    def add(self, now_s: float, amount: int) -> None:
        """Use some more."""
        self._uses.append((now_s, amount))
        self._total += amount
        self.highest = max(self.highest, self.used(now_s))


class History:
    """Use by whole seconds, for the growth rule."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()

    def add(self, now_s: float, amount: int) -> None:
        """Use some more."""
        second = int(now_s)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + amount)
        else:
            self._seconds.append((second, amount))
        while self._seconds[0][0] < second - KEPT_S:
            self._seconds.popleft()

    def within(self, begin_s: float, end_s: float) -> int:
        """The sum over the seconds that began after `begin_s` and not after `end_s`."""
        return sum(amount for second, amount in self._seconds if begin_s < second <= end_s)
