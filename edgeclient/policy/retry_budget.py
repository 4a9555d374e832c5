"""How much of what a node asks may be asked again.

Every call may be repeated a few times, so a provider that fails would get a multiple of its load just then. So all
repeats of the node together, be they at the same target or at another, are at most a fifth of the calls of the last
minute, and a few more, so that a quiet node can repeat as well. A call that finds nothing left ends with the error that
it has. What was never sent is no load, and a repeat of it costs nothing.

The last minute is the present second and the 60 before it.
"""

SHARE_PERCENT = 20
FLOOR = 10
"""Repeats per minute that a quiet node has: with three attempts for a call, five calls may fail altogether."""

_SECONDS = 61


class RetryBudget:
    """See the module. Reads no clock; `now_s` never runs backwards."""

    __slots__ = ("_call_count", "_calls", "_repeat_count", "_repeats", "_second")

    def __init__(self) -> None:
        self._calls = [0] * _SECONDS
        self._repeats = [0] * _SECONDS
        self._call_count = self._repeat_count = 0
        self._second = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._repeat_count} repeats of {self._call_count} calls>"

    def called(self, now_s: float) -> None:
        """A call makes its first attempt."""
        second = int(now_s)
        if second != self._second:
            self._move_on(second)
        self._calls[second % _SECONDS] += 1
        self._call_count += 1

    def take(self, now_s: float) -> bool:
        """Take leave for one repeat; False: there is none left."""
        second = int(now_s)
        if second != self._second:
            self._move_on(second)
        if self._repeat_count >= FLOOR + self._call_count * SHARE_PERCENT // 100:
            return False
        self._repeats[second % _SECONDS] += 1
        self._repeat_count += 1
        return True

    def _move_on(self, second: int) -> None:
        """Forget the seconds that are a minute old."""
        for each in range(max(self._second + 1, second - _SECONDS + 1), second + 1):
            place = each % _SECONDS
            self._call_count -= self._calls[place]
            self._repeat_count -= self._repeats[place]
            self._calls[place] = self._repeats[place] = 0
        self._second = second
