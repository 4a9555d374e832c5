"""Which day it is, for what is counted by the day: a number that grows, whatever the clock does.

A clock that is wrong must neither give a caller its budget twice nor keep it from it for long:

* The number never goes back because the clock does. A clock that jumps to and fro gives each day's budget once.
* After a clock that was ahead has been put right, the day that it had reached goes on until 24 hours after its
  beginning (or after the start of the process) at most, and then the true one is believed.

A node whose clock is wrong at its start (1970, as boards without a battery begin) goes on with the newest day that it
has stored.
"""

DAY_S = 86_400


class UtcDay:
    """The day; see the module.

    Args:
        now_s: The present moment on the monotonic clock.
        wall_s: The same moment in seconds since the Unix epoch.

    Attributes:
        number: Days since the Unix epoch.
    """

    __slots__ = ("_begun_s", "_offset_s", "number")

    def __init__(self, *, now_s: float, wall_s: float) -> None:
        self.number = int(wall_s // DAY_S)
        self._offset_s = wall_s - now_s
        self._begun_s = now_s

    def __repr__(self) -> str:
        return f"<UtcDay {self.number}>"

    def set_clock(self, *, now_s: float, wall_s: float) -> None:
        """Tell what time it is; to be repeated now and then, because wall time may jump."""
        self._offset_s = wall_s - now_s
        self.at(now_s)

    def go_on_with(self, number: int, *, now_s: float) -> None:
        """An earlier process had reached this day."""
        if number > self.number:
            self.number = number
            self._begun_s = now_s

    def at(self, now_s: float) -> int:
        """The number of the day at this moment."""
        told = int((now_s + self._offset_s) // DAY_S)
        if told > self.number or (told < self.number and now_s - self._begun_s >= DAY_S):
            self.number = told
            self._begun_s = now_s
        return self.number

    def ends_s(self, now_s: float) -> float:
        """When the next day begins, on the monotonic clock."""
        self.at(now_s)
        by_clock_s = (self.number + 1) * DAY_S - self._offset_s
        is_behind = now_s + self._offset_s < self.number * DAY_S
        return min(by_clock_s, self._begun_s + DAY_S) if is_behind else by_clock_s
