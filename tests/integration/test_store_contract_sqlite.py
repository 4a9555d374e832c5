from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cache_bench import NODE_KEY, cache_config
from contracts.store_contract import StoreBench, StoreContract
from fakes.clock import FakeClock

from edgeclient.cache.cipher import Cipher
from edgeclient.cache.disk import DiskStore
from edgeclient.cache.seal import Checksum, Seal
from edgeclient.core.cache import CacheKey


class DiskBench:
    def __init__(self, directory: Path, seal: Seal) -> None:
        self._clock = FakeClock()
        config = cache_config(directory=str(directory))
        self.store = DiskStore(config, seal=seal, clock=self._clock, observe=lambda _: None, budget_s=20)

    async def keep(self, key: CacheKey, kept: bytes) -> None:
        self.store.keep(key, kept)  # what is asked afterwards is asked in the same thread

    async def pass_by(self, duration_s: float) -> None:
        self._clock.advance(duration_s)


class TestDiskStore(StoreContract):
    @pytest.fixture(params=["plain", "sealed"])
    async def bench(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreBench]:
        clock = FakeClock()
        seal = Checksum() if request.param == "plain" else Cipher(NODE_KEY, purpose="test", wall_s=clock.wall_s)
        bench = DiskBench(tmp_path / "cache", seal)
        await bench.store.open()
        yield bench
        await bench.store.close()
