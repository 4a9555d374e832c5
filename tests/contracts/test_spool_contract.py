from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from contracts.spool_contract import Bench, SpoolContract
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.core.spool import Spool


class MemoryBench:
    def __init__(self, **caps: Any) -> None:
        self._clock = FakeClock()
        self._memory = MemorySpool(clock=self._clock, **caps)

    @property
    def clock(self) -> FakeClock:
        return self._clock

    @property
    def spool(self) -> Spool:
        return self._memory

    async def crash(self) -> Spool:
        self._memory = self._memory.reopened()
        return self._memory


class TestMemorySpool(SpoolContract):
    @pytest.fixture
    def open_bench(self) -> Callable[..., Awaitable[Bench]]:
        async def open_it(**caps: Any) -> Bench:
            return MemoryBench(**caps)

        return open_it

    @pytest.fixture
    async def bench(self, open_bench: Callable[..., Awaitable[Bench]]) -> Bench:
        return await open_bench()
