"""Answers in memory: the first place where one is looked for, and the only one that is looked at without waiting."""

from edgeclient.config.cache_schema import CacheConfig
from edgeclient.core.cache import Cached, CacheKey, StoreStats
from edgeclient.core.cache_events import CacheEvicted
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.ttl_lru import TtlLru
from edgeclient.v1 import chat_pb2

_ROOM_PER_ENTRY_BYTES = 700  # what an entry takes besides its bytes: keys, two places in the orders (measured)
_STORE = "memory"


class MemoryStore:
    """See the module.

    Args:
        config: How much, and how long.
        clock: Tells ages.
        observe: Takes `CacheEvicted`.
    """

    def __init__(self, config: CacheConfig, *, clock: Clock, observe: Observe) -> None:
        self._entries: TtlLru[bytes, tuple[bytes, str]] = TtlLru(
            max_count=config.max_entries, max_bytes=config.max_bytes, keep_s=config.ttl_s + config.stale_s
        )
        self._clock = clock
        self._observe = observe

    def look(self, key: CacheKey) -> Cached | None:
        """The answer, however old."""
        found = self._entries.get(key.digest, now_s=self._clock.monotonic_s())
        if found is None:
            return None
        (body, _), age_s = found
        return Cached(response=chat_pb2.ChatResponse.FromString(body), age_s=max(0.0, age_s), store=_STORE)

    def keep(self, key: CacheKey, body: bytes, *, age_s: float = 0.0) -> None:
        """Keep an answer that came from the provider so long ago."""
        now_s = self._clock.monotonic_s()
        removed = self._entries.put(
            key.digest,
            (body, key.caller),
            size_bytes=len(body) + _ROOM_PER_ENTRY_BYTES,
            born_s=now_s - age_s,
            now_s=now_s,
        )
        if removed.for_room:
            self._observe(CacheEvicted(store=_STORE, cause="room", count=removed.for_room))
        if removed.for_age:
            self._observe(CacheEvicted(store=_STORE, cause="age", count=removed.for_age))

    def forget(self, caller: str) -> int:
        """Remove all of a caller."""
        return self._entries.remove_where(lambda entry: entry[1] == caller)

    def stats(self) -> StoreStats:
        """Counts."""
        return StoreStats(entries=len(self._entries), size_bytes=self._entries.size_bytes)
