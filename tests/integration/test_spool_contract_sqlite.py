from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from contracts.spool_contract import SpoolContract
from spool_bench import SpoolBench

from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.vault import KeyedVault


class TestSqliteSpool(SpoolContract):
    @pytest.fixture(params=[PlainVault(), KeyedVault(bytes(32))], ids=["plain", "encrypted"])
    def vault(self, request: pytest.FixtureRequest) -> Vault:
        vault: Vault = request.param
        return vault

    @pytest.fixture
    async def open_bench(self, tmp_path: Path, vault: Vault) -> AsyncIterator[Callable[..., Awaitable[SpoolBench]]]:
        benches: list[SpoolBench] = []

        async def open_it(**caps: Any) -> SpoolBench:
            bench = SpoolBench(tmp_path / str(len(benches)), vault=vault, **caps)
            benches.append(bench)
            await bench.open()
            return bench

        yield open_it
        for bench in benches:
            await bench.close()

    @pytest.fixture
    async def bench(self, open_bench: Callable[..., Awaitable[SpoolBench]]) -> SpoolBench:
        return await open_bench()
