"""Callers take turns: one priority of the fair queue.

Each caller has its candidates in order of acceptance, by lanes. A lane is what candidates have in common that may hold
up all of them (the model whose limit is reached); while it is closed, its caller goes on with those of other lanes, and
a caller who has no others keeps its place in the row for later.

A heap holds order numbers; what left its place is dropped from it when it comes to the top.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeVar

Item = TypeVar("Item", bound=Any)


class CallerTurns:
    """The row of callers; see the module.

    Args:
        stride: How far a turn moves this priority forward.

    Attributes:
        stride: As given.
        passed: How far it has come.
    """

    __slots__ = ("_callers", "_first", "_lanes", "passed", "stride")

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.passed = 0
        self._callers: deque[str] = deque()
        self._lanes: dict[str, dict[str, list[int]]] = {}
        self._first: list[int] = []

    def push(self, caller: str, lane: str, seq: int) -> None:
        """There is a candidate of this caller."""
        lanes = self._lanes.get(caller)
        if lanes is None:
            lanes = self._lanes[caller] = {}
            self._callers.append(caller)
        heap = lanes.get(lane)
        if heap is None:
            heap = lanes[lane] = []
        heappush(heap, seq)

    def first(self, is_ready: Callable[[int], bool], is_closed: Callable[[str], bool]) -> int | None:
        """The candidate whose turn it is, if any. Callers without candidates lose their place in the row."""
        for _ in range(len(self._callers)):
            lanes = self._lanes[self._callers[0]]
            found = _oldest(lanes, is_ready, is_closed)
            if found is not None:
                self._first = found
                return found[0]
            if lanes:
                self._callers.rotate(-1)
            else:
                del self._lanes[self._callers.popleft()]
        return None

    def take(self) -> None:
        """Take the candidate that `first` has found; it is the next caller's turn."""
        heappop(self._first)
        self._callers.rotate(-1)
        self.passed += self.stride


def _oldest(
    lanes: dict[str, list[int]], is_ready: Callable[[int], bool], is_closed: Callable[[str], bool]
) -> list[int] | None:
    """The heap of the oldest candidate in a lane that is open; lanes without candidates are removed."""
    found: list[int] | None = None
    for lane, heap in tuple(lanes.items()):
        drop(heap, is_ready)
        if not heap:
            del lanes[lane]
        elif (found is None or heap[0] < found[0]) and not is_closed(lane):
            found = heap
    return found


def drop(heap: list[Item], is_live: Callable[[Item], bool]) -> None:
    """Take from the top of a heap what is of the past."""
    while heap and not is_live(heap[0]):
        heappop(heap)
