from collections.abc import AsyncIterator

import pytest
from cache_bench import NODE_KEY, body, cache_config, cache_key
from contracts.store_contract import StoreBench, StoreContract
from fakes.clock import FakeClock
from fakes.link import MemoryLink, WatchedLink

from edgeclient.cache.cipher import Cipher
from edgeclient.cache.redis_store import RedisStore
from edgeclient.cache.seal import Checksum, Seal
from edgeclient.core.cache import CacheKey
from edgeclient.core.companion import companion


class LinkBench:
    def __init__(self, seal: Seal) -> None:
        self.clock = FakeClock()
        self.link = WatchedLink(MemoryLink(self.clock.monotonic_s))
        self.store = RedisStore(self.link, cache_config(), seal=seal, clock=self.clock, observe=lambda _: None)
        self._count = 0

    async def keep(self, key: CacheKey, kept: bytes) -> None:
        self.store.keep(key, kept)
        self._count += 1
        await self.link.put_done(self._count)

    async def pass_by(self, duration_s: float) -> None:
        self.clock.advance(duration_s)


class TestRedisStoreOverAFakeLink(StoreContract):
    @pytest.fixture(params=["plain", "sealed"])
    async def bench(self, request: pytest.FixtureRequest) -> AsyncIterator[StoreBench]:
        clock = FakeClock()
        seal = Checksum() if request.param == "plain" else Cipher(NODE_KEY, purpose="test", wall_s=clock.wall_s)
        bench = LinkBench(seal)
        async with companion(bench.store.run(), name="writes"):
            yield bench

    async def test_life_ends(self, bench: StoreBench) -> None:
        await bench.keep(cache_key(), body())
        await bench.pass_by(999)
        assert await bench.store.find(cache_key()) is not None

        await bench.pass_by(2)

        assert await bench.store.find(cache_key()) is None
