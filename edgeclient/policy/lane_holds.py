"""Which models pause, for whom, and until when.

A lane is a model. It is held for a class and all below it, because a call of a higher class may ask for itself: what is
short for a large call of low priority may do for a small one of high priority. A hold ends with its time, or when
something was given back, unless it is firm: the provider itself asked for a pause.
"""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class _Hold:
    rank: int
    until_s: float
    firm: bool


class LaneHolds:
    """The lanes that are held; see the module."""

    __slots__ = ("_holds",)

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}

    def __len__(self) -> int:
        """Lanes that are held."""
        return len(self._holds)

    def __repr__(self) -> str:
        return f"<LaneHolds {sorted(self._holds)}>"

    def hold(self, lane: str, *, rank: int, until_s: float, firm: bool = False) -> None:
        """Calls of this rank and below wait; a firm hold outlasts one that is not."""
        held = self._holds.get(lane)
        if held is None or firm or not held.firm:
            self._holds[lane] = _Hold(rank, until_s, firm)

    def holds(self, rank: int, lane: str) -> bool:
        """Whether calls of this rank wait."""
        held = self._holds.get(lane)
        return held is not None and rank <= held.rank

    def until_s(self, rank: int, lane: str) -> float:
        """Until when calls of this rank wait; `-inf`: they do not."""
        held = self._holds.get(lane)
        return held.until_s if held is not None and rank <= held.rank else -inf

    def lift(self, lane: str) -> None:
        """Something was given back, or who was held first has left: ask again."""
        held = self._holds.get(lane)
        if held is not None and not held.firm:
            del self._holds[lane]

    def over(self, now_s: float) -> None:
        """Forget what is over."""
        for lane in [lane for lane, held in self._holds.items() if held.until_s <= now_s]:
            del self._holds[lane]

    def next_s(self) -> float:
        """When the next one is over; `inf`: there is none."""
        return min((held.until_s for held in self._holds.values()), default=inf)
