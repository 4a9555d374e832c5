"""How many requests may be in progress at one target: the width, as TCP would choose it (AIMD).

While the width is in use, every success adds its share, so that a round of successes widens it by one; a setback makes
it narrower by a factor. Many nodes on one account come to equal shares by this, which no rule that only looks at its
own successes achieves. A success teaches something if all places were taken at a moment since its request began; a
width that nobody uses learns nothing and stays.

How much narrower: a refusal for too much traffic (429) says so plainly and halves the width. A failure or a time-out
may have other causes, a broken server or a device whose pictures cannot be fetched, and says so the more plainly the
more attempts fail: it takes off half of the share of recent attempts that failed. One failure in a hundred costs next
to nothing, a provider that answers nothing is halved like one that throttles. (TCP with explicit marks, DCTCP, does
the same; plain halving would hold a node whose provider fails once in a hundred calls to a width of 14.)

Requests that were in progress together fail together. A setback counts only once for all that began before it: the
number that `begin` returns tells which did.

After an outage, and when no setback was seen for a minute, which is as long as the provider's limits take to clear,
what was learnt is of the past: then every success adds one, which doubles the width with every round.
"""

from math import inf
from typing import Final

START: Final = 8
"""The width after an outage: enough for a site that works on, little beside what a fleet could send at once."""

MEMORY_S: Final = 60.0
_REFUSED: Final = 0.5
_SHARE_OF_ONE: Final = 1 / 16


class ConcurrencyLimit:
    """The width for one target; see the module.

    Args:
        most: Largest width, from the settings or, if that is less, from what the peer takes.

    Attributes:
        width: How many may be in progress now, at least one.
        most: As given.
    """

    __slots__ = ("_begun", "_failing", "_full", "_setback", "_setback_s", "_threshold", "_width", "most", "width")

    def __init__(self, *, most: int) -> None:
        self.most = most
        self.width = most
        self._width = float(most)
        self._threshold = float(most)
        self._failing = 0.0
        self._setback_s = -inf
        self._setback = 0
        self._full = 0
        self._begun = 0

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self.width} of {self.most}>"

    def begin(self, taken: int) -> int:
        """A request begins, and so many are in progress with it; returns the number that its outcome is told with."""
        self._begun += 1
        if taken >= self.width:
            self._full = self._begun
        return self._begun

    def succeeded(self, number: int, *, now_s: float) -> None:
        """A request was answered; of those that began before a setback nothing is learnt."""
        self._failing -= self._failing * _SHARE_OF_ONE
        if not self._setback < number <= self._full or self.width >= self.most:
            return
        if now_s - self._setback_s >= MEMORY_S:
            self._threshold = float(self.most)
        self._become(self._width + (1.0 if self._width < self._threshold else 1.0 / self.width))

    def failed(self, number: int, *, refused: bool, now_s: float) -> bool:
        """A request failed in a way that says that there may be too many.

        Args:
            number: Of that request.
            refused: The provider said so itself.
            now_s: The present time.

        Returns:
            Whether it counts: False if it is part of an earlier setback.
        """
        self._failing += (1.0 - self._failing) * _SHARE_OF_ONE
        if number <= self._setback:
            return False
        self._setback = self._begun
        self._setback_s = now_s
        self._become(self._width * (_REFUSED if refused else 1.0 - self._failing / 2))
        self._threshold = self._width
        return True

    def resume(self) -> None:
        """An outage is over: begin small, grow quickly."""
        self._setback = self._begun
        self._failing = 0.0
        self._threshold = float(self.most)
        self._become(min(self._width, START))

    def bound(self, most: int) -> None:
        """The peer takes no more than this, and that much if it took less before and nothing has failed since."""
        before, self.most = self.most, max(1, most)
        self._threshold = float(self.most) if self._threshold >= before else min(self._threshold, self.most)
        self._become(self._width)

    def _become(self, width: float) -> None:
        self._width = min(max(width, 1.0), float(self.most))
        self.width = int(self._width)
