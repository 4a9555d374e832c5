"""An operator at a queue that its daemon has: through the control socket, by the command and by hand."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.command_line import Finished, command
from spool_bench import SpoolBench, new_job

from edgeclient.core.cache import CacheUnreachableError
from edgeclient.core.errors import Reason, Uncertain
from edgeclient.core.events import DefectFound, Event
from edgeclient.core.job_events import OperatorDoorClosed
from edgeclient.core.jobs import JobState
from edgeclient.spool.control import LONGEST_LINE_BYTES, NAME, ControlSocket
from edgeclient.spool.desk import Desk


class Daemon:
    """What of a daemon has to do with its operator.

    Attributes:
        bench: The queue.
        ended: Jobs whose attempts were ended.
        forgotten: Callers that were forgotten.
        events: What was told.
    """

    def __init__(self, bench: SpoolBench) -> None:
        self.bench = bench
        self.ended: list[str] = []
        self.forgotten: list[str] = []
        self.events: list[Event] = []
        self.unreachable = ""
        self.control = ControlSocket(
            bench.spool,
            directory=bench.directory,
            end_attempt=self.ended.append,
            forget=self._forget,
            observe=self.events.append,
        )

    async def _forget(self, caller: str) -> None:
        if self.unreachable:
            raise CacheUnreachableError(self.unreachable)
        self.forgotten.append(caller)

    async def operator(self, *arguments: str) -> Finished:
        return await command("jobs", *arguments, "--directory", str(self.bench.directory))


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Daemon]:
    bench = SpoolBench(folder)
    await bench.open()
    daemon = Daemon(bench)
    await daemon.control.open()
    try:
        yield daemon
    finally:
        await daemon.control.close()
        await bench.close()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """It has three jobs: one waits, one is under way, one is uncertain."""
    async with serving(tmp_path / "queue") as daemon:
        spool = daemon.bench.spool
        for name in ("waits", "runs", "unknown"):
            await spool.accept(new_job(name, caller="other" if name == "waits" else "device-7", prompt=f"p of {name}"))
        await spool.begin("runs")
        attempt = await spool.begin("unknown")
        assert attempt is not None
        lost = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut off")
        await spool.fail(attempt, lost, retry_in_s=None, counts=True)
        yield daemon
        assert not [event for event in daemon.events if isinstance(event, DefectFound)]


async def by_hand(folder: Path, *lines: bytes) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(str(folder / NAME))
    try:
        writer.write(b"".join(line + b"\n" for line in lines))
        return [json.loads(await reader.readline()) for _ in lines]
    finally:
        writer.close()


async def test_operator_sees_the_jobs_of_all_callers(daemon: Daemon) -> None:
    listed = json.loads((await daemon.operator("ls", "--json")).out)
    bare = json.loads((await daemon.operator("show", "waits", "--json")).out)
    full = json.loads((await daemon.operator("show", "waits", "--json", "--content")).out)
    exported = [json.loads(line) for line in (await daemon.operator("export", "--caller", "other")).out.splitlines()]
    counts = json.loads((await daemon.operator("stats", "--json")).out)

    assert [("unknown", "uncertain"), ("runs", "sending"), ("waits", "queued")] == [
        (job["id"], job["state"]) for job in listed
    ]
    assert "request" not in bare
    assert full == exported[0]
    assert (1, "p of waits") == (len(exported), full["request"]["prompt"])
    assert (3, 1) == (counts["accepted_total"], counts["by_state"]["sending"])


async def test_list_is_cut_and_comes_in_pages(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclient.spool.control.PAGE_ROWS", 2)

    for limit, ids in (("0", ["unknown", "runs", "waits"]), ("1", ["unknown"]), ("3", ["unknown", "runs", "waits"])):
        listed = json.loads((await daemon.operator("ls", "--json", "-n", limit)).out)
        assert ids == [job["id"] for job in listed]


async def test_cancel_ends_the_attempt_that_is_under_way(daemon: Daemon) -> None:
    cancelled = json.loads((await daemon.operator("cancel", "runs", "waits", "--json")).out)
    unknown = await daemon.operator("cancel", "nobody")

    assert [("runs", "sending"), ("waits", "cancelled")] == [(job["id"], job["state"]) for job in cancelled]
    assert ["runs"] == daemon.ended
    assert (65, "Error: there is no job 'nobody'\n") == (unknown.code, unknown.err)


async def test_retry_is_in_the_queue_at_once_and_told_to_who_follows_it(daemon: Daemon) -> None:
    changes = daemon.bench.spool.changes()
    retried = json.loads((await daemon.operator("retry", "--state", "uncertain", "--yes", "--json")).out)
    change = await anext(changes)
    refused = await daemon.operator("retry", "waits", "--yes")

    assert [("unknown", "uncertain", "queued")] == [(job["id"], job["was"], job["state"]) for job in retried]
    assert ("unknown", JobState.QUEUED) == (change.id, change.state)
    assert (65, "Error: job waits is QUEUED, not UNCERTAIN, FAILED, DEAD or EXPIRED\n") == (refused.code, refused.err)


async def test_erase_leaves_no_content(daemon: Daemon) -> None:
    erased = await daemon.operator("erase", "runs", "nobody", "--yes")

    assert (0, "erased 2\n") == (erased.code, erased.out)
    assert ["runs"] == daemon.ended
    files = [path for path in daemon.bench.directory.iterdir() if path.is_file()]
    assert not [path.name for path in files if b"p of runs" in path.read_bytes()]
    assert [path.name for path in files if b"p of waits" in path.read_bytes()]


async def test_erase_of_a_caller_takes_all_of_it(daemon: Daemon) -> None:
    erased = await daemon.operator("erase", "--caller", "device-7", "--yes")
    left = await daemon.bench.spool.get("other", "waits")

    assert (0, "erased 2\n") == (erased.code, erased.out)
    assert (["runs"], ["device-7"]) == (daemon.ended, daemon.forgotten)
    assert left is not None
    assert left.state is JobState.QUEUED


async def test_what_could_not_be_forgotten_is_told(daemon: Daemon) -> None:
    daemon.unreachable = "Redis cannot be reached"
    told = await daemon.operator("erase", "--caller", "device-7", "--yes")

    assert (69, "Redis cannot be reached") == (told.code, told.err.removeprefix("Error: ").strip())


async def test_verify_looks_at_the_open_queue(daemon: Daemon) -> None:
    sound = await daemon.operator("verify")
    await daemon.bench.spool.operate(lambda session: session.connection.execute("DELETE FROM content").fetchall())
    wrong = await daemon.operator("verify")

    assert (0, "sound") == (sound.code, sound.out.splitlines()[-1])
    assert (65, True) == (wrong.code, "PROBLEM job waits waits to be sent and has no request" in wrong.out)


async def test_rubbish_is_refused_and_the_next_line_is_served(daemon: Daemon) -> None:
    lines = [b"rubbish", b"[]", b'{"operation": "drop"}', b'{"operation": []}', b'{"operation": "stats"}']
    *refused, served = await by_hand(daemon.bench.directory, *lines)

    assert all("refused" in answer for answer in refused)
    assert "no operation 'drop'; it is of another version" in refused[2]["refused"]
    assert 3 == served["result"]["accepted_total"]


async def test_line_beyond_all_measure_ends_the_visit_alone(daemon: Daemon) -> None:
    reader, writer = await asyncio.open_unix_connection(str(daemon.bench.directory / NAME))
    writer.write(b"x" * (2 * LONGEST_LINE_BYTES))
    with suppress(ConnectionError):
        assert b"" == await reader.read()
    writer.close()

    assert 3 == (await by_hand(daemon.bench.directory, b'{"operation": "stats"}'))[0]["result"]["accepted_total"]


async def test_defect_is_told_and_ends_nothing(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_desk: Desk) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Desk, "stats", broken)
    failed, served = await by_hand(
        daemon.bench.directory, b'{"operation": "stats"}', b'{"operation": "job", "job_id": "waits"}'
    )

    assert "a defect of the daemon, see its log (ZeroDivisionError)" == failed["failed"]
    assert "waits" == served["result"]["id"]
    (defect,) = [event for event in daemon.events if isinstance(event, DefectFound)]
    daemon.events.remove(defect)
    assert "control socket" == defect.where


_AS_A_STRANGER = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setuid(12345)
guest = socket.socket(socket.AF_UNIX)
guest.connect(sys.argv[2])
try:
    guest.sendall(b'{"operation": "stats"}\\n')
    print(guest.recv(100))
except ConnectionError:
    print(b"")
"""


