"""A number that a given part of what comes stays below, learnt as it comes, in two floats.

Each value above it raises it by much, each below lowers it by little, in the proportion that leaves it where it is once
the right part lies below. It forgets as it goes, so it follows traffic that changes: after ten values in a row above
it, it is seventeen times as high.
"""

from math import exp


class RunningQuantile:
    """See the module.

    Args:
        first: Where it begins.
        part: The part of the values that is to lie below it, from 0 to 1.
        least, most: It never leaves these.
        step: How far one value moves it, as an exponent.
    """

    __slots__ = ("_down", "_least", "_most", "_up", "value")

    def __init__(self, *, first: float, part: float, least: float, most: float, step: float = 0.3) -> None:
        self.value = min(max(first, least), most)
        self._up = exp(step * part)
        self._down = exp(-step * (1 - part))
        self._least = least
        self._most = most

    def learn(self, value: float) -> None:
        """One more has come."""
        moved = self.value * (self._up if value > self.value else self._down)
        self.value = min(max(moved, self._least), self._most)
