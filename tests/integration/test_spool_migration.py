"""A queue of an earlier version: opened as it is, whole, even by a process that is killed on the way.

At each statement of the change: `SPOOL_ROUNDS=400 pytest tests/integration/test_spool_migration.py`.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from spool_bench import SpoolBench, new_job

from edgeclient.core.job_events import SpoolDamaged
from edgeclient.spool import database
from edgeclient.spool.rows import is_sound
from edgeclient.spool.statements import migrations
from edgeclient.v1 import chat_pb2

ROUNDS = int(os.environ.get("SPOOL_ROUNDS", "10"))
EARLIER = range(1, len(migrations()))
TABLES = ("ledger", "job", "content", "caller_key")


async def earlier(root: Path, version: int, *, jobs: int = 5) -> SpoolBench:
    """A folder as a daemon of that version left it: some jobs wait, one has its answer."""
    bench = SpoolBench(root)
    spool = await bench.open()
    for number in range(jobs):
        await spool.accept(new_job(f"job-{number}", prompt=f"prompt {number} " * 200, idempotency_key=f"key-{number}"))
    attempt = await spool.begin("job-0")
    assert attempt is not None
    await spool.succeed(attempt, chat_pb2.ChatResponse(model="answer"))
    await bench.reopen()
    await bench.close()
    bench.renew()
    (bench.directory / "spool.mark").unlink()
    _write_as(version, bench.database)
    return bench


def _write_as(version: int, path: Path) -> None:
    newer = path.with_name("newer")
    path.rename(newer)
    connection = apsw.Connection(str(path))
    database.add_functions(connection)
    for script in migrations()[:version]:
        connection.execute(script)
    connection.execute("ATTACH ? AS newer", (str(newer),))
    for table in TABLES:
        columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
        connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")  # noqa: S608  ours
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(f"PRAGMA application_id = {0x45444745}")
    connection.close()
    newer.unlink()


def content(path: Path) -> list[Any]:
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute("SELECT * FROM content ORDER BY seq, part"))
    finally:
        connection.close()


@pytest.mark.parametrize("version", EARLIER)
async def test_queue_of_an_earlier_version_is_opened_with_all_of_it(tmp_path: Path, version: int) -> None:
    bench = await earlier(tmp_path, version)
    before = content(bench.database)

    spool = await bench.open()

    assert ["job-1", "job-2", "job-3", "job-4"] == [job.id for job in await spool.waiting()]
    answered = await spool.get("device-7", "job-0")
    assert answered is not None
    assert answered.response is not None
    assert "answer" == answered.response.model
    assert (await spool.accept(new_job("again", prompt="prompt 1 " * 200, idempotency_key="key-1"))).duplicate
    assert 5 == spool.stats().accepted_total
    attempt = await spool.begin("job-1")
    assert attempt is not None
    assert await spool.succeed(attempt, chat_pb2.ChatResponse(model="late"))
    assert [] == [event for event in bench.events if isinstance(event, SpoolDamaged)]
    await bench.close()
    assert before[0] in content(bench.database)
    connection = apsw.Connection(str(bench.database))
    assert [True] * 5 == [is_sound(row) for row in connection.execute("SELECT * FROM job")]
    assert [] == connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()


@pytest.mark.parametrize("version", EARLIER)
def test_migration_that_is_killed_loses_no_row(tmp_path: Path, version: int) -> None:
    bench = asyncio.run(earlier(tmp_path, version))
    file = bench.database.read_bytes()
    before = content(bench.database)
    versions = set()
    statement_count = sum(len(script.split(";")) for script in migrations()[version:])
    for number in (*range(1, statement_count, max(1, statement_count // ROUNDS)), statement_count * 2):
        path = tmp_path / f"{number}.db"
        path.write_bytes(file)
        subprocess.run([sys.executable, "-c", _KILLED, str(path), str(number)], check=False)
        left = apsw.Connection(str(path))
        versions.add(left.pragma("user_version"))
        assert 5 == left.execute("SELECT count(*) FROM job").get
        left.close()

        connection = database.connect(path, max_bytes=1 << 30, check=True)

        assert len(migrations()) == connection.pragma("user_version")
        assert [True] * 5 == [is_sound(row) for row in connection.execute("SELECT * FROM job")]
        assert before == list(connection.execute("SELECT * FROM content ORDER BY seq, part"))
        connection.close()
    assert {version, len(migrations())} <= versions


_KILLED = """
import os, signal, sys
from pathlib import Path
import apsw
from edgeclient.spool import database

left = int(sys.argv[2])

def trace(cursor, statement, bindings):
    global left
    if "PRAGMA" not in statement or "user_version =" in statement:
        left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return True

apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(trace))
database.connect(Path(sys.argv[1]), max_bytes=1 << 30, check=False)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("version", EARLIER)
async def test_damaged_queue_of_an_earlier_version_is_salvaged(tmp_path: Path, version: int) -> None:
    bench = await earlier(tmp_path, version, jobs=60)
    data = bench.database.read_bytes()
    bench.database.write_bytes(data[: len(data) * 3 // 4])

    spool = await bench.open()

    (event,) = (event for event in bench.events if isinstance(event, SpoolDamaged))
    assert event.saved > 10
    stats = spool.stats()
    assert 60 == stats.accepted_total == sum(stats.by_state.values()) + stats.lost_total
    assert {job.id for job in await spool.waiting()} <= {f"job-{number}" for number in range(1, 60)}
    assert len(await spool.waiting()) > 10
    assert 3 == await spool.operate(lambda session: session.ledger.epoch)  # its counts were read, not made up
    await bench.close()


async def test_full_queue_has_room_to_be_migrated(tmp_path: Path) -> None:
    bench = await earlier(tmp_path, EARLIER[-1], jobs=300)
    pages = bench.database.stat().st_size // database.PAGE_BYTES

    connection = database.connect(bench.database, max_bytes=pages * database.PAGE_BYTES, check=False)

    assert len(migrations()) == connection.pragma("user_version")
    assert pages >= connection.execute("PRAGMA max_page_count").get - 200
    connection.close()
