"""How many calls go together, and how long one waits for company.

A group is closed when it holds so many calls or so many bytes, or when its first call has waited long enough. A call
that is larger than the limit of bytes goes alone: limits keep a group small, they keep nobody out.
"""

from math import inf


class Accumulator:
    """A group in the making; see the module.

    Args:
        max_count: Most calls.
        max_bytes: Most bytes, if it holds more than one call.
        max_delay_s: How long its first call waits for others.

    Attributes:
        count: Calls in it.
        size_bytes: Their bytes.
    """

    __slots__ = ("_first_s", "_max_bytes", "_max_count", "_max_delay_s", "count", "size_bytes")

    def __init__(self, *, max_count: int, max_bytes: int, max_delay_s: float = 0.0) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_delay_s = max_delay_s
        self._first_s = 0.0
        self.clear()

    def __repr__(self) -> str:
        return f"<Accumulator {self.count} calls, {self.size_bytes} bytes>"

    def fits(self, size_bytes: int) -> bool:
        """Whether a call of this size can join."""
        return not self.count or (self.count < self._max_count and self.size_bytes + size_bytes <= self._max_bytes)

    def add(self, size_bytes: int, *, now_s: float) -> None:
        """A call joins."""
        if not self.count:
            self._first_s = now_s
        self.count += 1
        self.size_bytes += size_bytes

    def remove(self, size_bytes: int) -> None:
        """A call leaves; those that stay wait as long as before."""
        self.count -= 1
        self.size_bytes -= size_bytes

    def due_s(self) -> float:
        """When it is to be released: `inf` if it is empty, `-inf` if it is full."""
        if not self.count:
            return inf
        if self.count >= self._max_count or self.size_bytes >= self._max_bytes:
            return -inf
        return self._first_s + self._max_delay_s

    def clear(self) -> None:
        """Begin a new group."""
        self.count = 0
        self.size_bytes = 0
