"""A cache that is a dictionary with a clock, and says who asked for what."""

from edgeclient.core.cache import Cached, CacheKey, CacheStats, StoreStats
from edgeclient.core.ports import Clock
from edgeclient.v1 import chat_pb2


class DictCache:
    """Implements `edgeclient.core.cache.ResponseCache`.

    Attributes:
        at_hand: What `look` finds: the answer and when it was kept, by digest.
        elsewhere: What only `find` finds.
        asked: The keys of all look-ups.
        largest_bytes: Larger answers are refused.
        age_known: False: nothing has an age.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at_hand: dict[bytes, tuple[chat_pb2.ChatResponse, float]] = {}
        self.elsewhere: dict[bytes, tuple[chat_pb2.ChatResponse, float]] = {}
        self.asked: list[CacheKey] = []
        self.largest_bytes = 10_000
        self.age_known = True

    def look(self, key: CacheKey) -> Cached | None:
        self.asked.append(key)
        return self._cached(self.at_hand, key, "memory")

    async def find(self, key: CacheKey, *, fresh_s: float) -> Cached | None:  # noqa: ARG002  there is one place only
        self.asked.append(key)
        return self._cached(self.elsewhere, key, "disk")

    def keep(self, key: CacheKey, response: chat_pb2.ChatResponse) -> bool:
        if response.ByteSize() > self.largest_bytes:
            return False
        kept = chat_pb2.ChatResponse()
        kept.CopyFrom(response)
        kept.ClearField("source")
        self.at_hand[key.digest] = (kept, self._clock.monotonic_s())
        return True

    async def forget(self, caller: str) -> int:
        raise NotImplementedError(caller)

    def stats(self) -> CacheStats:
        return CacheStats(stores={"memory": StoreStats(entries=len(self.at_hand))})

    def move_away(self) -> None:
        """Nothing is at hand any more."""
        self.elsewhere |= self.at_hand
        self.at_hand.clear()

    def _cached(
        self, place: dict[bytes, tuple[chat_pb2.ChatResponse, float]], key: CacheKey, store: str
    ) -> Cached | None:
        if key.digest not in place:
            return None
        kept, at_s = place[key.digest]
        response = chat_pb2.ChatResponse()
        response.CopyFrom(kept)
        return Cached(
            response=response, age_s=self._clock.monotonic_s() - at_s if self.age_known else None, store=store
        )
