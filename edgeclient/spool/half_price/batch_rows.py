"""Batches and their lines as rows of the queue's database: functions of a session.

A line is an attempt of a job, with the same fence: id, attempt and epoch. Before the order it is in SENDING, from the
intent to order on in SUBMITTED, so whoever meets a line in SENDING knows that nothing can have been billed. A job that
is UNCERTAIN stays a line as long as its batch may come to light; whoever sends it again takes the line away first.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import apsw

from edgeclient.core.jobs import RUNNABLE, Attempt, JobState
from edgeclient.policy.job_states import JobEvent
from edgeclient.policy.job_states import after as job_after
from edgeclient.policy.provider_batch import BatchEvent, BatchState
from edgeclient.policy.provider_batch import after as batch_after
from edgeclient.spool import attempts
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.rows import Row, checksum
from edgeclient.spool.session import BrokenRuleError, Session
from edgeclient.spool.statements import statements

CHUNK_ROWS = 200  # one step of a long piece of work: others get their turn between


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A row of the table; what each column means stands in the schema."""

    name: str
    state: BatchState
    model: str
    window_h: int
    line_count: int
    input_file_id: str = ""
    batch_id: str = ""
    output_file_id: str = ""
    error_file_id: str = ""
    status: str = ""
    since_due: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Which attempt of which job is a line."""

    seq: int
    attempt_id: str
    epoch: int


def load(session: Session) -> list[Batch]:
    """All batches.

    Raises:
        DamagedDatabaseError: One is not what was written.
    """
    return [_batch(found) for found in session.run("load_batches")]


def _batch(found: Sequence[Any]) -> Batch:
    *values, stored = found
    if checksum(values) != stored:
        raise DamagedDatabaseError(f"the row of the batch {found[0]!r} is not what was written")
    name, state, *rest = values
    model, window_h, line_count, input_file_id, batch_id, output_file_id, error_file_id, status, since_due = rest
    return Batch(
        name=name,
        state=BatchState(state),
        model=model,
        window_h=window_h,
        line_count=line_count,
        input_file_id=input_file_id,
        batch_id=batch_id,
        output_file_id=output_file_id,
        error_file_id=error_file_id,
        status=status,
        since_due=since_due,
    )


def insert(session: Session, batch: Batch) -> Batch:
    """Store a new one."""
    stored = replace(batch, since_due=session.now_ms)
    session.run("insert_batch", **_values(stored))
    session.dirty = True
    return stored


def move(session: Session, batch: Batch, event: BatchEvent, **news: Any) -> Batch:
    """Store what has happened to it, and what is new.

    Raises:
        BrokenRuleError: It is not in the state that it was thought to be in.
    """
    return _save(session, batch, state=batch_after(batch.state, event), since_due=session.now_ms, **news)


def note(session: Session, batch: Batch, **news: Any) -> Batch:
    """Store what is new; its state stays."""
    return _save(session, batch, **news)


def _save(session: Session, batch: Batch, **news: Any) -> Batch:
    stored = replace(batch, **news)
    if len(session.run("save_batch", **(_values(stored) | {"from": batch.state.value}))) != 1:
        raise BrokenRuleError(f"the batch {batch.name} is not in state {batch.state}")
    session.dirty = True
    return stored


def drop(session: Session, batch: Batch) -> None:
    """Forget it."""
    session.run("drop_batch", batch=batch.name)
    session.dirty = True


def add_line(session: Session, batch: Batch, *, seq: int, attempt_id: str, epoch: int) -> None:
    """A job that was begun is a line of it."""
    session.run("insert_line", seq=seq, batch=batch.name, attempt_id=attempt_id, epoch=epoch)
    session.dirty = True


def lines(session: Session, batch: Batch, after_seq: int) -> list[Line]:
    """Some of its lines, in order."""
    found = session.run("lines", batch=batch.name, after_seq=after_seq, limit=CHUNK_ROWS)
    return [Line(seq=seq, attempt_id=attempt_id, epoch=epoch) for seq, attempt_id, epoch in found]


def job_of(session: Session, line: Line) -> Row | None:
    """The job of a line, if that line is its present attempt."""
    row = session.maybe("job_by_seq", seq=line.seq)
    return row if row is not None and (row.attempt_id, row.epoch) == (line.attempt_id, line.epoch) else None


def strays(session: Session, some: Sequence[Line]) -> Iterator[Line]:
    """Lines whose job is not theirs any more, although somebody may send it."""
    for line in some:
        row = session.maybe("job_by_seq", seq=line.seq)
        if row is not None and (
            JobState(row.state) in RUNNABLE
            or (row.state in _UNDER_WAY and (row.attempt_id, row.epoch) != (line.attempt_id, line.epoch))
        ):
            yield line


def is_line(session: Session, row: Row) -> bool:
    """Whether the present attempt of a job is a line of a batch."""
    return any(tuple(found[1:]) == (row.attempt_id, row.epoch) for found in session.run("line_of", seq=row.seq))


def hand_over(session: Session, row: Row) -> None:
    """The order of its batch comes next."""
    session.let_go(row.attempt_id)
    to = job_after(JobState(row.state), JobEvent.HAND_OVER)
    session.change("hand_over", row, to=to.value, **_fence(row))


def jobs_in(session: Session, batch: Batch, state: JobState) -> list[Row]:
    """Some jobs in this state whose last attempt is a line of it."""
    return session.rows("jobs_of_batch", batch=batch.name, state=state.value, limit=CHUNK_ROWS)


def come_back(session: Session, row: Row) -> None:
    """The batch of an uncertain job has come to light: its attempt goes on, under the fence of its line."""
    ((_, attempt_id, epoch),) = session.run("line_of", seq=row.seq)
    to = job_after(JobState(row.state), JobEvent.COME_BACK)
    session.change("come_back", row, id=row.id, attempt_id=attempt_id, epoch=epoch, to=to.value, **{"from": row.state})


def take_back(session: Session, row: Row) -> None:
    """Its batch was not ordered: it waits again, or ends if it was cancelled; nothing was billed."""
    attempts.take_back(session, attempt_of(session, row))
    session.run("drop_line", seq=row.seq)


def attempt_of(session: Session, row: Row) -> Attempt:
    """The attempt that a job is under way with."""
    return Attempt(job=session.job(row), attempt_id=row.attempt_id, epoch=row.epoch)


def drop_line(session: Session, line: Line) -> None:
    """It is accounted for."""
    session.run("drop_line", seq=line.seq)
    session.dirty = True


def wanted(session: Session, batch: Batch) -> int:
    """How many of its answers anybody still wants."""
    ((count,),) = session.run("wanted_lines", batch=batch.name)
    return int(count)


def rescue(source: apsw.Connection, target: apsw.Connection) -> None:
    """Copy what can be read of a damaged database into a fresh one, whose jobs are there already.

    A batch that is not what was written is left out, and then nobody knows what becomes of its jobs.
    """
    sql = statements()
    for values in _readable(source, sql["load_batches"]):
        with suppress(DamagedDatabaseError, *_UNFIT):
            target.execute(sql["insert_batch"], _values(_batch(values)))
    for seq, name, attempt_id, epoch in _readable(source, sql["every_line"]):
        with suppress(*_UNFIT):
            line = {"seq": seq, "batch": name, "attempt_id": attempt_id, "epoch": epoch}
            target.execute(sql["insert_line"], line)
    for (seq,) in _readable(source, sql["every_deferred"]):
        with suppress(*_UNFIT):
            target.execute(sql["defer"], {"seq": seq})


def _readable(source: apsw.Connection, statement: str) -> Iterator[Any]:
    with suppress(apsw.Error, UnicodeDecodeError):  # also from before there were batches
        yield from source.execute(statement)


_UNFIT = (apsw.ConstraintError, apsw.MismatchError, TypeError, ValueError)
_UNDER_WAY = (JobState.SENDING.value, JobState.SUBMITTED.value)


def _fence(row: Row) -> dict[str, int | str]:
    return {"id": row.id, "attempt_id": row.attempt_id, "epoch": row.epoch, "from": row.state}


def _values(batch: Batch) -> dict[str, Any]:
    values = {**asdict(batch), "state": batch.state.value}
    return {"batch": values.pop("name"), **values}
