"""The port of the response cache: what it promises to those who use it, wherever it keeps things.

A cache may lose anything at any time and may never break or delay a call; so what a call uses raises nothing, and what
the cache cannot do in time it does not do. What it gives is exactly what was kept, or nothing.
"""

from dataclasses import dataclass, field
from typing import Protocol

from edgeclient.v1 import chat_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """What an answer is found by.

    Attributes:
        digest: Hash of the content and of the partition it is private to, 32 bytes.
        caller: Whose entry it is, so that it can be forgotten with the caller.
    """

    digest: bytes
    caller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """An answer that was kept.

    Attributes:
        response: The answer as it was kept, a copy that belongs to who asked.
        age_s: Time since it came from the provider; None: not known, because a clock was set meanwhile.
        store: Where it was found: `memory`, `disk` or `redis`.
    """

    response: chat_pb2.ChatResponse
    age_s: float | None
    store: str

    def is_within(self, limit_s: float) -> bool:
        """It is known to be no older than that."""
        return self.age_s is not None and self.age_s <= limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Counts of one place where answers are kept.

    Attributes:
        entries: How many there are.
        size_bytes: How much room they take.
        usable: It can be used now.
    """

    entries: int = 0
    size_bytes: int = 0
    usable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """Counts by the name of the place; of a place outside of the node only whether it is usable is known."""

    stores: dict[str, StoreStats] = field(default_factory=dict)

    @property
    def response_count(self) -> int:
        """Answers that this node holds; most of them are in several places, so it is not their sum."""
        return max((stats.entries for stats in self.stores.values()), default=0)


class CacheUnreachableError(Exception):
    """A place of the cache could not be reached, so something may be left there; the sentence says why."""


class ResponseCache(Protocol):
    """Keeps answers."""

    def look(self, key: CacheKey) -> Cached | None:
        """What is at hand without waiting, however old."""
        ...

    async def find(self, key: CacheKey, *, fresh_s: float) -> Cached | None:
        """What is kept elsewhere: the first that is no older than `fresh_s`, else the youngest there is."""
        ...

    def keep(self, key: CacheKey, response: chat_pb2.ChatResponse) -> bool:
        """Keep an answer in place of the one before; False: it is too large. The rest happens in the background."""
        ...

    async def forget(self, caller: str) -> int:
        """Remove all that was kept for a caller; returns how many.

        Raises:
            CacheUnreachableError: Some may be left at a place that could not be reached; everywhere else it is done.
        """
        ...

    def stats(self) -> CacheStats:
        """Counts, from memory."""
        ...
