"""Opening: what is refused, and in which words; and what an interrupted change of the schema leaves."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from spool_bench import SpoolBench, new_job

from edgeclient.config.setting import SettingError
from edgeclient.core.jobs import JobState
from edgeclient.spool import database
from edgeclient.spool.statements import migrations
from edgeclient.spool.vault import KeyedVault


async def _refusal(bench: SpoolBench) -> str:
    with pytest.raises(SettingError) as caught:
        await bench.open()
    return str(caught.value)


async def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path / "deep")
    await bench.open()

    assert 0o700 == stat.S_IMODE(bench.directory.stat().st_mode)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in bench.directory.iterdir()}
    await bench.close()


async def test_what_the_file_promises_is_set(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    session = bench.spool._thread._commits.session
    assert session is not None
    ask = session.connection.pragma

    assert ("wal", 2, "exclusive", 1, 1, 2) == (
        ask("journal_mode"), ask("synchronous"), ask("locking_mode"), ask("secure_delete"), ask("foreign_keys"),
        ask("auto_vacuum"))  # fmt: skip
    await bench.close()


async def test_second_daemon_is_told_who_has_it(tmp_path: Path) -> None:
    first = SpoolBench(tmp_path)
    await first.open()

    problem = await _refusal(SpoolBench(tmp_path))

    assert problem.startswith("spool.directory: ")
    assert f"in use by another edgeclient (pid {os.getpid()})" in problem
    await first.spool.accept(new_job())
    await first.close()


async def test_queue_is_free_once_its_daemon_is_gone(tmp_path: Path) -> None:
    first = SpoolBench(tmp_path)
    await first.open()
    await first.close()

    second = SpoolBench(tmp_path)
    await second.open()
    await second.close()


async def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool-0").write_text("")

    assert "is not a folder" in await _refusal(SpoolBench(tmp_path))


async def test_folder_that_cannot_be_made_is_refused() -> None:
    problem = await _refusal(SpoolBench(Path("/proc/edgeclient")))

    assert problem.startswith("spool.directory: /proc/edgeclient/spool-0 cannot be used: ")


@pytest.mark.parametrize("name", ["spool.db", "spool.db-wal", "spool.lock", "spool.mark", "ballast"])
async def test_folder_in_place_of_a_file_is_refused_before_anything_is_touched(tmp_path: Path, name: str) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.kill()
    path = bench.directory / name
    path.unlink()
    path.mkdir()
    before = {each.name: each.read_bytes() for each in bench.directory.iterdir() if each.is_file()}

    assert f"{path} is no file; move it away" in await _refusal(bench)
    assert before == {each.name: each.read_bytes() for each in bench.directory.iterdir() if each.is_file()}


async def test_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.close()
    _execute(bench.database, "PRAGMA user_version = 99")
    before = bench.database.read_bytes()

    assert "was written by a newer edgeclient (schema 99" in await _refusal(SpoolBench(tmp_path))
    assert before == bench.database.read_bytes()


async def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    bench.directory.mkdir()
    _execute(bench.database, "CREATE TABLE other (x); PRAGMA user_version = 1")

    assert "is a database of another program" in await _refusal(bench)


@pytest.mark.parametrize(
    ("stored", "given", "words"),
    [
        (None, KeyedVault(bytes(32)), "is not encrypted"),
        (KeyedVault(bytes(32)), None, "is encrypted; name the file"),
        (KeyedVault(bytes(32)), KeyedVault(b"x" * 32), "another node key"),
    ],
)
async def test_wrong_key_is_refused_and_the_right_one_still_opens(
    tmp_path: Path, stored: Any, given: Any, words: str
) -> None:
    bench = SpoolBench(tmp_path, vault=stored)
    await bench.open()
    await bench.spool.accept(new_job())
    await bench.close()

    problem = await _refusal(SpoolBench(tmp_path, vault=given))

    assert problem.startswith("spool.encryption_key_file: ")
    assert words in problem
    again = SpoolBench(tmp_path, vault=stored)
    spool = await again.open()
    assert await spool.begin("job-1") is not None
    await again.close()


async def test_encrypted_queue_has_no_content_in_its_files(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, vault=KeyedVault(bytes(32)))
    await bench.open()
    job = new_job(prompt="a word that nobody may read")
    await bench.spool.accept(job)

    for path in bench.directory.iterdir():
        assert b"nobody may read" not in path.read_bytes()
        assert job.digest not in path.read_bytes()
    await bench.close()


async def test_erased_content_is_in_no_file(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.spool.accept(new_job(prompt="erase me " * 1000))
    assert b"erase me" in (bench.directory / "spool.db-wal").read_bytes()

    await bench.spool.erase("device-7", "job-1")

    assert [] == [path.name for path in bench.directory.iterdir() if b"erase me" in path.read_bytes()]
    await bench.close()


def test_migration_that_is_killed_leaves_the_old_schema_or_the_new(tmp_path: Path) -> None:
    statement_count = len([part for script in migrations() for part in script.split(";") if part.strip()])
    for number in range(statement_count + 4):
        path = tmp_path / f"{number}.db"
        subprocess.run([sys.executable, "-c", _KILLED, str(path), str(number)], check=False)
        connection = database.connect(path, max_bytes=1 << 30, check=True)
        assert len(migrations()) == connection.pragma("user_version")
        assert 0 == connection.execute("SELECT count(*) FROM job").get
        connection.close()


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


async def test_job_that_crashes_the_daemon_twice_is_buried(tmp_path: Path) -> None:
    from edgeclient.core.jobs import ResendPolicy  # noqa: PLC0415

    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.spool.accept(new_job(resend_policy=ResendPolicy.RESEND_ONCE))
    states = []
    for _ in range(2):
        assert await bench.spool.begin("job-1") is not None
        spool = await bench.crash()
        job = await spool.get("device-7", "job-1")
        assert job is not None
        states.append(job.state)

    assert [JobState.RETRY_WAIT, JobState.DEAD] == states
    await bench.close()


def _execute(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


async def test_start_after_a_boot_is_told_from_a_restart(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    assert (await bench.open()).rebooted  # a new queue: nobody knows
    assert not (await bench.reopen()).rebooted
    assert not (await bench.crash()).rebooted
    assert (await bench.crash(bench.time.reboot)).rebooted
    assert not (await bench.reopen()).rebooted
    await bench.close()
