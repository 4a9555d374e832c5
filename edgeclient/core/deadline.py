"""A deadline is a value that travels; time-outs are derived from it.

It is a point on the monotonic clock, so neither a clock that is set nor a restart of NTP can move it. The functions
take `now` as an argument: no part of the house reads a clock to compare two points in time.
"""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """The moment at which the caller stops waiting.

    Attributes:
        at_s: Seconds on the monotonic clock; `inf` if the caller waits for ever.
    """

    at_s: float = inf

    @classmethod
    def after(cls, duration_s: float, *, now_s: float) -> "Deadline":
        """The deadline that is `duration_s` away from `now_s`."""
        return cls(now_s + duration_s)

    def remaining_s(self, now_s: float) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.at_s - now_s)

    def has_passed(self, now_s: float) -> bool:
        """Nothing that is begun now can be of use any more."""
        return now_s >= self.at_s
