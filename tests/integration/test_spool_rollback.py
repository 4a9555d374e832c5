"""After a rollback the older daemon goes on with the queue, if the newer one has said that it can; else it lets it be.

The newer daemon is this one with one more script.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from spool_bench import SpoolBench, new_job

from edgeclient.config.setting import SettingError
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.spool import database, statements
from edgeclient.v1 import chat_pb2

KNOWN = statements.migrations()
ADDED = """
CREATE TABLE note (
    seq  INTEGER NOT NULL PRIMARY KEY REFERENCES job (seq) ON DELETE CASCADE,
    text TEXT    NOT NULL
) STRICT;
"""
READABLE = f"-- readable from version {len(KNOWN)}\n{ADDED}"
NEWER_STILL = "CREATE TABLE another (x INTEGER) STRICT;"


@contextmanager
def newer(*scripts: str) -> Iterator[None]:
    """While this lasts, the daemon is the newer one."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (statements, database):
            patch.setattr(module, "migrations", lambda: (*KNOWN, *scripts))
        yield


async def left_behind(root: Path, *scripts: str) -> SpoolBench:
    """A queue of the newer daemon: one job waits, one is done, both have a note."""
    bench = SpoolBench(root)
    with newer(*scripts):
        spool = await bench.open()
        for name in ("done", "waits"):
            await spool.accept(new_job(name, prompt=name, idempotency_key=name))
        attempt = await spool.begin("done")
        assert attempt is not None
        assert await spool.succeed(attempt, chat_pb2.ChatResponse(model="answer"))
        await bench.close()
    connection = apsw.Connection(str(bench.database))
    database.add_functions(connection)
    connection.execute("INSERT INTO note SELECT seq, id FROM job")
    connection.close()
    return bench


def notes(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    try:
        return [str(text) for (text,) in connection.execute("SELECT text FROM note ORDER BY seq")]
    finally:
        connection.close()


async def refusal(bench: SpoolBench) -> str:
    with pytest.raises(SettingError) as refused:
        await bench.open()
    (problem,) = refused.value.problems
    return problem


async def test_rollback_keeps_the_queue_and_so_does_the_way_forth(tmp_path: Path) -> None:
    bench = await left_behind(tmp_path, READABLE)

    spool = await bench.open()
    assert ["waits"] == [job.id for job in await spool.waiting()]
    done = await spool.get("device-7", "done")
    assert done is not None
    assert done.response is not None
    assert "answer" == done.response.model
    assert (await spool.accept(new_job("again", prompt="waits", idempotency_key="waits"))).duplicate
    await spool.accept(new_job("meanwhile", prompt="meanwhile"))
    await bench.close()
    assert ["done", "waits"] == notes(bench.database)

    with newer(READABLE):
        spool = await bench.open()
        assert ["waits", "meanwhile"] == [job.id for job in await spool.waiting()]
        assert 3 == spool.stats().accepted_total
        await bench.close()
    assert ["done", "waits"] == notes(bench.database)
    assert [] == [event for event in bench.events if isinstance(event, SpoolDamaged)]


@pytest.mark.parametrize(
    "scripts",
    [(ADDED,), (READABLE, NEWER_STILL), (ADDED, READABLE.replace("note", "more"))],
    ids=["nothing", "of the last but one", "of the last only"],
)
async def test_what_no_longer_can_be_read_is_refused_and_left_alone(tmp_path: Path, scripts: tuple[str, ...]) -> None:
    bench = await left_behind(tmp_path, *scripts)
    before = bench.database.read_bytes()

    version = len(KNOWN) + len(scripts)
    assert f"was written by a newer edgeclient (schema {version}, this one knows {len(KNOWN)})" in await refusal(bench)
    assert before == bench.database.read_bytes()


async def test_word_of_an_earlier_step_holds_no_longer_than_the_step(tmp_path: Path) -> None:
    bench = await left_behind(tmp_path, READABLE)
    with newer(READABLE, NEWER_STILL):
        await bench.open()
        await bench.close()

    assert "was written by a newer edgeclient" in await refusal(bench)


async def test_damaged_queue_of_a_newer_daemon_is_left_to_that_one(tmp_path: Path) -> None:
    bench = await left_behind(tmp_path, READABLE)
    data = bench.database.read_bytes()
    bench.database.write_bytes(data[: len(data) // 2])
    before = sorted(path.name for path in bench.directory.iterdir())

    assert f"{bench.database} is damaged, and was written by a newer edgeclient" in await refusal(bench)

    assert data[: len(data) // 2] == bench.database.read_bytes()
    assert before == sorted(path.name for path in bench.directory.iterdir())
    with newer(READABLE):
        await bench.open()
        await bench.close()
    assert 1 == len([event for event in bench.events if isinstance(event, SpoolDamaged)])
