"""Accounts in the database of the queue."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from contracts.accounts_contract import DAY, AccountsContract, record, row
from spool_bench import SpoolBench, new_job

from edgeclient.core.accounts import ERASED, Kept
from edgeclient.core.errors import CallError
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.spool.account_rows import MOST_QUOTA_ROWS
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.sqlite_accounts import SqliteAccounts


class SqliteBench:
    def __init__(self, spool: SpoolBench) -> None:
        self.spool = spool
        self.accounts = SqliteAccounts(spool.spool)

    async def restart(self) -> SqliteAccounts:
        await self.spool.crash()
        self.accounts = SqliteAccounts(self.spool.spool)
        return self.accounts


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[SqliteBench]:
    spool = SpoolBench(tmp_path)
    await spool.open()
    yield SqliteBench(spool)
    await spool.close()


class TestSqliteAccounts(AccountsContract):
    pass


async def test_erasing_a_caller_erases_its_name_from_the_accounts_too(bench: SqliteBench) -> None:
    await bench.accounts.save(Kept(usage=[row(caller="device-7")], quota=[record("device-7")]), drop_before_day=0)
    await bench.spool.spool.accept(new_job())
    await bench.spool.spool.erase_caller("device-7")

    kept = await bench.accounts.load()
    assert ([each.caller for each in kept.usage], list(kept.quota)) == ([ERASED], [])
    assert b"device-7" not in b"".join(path.read_bytes() for path in bench.spool.directory.glob("spool.db-wal"))


async def test_an_operator_erases_it_without_a_daemon_as_well(bench: SqliteBench) -> None:
    await bench.accounts.save(Kept(usage=[row(caller="device-7")], quota=[record("device-7")]), drop_before_day=0)
    await bench.spool.close()
    with OperatorQueue(bench.spool.directory, vault=bench.spool.vault, config=bench.spool.config) as queue:
        queue.erase_caller("device-7")

    assert b"device-7" not in bench.spool.database.read_bytes()
    bench.spool.renew()
    await bench.spool.open()
    assert [each.caller for each in (await SqliteAccounts(bench.spool.spool).load()).usage] == [ERASED]


@pytest.mark.parametrize("caps", [{"disk_floor_bytes": 1 << 60}, {"max_bytes": 1024 * 1024}])
async def test_accounts_take_no_room_that_jobs_need(tmp_path: Path, caps: dict[str, Any]) -> None:
    spool = SpoolBench(tmp_path, **caps)
    await spool.open()
    accounts = SqliteAccounts(spool.spool)
    number, stored = 0, True
    while stored and number < 100:
        rows = [row(caller=f"device-{number}-{each}-{'x' * 40}") for each in range(200)]
        stored = await accounts.save(Kept(usage=rows), drop_before_day=0)
        number += 1

    assert not stored
    assert spool.events == []
    await spool.close()


async def test_a_closed_queue_says_so(bench: SqliteBench) -> None:
    await bench.spool.close()
    with pytest.raises(CallError, match="the queue is not open"):
        await bench.accounts.save(Kept(), drop_before_day=0)


async def test_the_limits_of_those_not_seen_for_longest_are_forgotten_once_a_day(bench: SqliteBench) -> None:
    records = [record(f"c-{number}", wall_s=float(number), state={}) for number in range(MOST_QUOTA_ROWS + 10)]
    await bench.accounts.save(Kept(quota=records), drop_before_day=0)
    assert len((await bench.accounts.load()).quota) == MOST_QUOTA_ROWS + 10
    await bench.accounts.save(Kept(), drop_before_day=DAY)

    names = {each.name for each in (await bench.accounts.load()).quota}
    assert (len(names), "c-0" in names, f"c-{MOST_QUOTA_ROWS + 9}" in names) == (MOST_QUOTA_ROWS, False, True)


async def test_a_state_that_does_not_read_is_left_out(bench: SqliteBench) -> None:
    await bench.accounts.save(Kept(quota=[record("a"), record("b")]), drop_before_day=0)
    await bench.spool.close()
    connection = apsw.Connection(str(bench.spool.database))
    connection.execute("UPDATE quota SET state = '{broken' WHERE name = 'a'")
    connection.close()
    bench.spool.renew()
    await bench.spool.open()

    assert [each.name for each in (await SqliteAccounts(bench.spool.spool).load()).quota] == ["b"]


async def test_what_reads_of_a_damaged_queue_is_saved_with_it(bench: SqliteBench) -> None:
    rows = {each.key: each for each in (row(caller=f"device-{number:03}", model="m" * 100) for number in range(300))}
    await bench.accounts.save(Kept(usage=list(rows.values()), quota=[record("a")]), drop_before_day=0)
    await bench.spool.spool.sweep()  # moves all from the log to the database

    def spoil() -> None:
        data = bytearray(bench.spool.database.read_bytes())
        place = data.index(b"device-200")
        data[place // 4096 * 4096 : place // 4096 * 4096 + 4096] = bytes(4096)
        bench.spool.database.write_bytes(data)

    await bench.spool.crash(spoil)
    kept = await SqliteAccounts(bench.spool.spool).load()
    assert [type(event) for event in bench.spool.events] == [SpoolDamaged]
    assert 270 < len(kept.usage) < 300
    assert all(rows[each.key] == each for each in kept.usage)
    assert list(kept.quota) == [record("a")]