async def test_nobody_else_is_let_in(daemon: Daemon) -> None:
    if os.geteuid():
        pytest.skip("only root can take another user's place")
    directory = daemon.bench.directory
    directory.chmod(0o755)
    (directory / NAME).chmod(0o666)  # as if somebody had opened it
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _AS_A_STRANGER, str(directory), NAME, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert b"b''" == out.strip()


async def test_socket_of_a_daemon_that_was_killed_is_no_hindrance(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        assert 0o600 == (first.bench.directory / NAME).stat().st_mode & 0o777
        stale = first.bench.directory / NAME
        await first.control.close()
        assert not stale.exists()
        stale.touch()
        second = Daemon(first.bench)
        await second.control.open()
        assert (await by_hand(first.bench.directory, b'{"operation": "stats"}'))[0]["result"]
        await second.control.close()


async def test_folder_deeper_than_a_socket_can_be_named_has_one(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    async with serving(deep) as daemon:
        counts = await daemon.operator("stats", "--json")

        assert len(str(daemon.bench.directory)) > 107
        assert 0 == json.loads(counts.out)["accepted_total"]


async def test_folder_that_takes_no_socket_is_told_and_the_queue_works(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    (bench.directory / NAME).mkdir()
    daemon = Daemon(bench)
    await daemon.control.open()
    refused = await daemon.operator("verify")
    await daemon.control.close()
    await bench.spool.accept(new_job("accepted"))
    await bench.close()

    assert [OperatorDoorClosed(problem="Is a directory")] == daemon.events
    assert 75 == refused.code
    assert "Stop the daemon first" in refused.err
