"""A bit that turns in a row is found, and the row is never sent: not twice, not under another key, not for another."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from spool_bench import SpoolBench, new_job
from spool_flips import flip_index, flip_job, flip_ledger

from edgeclient.core.errors import CallError, Reason, Uncertain
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.core.jobs import JobKind, JobState
from edgeclient.spool import database
from edgeclient.spool.offline_files import QueueUnusableError, operator_statements
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.rows import COLUMNS, Row, is_sound
from edgeclient.spool.statements import statements
from edgeclient.spool.verification import verified
from edgeclient.v1 import chat_pb2

KEY = "key-1"
OTHER: dict[str, Any] = {
    "kind": 2,
    "state": 6,
    "priority": 3,
    "revision": 77,
    "idempotency_key": "key-2",
    "conversation_id": "another",
    "label": "another",
    "resend_policy": 2,
    "attempt_count": 9,
    "attempt_id": "x",
    "epoch": 9,
    "resent_count": 1,
    "crash_count": 1,
    "cancel_requested": 1,
    "size_bytes": 1,
    "create_ms": 1 << 60,
    "end_ms": 1 << 60,
    "expire_due": 1,
    "attempt_due": 1 << 60,
    "purge_due": 1,
    "key_due": 1,
}


def keyed(job_id: str = "job-1", key: str = KEY, **over: Any) -> Any:
    new = new_job(job_id, idempotency_key=key, **over)
    new.request.idempotency_key = key
    return new


async def accepted(root: Path, *job_ids: str) -> SpoolBench:
    bench = SpoolBench(root)
    spool = await bench.open()
    for number, job_id in enumerate(job_ids, start=1):
        await spool.accept(keyed(job_id, f"key-{number}"))
    return bench


async def crashed(bench: SpoolBench, spoil: Callable[[], None]) -> None:
    """`kill -9`, and what happens to the files before the next start."""
    await bench.kill()
    spoil()
    await bench.open()


def damages(bench: SpoolBench) -> list[tuple[int, int, int]]:
    return [(event.saved, event.spoilt, event.lost) for event in bench.events if isinstance(event, SpoolDamaged)]


def nothing_is_missing(bench: SpoolBench) -> None:
    stats = bench.spool.stats()
    assert stats.accepted_total == sum(stats.by_state.values()) + stats.purged_total + stats.lost_total


def test_every_column_is_flipped() -> None:
    assert {*COLUMNS} == {*OTHER, "seq", "id", "caller"}


@pytest.mark.parametrize("column", OTHER)
async def test_job_with_a_flipped_column_is_dead_and_keeps_its_key(tmp_path: Path, column: str) -> None:
    bench = await accepted(tmp_path, "job-1")

    await crashed(bench, lambda: flip_job(bench.database, "job-1", **{column: OTHER[column]}))

    assert [(1, 1, 0)] == damages(bench)
    assert [] == await bench.spool.waiting()
    assert await bench.spool.begin("job-1") is None
    job = await bench.spool.get("device-7", "job-1")
    assert job is not None
    assert job.error is not None
    assert (JobState.DEAD, "its stored record was damaged") == (job.state, job.error.message)
    assert job.error.possibly_billed
    repeat = await bench.spool.accept(keyed("job-2"))
    assert (True, "job-1") == (repeat.duplicate, repeat.job.id)
    nothing_is_missing(bench)
    await bench.close()


@pytest.mark.parametrize("column", ["id", "caller"])
async def test_row_that_nobody_can_be_told_of_is_lost_and_counted(tmp_path: Path, column: str) -> None:
    bench = await accepted(tmp_path, "job-1", "job-2")

    await crashed(bench, lambda: flip_job(bench.database, "job-1", **{column: "another"}))

    assert [(1, 0, 1)] == damages(bench)
    assert ["job-2"] == [job.id for job in await bench.spool.waiting()]
    assert await bench.spool.begin("another") is None
    assert await bench.spool.get("another", "job-1") is None
    nothing_is_missing(bench)
    await bench.close()


async def test_attempt_that_seems_not_to_have_been_made_is_not_made_again(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1")
    assert await bench.spool.begin("job-1") is not None

    await crashed(
        bench, lambda: flip_job(bench.database, "job-1", state=JobState.QUEUED.value, attempt_count=0, attempt_id="")
    )

    assert await bench.spool.begin("job-1") is None
    job = await bench.spool.get("device-7", "job-1")
    assert job is not None
    assert JobState.DEAD is job.state
    await bench.close()


async def test_flip_is_found_after_an_end_that_was_clean(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1")
    await bench.close()
    flip_job(bench.database, "job-1", state=JobState.RETRY_WAIT.value)

    bench.renew()
    await bench.open()

    assert [(1, 1, 0)] == damages(bench)
    assert await bench.spool.begin("job-1") is None
    await bench.close()


async def test_flip_while_running_is_found_when_the_job_is_begun(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.spool.accept(keyed(label="before"))
    await bench.spool.accept(keyed("job-2", "key-2"))
    await bench.reopen()
    await bench.spool.operate(lambda session: session.connection.execute("PRAGMA shrink_memory").fetchall())
    data = bench.database.read_bytes()
    assert 1 == data.count(b"before")  # the label is in no index, and in the request it is not
    bench.database.write_bytes(data.replace(b"before", b"befora"))

    assert await bench.spool.begin("job-1") is None

    assert [(2, 1, 0)] == damages(bench)
    assert await bench.spool.begin("job-2") is not None
    await bench.close()


async def test_answer_that_is_paid_for_survives_a_flip_beside_it(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1")
    attempt = await bench.spool.begin("job-1")
    assert attempt is not None
    await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="paid"))

    await crashed(bench, lambda: flip_job(bench.database, "job-1", state=JobState.UNCERTAIN.value, purge_due=1))

    job = await bench.spool.get("device-7", "job-1")
    assert job is not None
    assert job.response is not None
    assert (JobState.SUCCEEDED, "paid", None) == (job.state, job.response.model, job.error)
    assert [(1, 1, 0)] == damages(bench)
    await bench.close()


async def test_flipped_tombstone_is_lost_and_counted(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1")
    await bench.spool.erase("device-7", "job-1")

    await crashed(bench, lambda: flip_job(bench.database, "job-1", state=JobState.QUEUED.value))

    assert [(0, 0, 1)] == damages(bench)
    assert await bench.spool.begin("job-1") is None
    nothing_is_missing(bench)
    await bench.close()


async def test_flipped_key_takes_no_other_job_its_own(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1", "job-2")
    attempt = await bench.spool.begin("job-1")
    assert attempt is not None
    await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="paid"))  # its request is gone, and tells no key

    def flip() -> None:
        connection = apsw.Connection(str(bench.database))
        connection.execute("DROP INDEX job_key")  # in a page, nothing keeps two rows from having one key
        connection.close()
        flip_job(bench.database, "job-1", idempotency_key="key-2")

    await crashed(bench, flip)

    repeat = await bench.spool.accept(keyed("job-4", "key-2"))
    assert (True, "job-2", JobState.QUEUED) == (repeat.duplicate, repeat.job.id, repeat.job.state)
    assert [(2, 1, 0)] == damages(bench)
    await bench.close()


async def test_dead_of_a_flip_is_told_to_who_follows_the_changes(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1", "job-2")
    newest = bench.spool.stats().accepted_total

    await crashed(bench, lambda: flip_job(bench.database, "job-1", label="x"))

    changed = await bench.spool.changed_since("device-7", newest, job_ids=[], limit=9)
    assert [("job-1", JobState.DEAD)] == [(job.id, job.state) for job in changed]
    await bench.close()


@pytest.mark.parametrize("has_mark", [True, False])
@pytest.mark.parametrize("column", ["last_seq", "last_revision", "epoch", "accepted_total", "scheme"])
async def test_flipped_counts_are_found_and_no_number_is_given_twice(
    tmp_path: Path, column: str, *, has_mark: bool
) -> None:
    bench = await accepted(tmp_path, "job-1", "job-2")
    seq = max(job.seq for job in await bench.spool.list_jobs("device-7", states=[], before_seq=None, limit=9))

    def spoil() -> None:
        flip_ledger(bench.database, **{column: 0 if column != "scheme" else "plane"})
        if not has_mark:
            (bench.directory / "spool.mark").unlink()

    await crashed(bench, spoil)

    assert [(2, 0, 0)] == damages(bench)
    new = await bench.spool.accept(new_job("job-3"))
    assert seq + 1 == new.job.seq
    assert 3 == bench.spool.stats().accepted_total
    assert await bench.spool.begin("job-1") is not None
    await bench.close()


async def test_key_that_is_altered_in_an_index_alone_lets_no_repeat_in(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1")

    await crashed(bench, lambda: flip_index(bench.database, KEY))

    repeat = await bench.spool.accept(keyed("job-2"))
    assert (True, "job-1") == (repeat.duplicate, repeat.job.id)
    assert [(1, 0, 0)] == damages(bench)
    await bench.close()


async def test_text_that_is_none_is_damage_and_no_defect(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.spool.accept(keyed(label="before"))
    await bench.close()
    bench.database.write_bytes(bench.database.read_bytes().replace(b"before", b"befor\xff"))

    with pytest.raises(QueueUnusableError, match="is damaged"):
        OperatorQueue(bench.directory, vault=bench.vault, config=bench.config)
    bench.renew()
    await bench.open()

    assert [(0, 0, 1)] == damages(bench)
    await bench.close()


async def test_operator_is_told_and_changes_nothing(tmp_path: Path) -> None:
    bench = await accepted(tmp_path, "job-1", "job-2")
    await bench.close()
    flip_job(bench.database, "job-1", state=JobState.DEAD.value)

    with OperatorQueue(bench.directory, vault=bench.vault, config=bench.config) as queue:
        (problem,) = verified(queue.desk).problems
        assert "the row of job 'job-1' is not what was written" in problem
    for act in (partial(OperatorQueue.retry, job_id="job-1"), partial(OperatorQueue.cancel, job_id="job-1")):
        with (
            pytest.raises(QueueUnusableError, match="start the daemon"),
            OperatorQueue(bench.directory, vault=bench.vault, config=bench.config) as queue,
        ):
            act(queue)


VALUES: dict[str, Any] = {
    "id": "job-1", "from": 2, "to": 3, "attempt_id": "attempt", "epoch": 1, "revision": 9, "end_ms": 9, "purge_due": 9,
    "expire_due": 9, "attempt_due": 9, "uncounted": 0, "resent": 1, "kind": 1, "now": 1 << 40, "limit": 9,
}  # fmt: skip
WRITES = {
    name: sql
    for name, sql in (statements() | operator_statements()).items()
    if re.search(r"\b(UPDATE|INSERT INTO) job\b", sql)
}


def _one_row(path: Path, name: str, *, state: int = 2) -> apsw.Connection:
    connection = database.connect(path, max_bytes=1 << 30, check=False)
    row = Row(1, "job-1", "device-7", 1, 6 if name == "forget_keys" else state, 2, 1, KEY, "", "label", 1, 1,
              "" if name == "come_back" else "attempt", 1, 0, 0, 0, 5, 1, 0, 1, 0, 0, 1)  # fmt: skip
    connection.execute(statements()["insert_job"], row[:-1])
    return connection


def _run(connection: apsw.Connection, name: str) -> None:
    sql = WRITES[name]
    if name == "insert_job":
        values: Any = (2, "job-2", *connection.execute("SELECT * FROM job").fetchall()[0][2:-1])
        values = (*values[:7], "another key", *values[8:])
    else:
        values = {word: VALUES[word] for word in re.findall(r":(\w+)", sql)}
    connection.execute(sql, values).fetchall()
    assert connection.changes() == 1, name


def test_there_are_statements_that_write_jobs() -> None:
    assert {"insert_job", "begin", "end_attempt", "erase", "operator_requeue", "forget_keys"} <= {*WRITES}


@pytest.mark.parametrize("name", WRITES)
def test_every_statement_that_writes_a_job_leaves_a_row_that_checks(tmp_path: Path, name: str) -> None:
    connection = _one_row(tmp_path / "spool.db", name)
    before = connection.execute("SELECT * FROM job ORDER BY seq DESC").fetchone()

    _run(connection, name)

    rows = connection.execute("SELECT * FROM job ORDER BY seq DESC").fetchall()
    assert before != rows[0]
    assert [True] * len(rows) == [is_sound(row) for row in rows]
    connection.close()


@pytest.mark.parametrize("name", sorted({*WRITES} - {"insert_job"}))
def test_no_statement_vouches_for_a_row_that_does_not_check(tmp_path: Path, name: str) -> None:
    _one_row(tmp_path / "spool.db", name).close()
    flip_job(tmp_path / "spool.db", "job-1", label="lapel")
    connection = database.connect(tmp_path / "spool.db", max_bytes=1 << 30, check=False)

    with pytest.raises(apsw.ConstraintError, match="the row of a job is damaged"):
        _run(connection, name)

    assert not is_sound(connection.execute("SELECT * FROM job").fetchall()[0])
    connection.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [("state", "2"), ("state", None), ("state", b"\x02"), ("label", 5), ("label", None), ("checksum", None)],
)
def test_column_of_another_type_does_not_check(column: str, value: Any) -> None:
    row = Row(1, "a", "b", 1, 2, 1, 1, "", "", "5", 1, 0, "", 0, 0, 0, 0, 5, 1, 0, 1, 0, 0, 1)

    assert not is_sound(row._replace(**{column: value}))
    assert not is_sound(row[:-2])


async def test_damaged_answers_stay_refused_beside_sound_rows(tmp_path: Path) -> None:
    """A row that checks vouches for no content: that has checksums of its own."""
    bench = SpoolBench(tmp_path)
    await bench.open()
    attempt = (await bench.spool.accept(new_job(kind=JobKind.CALL, idempotency_key=KEY))).attempt
    assert attempt is not None
    await bench.spool.fail(
        attempt, Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"), retry_in_s=None, counts=True
    )
    await bench.close()
    connection = apsw.Connection(str(bench.database))
    connection.execute("UPDATE content SET sealed = zeroblob(length(sealed)) WHERE part = 3")
    connection.close()

    bench.renew()
    await bench.open()

    with pytest.raises(CallError, match="the stored error of job job-1 is damaged"):
        await bench.spool.get("device-7", "job-1")
    await bench.close()
