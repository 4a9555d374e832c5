"""The cache as its users see it: memory first, then the disk of this node, then the Redis of all nodes.

An answer that was found further away is put into memory with the age it has. One that is kept goes everywhere at once,
and only memory is waited for. Clearing what belongs to a call (its id, where it came from, how old it is) happens here,
so that no place stores it.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from edgeclient.cache.memory import MemoryStore
from edgeclient.config.cache_schema import CacheConfig
from edgeclient.core.cache import Cached, CacheKey, CacheStats, StoreStats
from edgeclient.v1 import chat_pb2

_OF_A_CALL = ("id", "source", "cache_age", "attempt_count", "job_id")


class Store(Protocol):
    """A place outside of memory."""

    async def find(self, key: CacheKey) -> Cached | None:
        """The answer, however old."""
        ...

    def keep(self, key: CacheKey, body: bytes) -> None:
        """Keep an answer that has just come from the provider."""
        ...

    async def forget(self, caller: str) -> int:
        """Remove all of a caller."""
        ...

    def stats(self) -> StoreStats:
        """Counts."""
        ...


class TieredCache:
    """Implements `edgeclient.core.cache.ResponseCache`; see the module.

    Args:
        memory: The first place.
        stores: Further ones by name, the nearest first.
        config: The largest answer that is kept.
    """

    def __init__(self, memory: MemoryStore, stores: Sequence[tuple[str, Store]], config: CacheConfig) -> None:
        self._memory = memory
        self._stores = tuple(stores)
        self._max_entry_bytes = config.max_entry_bytes

    def look(self, key: CacheKey) -> Cached | None:
        """See `ResponseCache.look`."""
        return self._memory.look(key)

    async def find(self, key: CacheKey, *, fresh_s: float) -> Cached | None:
        """See `ResponseCache.find`."""
        best: Cached | None = None
        for _, store in self._stores:
            found = await store.find(key)
            if found is not None and (best is None or _age_s(found) < _age_s(best)):
                best = found
            if best is not None and best.is_within(fresh_s):
                break
        if best is not None and best.age_s is not None:
            at_hand = self._memory.look(key)  # somebody may have kept a younger one meanwhile
            if at_hand is None or _age_s(at_hand) > best.age_s:
                self._memory.keep(key, best.response.SerializeToString(), age_s=best.age_s)
        return best

    def keep(self, key: CacheKey, response: chat_pb2.ChatResponse) -> bool:
        """See `ResponseCache.keep`."""
        kept = chat_pb2.ChatResponse()
        kept.CopyFrom(response)
        for name in _OF_A_CALL:
            kept.ClearField(name)  # type: ignore[arg-type]  # the stub wants literals
        body = kept.SerializeToString()
        if len(body) > self._max_entry_bytes:
            return False
        self._memory.keep(key, body)
        for _, store in self._stores:
            store.keep(key, body)
        return True

    async def forget(self, caller: str) -> int:
        """See `ResponseCache.forget`; the stores that cannot fail come first."""
        counts = [self._memory.forget(caller)]
        for _, store in self._stores:
            counts.append(await store.forget(caller))
        return max(counts)

    def stats(self) -> CacheStats:
        """See `ResponseCache.stats`."""
        return CacheStats(
            stores={"memory": self._memory.stats()} | {name: store.stats() for name, store in self._stores}
        )


def _age_s(cached: Cached) -> float:
    return math.inf if cached.age_s is None else cached.age_s
