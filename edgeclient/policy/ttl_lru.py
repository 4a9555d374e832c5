"""What stays in memory: bounded in number, bytes and age, and every step in constant time.

Two orders are kept: by use, whose head goes when room is needed, and by insertion, whose head is looked at with every
insertion, so that what is too old goes without a sweep over everything. What is inserted with a past (found on the
disk, say) stands behind younger entries in the second order and is then noticed late; it is never handed out late,
because its age is asked at every look.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_LOOKS_PER_INSERTION = 2  # more than one, so that the backlog of a burst shrinks


@dataclass(slots=True, frozen=True)
class _Entry(Generic[V]):
    value: V
    size_bytes: int
    born_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How many entries an insertion has removed, the replaced one apart.

    Attributes:
        for_age: They were too old.
        for_room: The least recently used ones.
    """

    for_age: int = 0
    for_room: int = 0


_NOTHING = Removed()


class TtlLru(Generic[K, V]):
    """See the module. Times are seconds on any clock that never jumps.

    Args:
        max_count: Most entries.
        max_bytes: Most bytes, by the sizes that are given.
        keep_s: Older entries are as good as gone.
    """

    def __init__(self, *, max_count: int, max_bytes: int, keep_s: float) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._by_use: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._by_insertion: OrderedDict[K, None] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._by_use)

    def get(self, key: K, *, now_s: float) -> tuple[V, float] | None:
        """The value and its age in seconds; counts as a use."""
        entry = self._by_use.get(key)
        if entry is None:
            return None
        age_s = now_s - entry.born_s
        if age_s > self._keep_s:
            self.remove(key)
            return None
        self._by_use.move_to_end(key)
        return entry.value, age_s

    def put(self, key: K, value: V, *, size_bytes: int, born_s: float, now_s: float) -> Removed:
        """Insert in place of the one before; what is larger than everything together, or too old, is not taken."""
        self.remove(key)
        if size_bytes > self._max_bytes or not self._max_count or now_s - born_s > self._keep_s:
            return _NOTHING
        for_age = self._drop_old(now_s)
        for_room = 0
        while len(self._by_use) >= self._max_count or self.size_bytes + size_bytes > self._max_bytes:
            self.remove(next(iter(self._by_use)))
            for_room += 1
        self._by_use[key] = _Entry(value, size_bytes, born_s)
        self._by_insertion[key] = None
        self.size_bytes += size_bytes
        return Removed(for_age=for_age, for_room=for_room) if for_age or for_room else _NOTHING

    def remove(self, key: K) -> bool:
        """Remove an entry; False: there is none."""
        entry = self._by_use.pop(key, None)
        if entry is None:
            return False
        del self._by_insertion[key]
        self.size_bytes -= entry.size_bytes
        return True

    def remove_where(self, condition: Callable[[V], bool]) -> int:
        """Remove all for which the condition holds; looks at every entry."""
        doomed = [key for key, entry in self._by_use.items() if condition(entry.value)]
        for key in doomed:
            self.remove(key)
        return len(doomed)

    def _drop_old(self, now_s: float) -> int:
        dropped = 0
        for _ in range(_LOOKS_PER_INSERTION):
            key = next(iter(self._by_insertion), None)
            if key is None or now_s - self._by_use[key].born_s <= self._keep_s:
                break
            self.remove(key)
            dropped += 1
        return dropped
