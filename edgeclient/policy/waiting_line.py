"""Who waits, by class: whether another one finds room, what stands before it, and who has to go in its favour.

It does not know whose turn it is (`fair_queue.py` does); it knows numbers. Room is limited in calls and in bytes. When
there is none, the lowest class gives way to a higher one, its youngest call first: that one has lost the least, and
those before it would be lost for nothing if each newcomer pushed out the next. Nobody gives way to an equal.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping


class _Class:
    """Those of one class that wait."""

    __slots__ = ("by_caller", "seqs", "size_bytes", "sizes")

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.sizes: dict[int, int] = {}
        self.by_caller: dict[str, int] = {}
        self.size_bytes = 0


class WaitingLine:
    """Those that wait; see the module.

    Args:
        max_count: Most calls.
        max_bytes: Most bytes of requests.
        weights: Weight by rank; a higher rank is served first and is shed last.

    Attributes:
        count: Calls that wait.
        size_bytes: Their bytes.
    """

    def __init__(self, *, max_count: int, max_bytes: int, weights: Mapping[int, int]) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._weights = weights
        self._classes = {rank: _Class() for rank in sorted(weights)}
        self.count = 0
        self.size_bytes = 0

    def __repr__(self) -> str:
        return f"<WaitingLine {self.count} calls, {self.size_bytes} bytes>"

    def counts(self) -> dict[int, int]:
        """Calls that wait, by rank."""
        return {rank: len(waiting.seqs) for rank, waiting in self._classes.items()}

    def count_of(self, rank: int) -> int:
        """Calls of one rank that wait."""
        return len(self._classes[rank].seqs)

    def enter(self, rank: int, caller: str, seq: int, size_bytes: int) -> None:
        """A call waits."""
        waiting = self._classes[rank]
        insort(waiting.seqs, seq)
        waiting.sizes[seq] = size_bytes
        waiting.by_caller[caller] = waiting.by_caller.get(caller, 0) + 1
        waiting.size_bytes += size_bytes
        self.count += 1
        self.size_bytes += size_bytes

    def leave(self, rank: int, caller: str, seq: int) -> None:
        """A call that waited does so no more."""
        waiting = self._classes[rank]
        del waiting.seqs[bisect_left(waiting.seqs, seq)]
        size_bytes = waiting.sizes.pop(seq)
        left = waiting.by_caller[caller] - 1
        if left:
            waiting.by_caller[caller] = left
        else:
            del waiting.by_caller[caller]
        waiting.size_bytes -= size_bytes
        self.count -= 1
        self.size_bytes -= size_bytes

    def in_the_way(self, rank: int, size_bytes: int) -> list[int] | None:
        """Those that have to go for a newcomer, by `seq`, none as a rule; None if there is no room for it even so."""
        count, total_bytes = self.count + 1, self.size_bytes + size_bytes
        going: list[int] = []
        for seq, its_bytes in self._lower(rank):
            if count <= self._max_count and total_bytes <= self._max_bytes:
                return going
            going.append(seq)
            count -= 1
            total_bytes -= its_bytes
        return going if count <= self._max_count and total_bytes <= self._max_bytes else None

    def ahead(self, rank: int, caller: str) -> int:
        """How many of its class leave before a call that comes now; a little more at most, by counting in rounds."""
        waiting = self._classes[rank]
        own = waiting.by_caller.get(caller, 0)
        others = len(waiting.by_caller) - (own > 0)
        return own + min(len(waiting.seqs) - own, (own + 1) * others)

    def share(self, rank: int) -> float:
        """Part of the turns that a class gets now, if it waits."""
        busy = sum(self._weights[other] for other, waiting in self._classes.items() if waiting.seqs or other == rank)
        return self._weights[rank] / busy

    def _lower(self, rank: int) -> Iterator[tuple[int, int]]:
        """Those of lower rank with their bytes: the lowest first, of these the youngest first."""
        for other, waiting in self._classes.items():
            if other >= rank:
                return
            for seq in reversed(waiting.seqs):
                yield seq, waiting.sizes[seq]
