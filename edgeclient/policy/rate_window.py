"""How much was used within a stretch of time that slides, in bounded memory.

A use counts from the moment it is added until `period_s` after the moment it is stamped with, and then for at most one
part more: a window is cut into a hundred parts, a part leaves as a whole when its youngest moment is old enough. So no
window of `period_s` ever holds more than the limit that is asked of this one, wherever it begins; the price is that at
most a hundredth of the throughput is given away. A stamp may lie in the future, for a use whose moment is not known
yet but known to come no later; what has no such bound is held, and counts until it is released.

`now_s` never runs backwards.
"""

from collections.abc import Iterable
from math import floor

PARTS = 100
_GRAIN = 1e-6  # of a part: a moment that was computed as a part's end must not fall short of it by rounding


class RateWindow:
    """The uses within the last `period_s`; see the module.

    Args:
        period_s: Length of the window.
    """

    __slots__ = ("_gone", "_held", "_part_s", "_parts", "_total", "period_s")

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._part_s = period_s / PARTS
        self._parts: dict[int, int] = {}
        self._gone = -(1 << 62)  # the last part that has left
        self._total = 0
        self._held = 0

    def __repr__(self) -> str:
        return f"<RateWindow of {self.period_s:g} s, {self._total} used, {self._held} held>"

    def used(self, now_s: float) -> int:
        """What counts at this moment."""
        last = floor(now_s / self._part_s + _GRAIN) - PARTS - 1
        if last > self._gone:
            self._leave(last)
        return self._total + self._held

    def add(self, amount: int, at_s: float) -> None:
        """Count a use that happens at this moment at the latest; one that is too old to count changes nothing."""
        part = floor(at_s / self._part_s + _GRAIN)
        if part > self._gone:
            self._parts[part] = self._parts.get(part, 0) + amount
            self._total += amount

    def take(self, amount: int, at_s: float) -> None:
        """Undo an `add` of this amount and moment, unless it has left by itself."""
        part = floor(at_s / self._part_s + _GRAIN)
        if part > self._gone:
            self._parts[part] -= amount
            self._total -= amount

    def hold(self, amount: int) -> None:
        """Count a use whose moment nobody knows yet."""
        self._held += amount

    def release(self, amount: int) -> None:
        """Undo a `hold` of this amount."""
        self._held -= amount

    def fit_s(self, room: int, now_s: float) -> float | None:
        """The earliest moment at which no more than `room` counts if nothing is added; None: not before a release."""
        excess = self.used(now_s) - room
        if excess <= 0:
            return now_s
        if self._held > room:
            return None
        for part in sorted(self._parts):
            excess -= self._parts[part]
            if excess <= 0:
                return self._left_s(part)
        raise AssertionError("the parts do not add up to the total")

    def departures(self, now_s: float) -> list[tuple[float, int]]:
        """When something leaves and how much counts from then on, in the order of time."""
        left = self.used(now_s)
        found = []
        for part in sorted(self._parts):
            left -= self._parts[part]
            found.append((self._left_s(part), left))
        return found

    def ages(self, now_s: float, *, grain_s: float) -> list[tuple[float, int]]:
        """What counts, as age and amount, for `restore`; ages are rounded down so that nothing leaves too early."""
        by_age: dict[float, int] = {}
        self.used(now_s)
        for part, amount in self._parts.items():
            age_s = max(0.0, now_s - (part + 1) * self._part_s) // grain_s * grain_s
            by_age[age_s] = by_age.get(age_s, 0) + amount
        if self._held:
            by_age[0.0] = by_age.get(0.0, 0) + self._held
        return sorted((age_s, amount) for age_s, amount in by_age.items() if amount)

    def restore(self, ages: Iterable[tuple[float, int]], now_s: float) -> None:
        """Count what an earlier process has counted; `ages` are those of this moment."""
        self.used(now_s)
        for age_s, amount in ages:
            self.add(amount, now_s - age_s)

    def _left_s(self, part: int) -> float:
        return (part + PARTS + 1) * self._part_s

    def _leave(self, last: int) -> None:
        """Let all parts up to this one go; whichever way is shorter."""
        parts = self._parts
        if last - self._gone > len(parts):
            for part in [part for part in parts if part <= last]:
                self._total -= parts.pop(part)
        else:
            for part in range(self._gone + 1, last + 1):
                self._total -= parts.pop(part, 0)
        self._gone = last
