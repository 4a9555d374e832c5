"""A deadline is a value that travels; time-outs are derived from it.

It is a point on the monotonic clock, so neither a clock that is set nor a restart of NTP can move it. The functions
take `now` as an argument: no part of the house reads a clock to compare two points in time.
"""

from dataclasses import dataclass
from math import inf

_NOTICE = 0.1
_MOST_NOTICE_S = 1.0  # a commit on a slow flash card and a round trip over a bad radio link fit into it


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

    def just_before(self, now_s: float) -> "Deadline":
        """A little earlier, for who has something to say before the end: by a tenth of what is left, at most 1 s."""
        return Deadline(self.at_s - min(_MOST_NOTICE_S, self.remaining_s(now_s) * _NOTICE))

    def has_passed(self, now_s: float) -> bool:
        """Nothing that is begun now can be of use any more."""
        return now_s >= self.at_s
