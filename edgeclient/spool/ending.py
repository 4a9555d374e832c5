"""Ends that need no attempt: given, expired, cancelled, erased, purged; and what is left of a job then."""

from edgeclient.core.errors import CallError, Reason
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Job, JobKind, JobState
from edgeclient.policy.job_states import JobEvent, after, allows
from edgeclient.spool import account_rows
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.reading import with_error
from edgeclient.spool.rows import Row
from edgeclient.spool.session import Session
from edgeclient.v1 import error_pb2

CHUNK_ROWS = 200  # one step of a long piece of work: others get their turn between
_LEFT_TO_ATTEMPT = (JobState.SENDING, JobState.SUBMITTED)
_RETRYABLE = frozenset({JobState.FAILED, JobState.DEAD, JobState.EXPIRED})


def cancel(session: Session, caller: str, job_id: str) -> Job | None:
    """The caller does not want it any more."""
    row = session.maybe("job_by_id", id=job_id)
    if row is None or row.caller != caller:
        return None
    state = JobState(row.state)
    if state in _LEFT_TO_ATTEMPT and not row.cancel_requested and row.kind == JobKind.JOB.value:
        row = session.change("request_cancel", row, id=row.id, **{"from": row.state})
    elif allows(state, JobEvent.CANCEL):
        row = end_unsent(session, row, JobEvent.CANCEL, cancelled(possibly_billed=_billed_before(session, row)))
    return with_error(session, row)


def give(session: Session, job_id: str, response: bytes) -> bool:
    """Commit an answer that nothing was sent for; see `Spool.give`."""
    row = session.maybe("job_by_id", id=job_id)
    if row is None or JobState(row.state) not in RUNNABLE or row.kind != JobKind.JOB.value:
        return False
    if row.expire_due <= session.now_ms:
        end_unsent(session, row, JobEvent.EXPIRE)
        return False
    session.contents.put(row.seq, row.id, row.caller, Part.RESPONSE, response)
    session.contents.drop(row.seq, Part.REQUEST)
    session.contents.drop(row.seq, Part.ERROR)
    _change_unsent(session, row, after(JobState(row.state), JobEvent.GIVE))
    return True


def erase(session: Session, caller: str, job_id: str) -> bool:
    """Leave a tombstone; False if there is nothing to erase."""
    row = session.maybe("job_by_id", id=job_id)
    if row is None or row.caller != caller or row.state == JobState.ERASED.value:
        return False
    _erase(session, row)
    return True


def erase_some(session: Session, caller: str, after_seq: int) -> list[int]:
    """Erase the next rows of a caller; returns their seqs, none if there are no more, and then its key is gone.

    Its name is gone from the accounts as well then; their sums go on without it.
    """
    rows = session.rows("of_caller", caller=caller, after_seq=after_seq, limit=CHUNK_ROWS)
    for row in rows:
        _erase(session, row)
    if len(rows) < CHUNK_ROWS:
        session.contents.drop_key(caller)
        account_rows.erase(session, caller)
        session.dirty = True
    return [row.seq for row in rows]


def expire_some(session: Session) -> int:
    """Move some of what is over to EXPIRED."""
    rows = session.rows("overdue", now=session.now_ms, limit=CHUNK_ROWS)
    for row in rows:
        end_unsent(session, row, JobEvent.EXPIRE)
    return len(rows)


def purge_some(session: Session) -> int:
    """Delete some of what has been kept long enough, and forget keys whose time is over."""
    now_ms = session.now_ms
    purged = session.rows("purge", now=now_ms, epoch=session.ledger.epoch, limit=CHUNK_ROWS)
    for row in purged:
        session.moved(row, None)
    session.ledger.purged_total += len(purged)
    forgotten = session.run("forget_keys", now=now_ms, limit=CHUNK_ROWS)
    session.dirty = session.dirty or bool(forgotten)
    return len(purged) + len(forgotten)


def end_unsent(session: Session, row: Row, event: JobEvent, error: error_pb2.Error | None = None) -> Row:
    """End a job that no attempt is under way for."""
    to = after(JobState(row.state), event)
    store_error(session, row, error if error is not None else _expired(session, row))
    if event is JobEvent.SPOIL:
        session.contents.drop(row.seq, Part.REQUEST)  # there is nothing left of it
    drop_request(session, row, to)
    return _change_unsent(session, row, to)


def _change_unsent(session: Session, row: Row, to: JobState) -> Row:
    return session.change(
        "end_unsent",
        row,
        id=row.id,
        to=to.value,
        end_ms=session.wall_ms,
        purge_due=purge_due(session, row),
        **{"from": row.state},
    )


def drop_request(session: Session, row: Row, to: JobState) -> None:
    """A job ends: its request is not needed any more, unless an operator may want to send it again."""
    kept = session.config.keep_failed_requests and to in _RETRYABLE and row.kind == JobKind.JOB.value
    if to in TERMINAL and not kept:
        session.contents.drop(row.seq, Part.REQUEST)


def purge_due(session: Session, row: Row) -> int:
    """When an ended job is deleted: kept for its retention, and as long as its key is remembered if it has one."""
    now_ms = session.now_ms
    if row.kind == JobKind.CALL.value:
        return max(now_ms, row.key_due)
    return max(now_ms + int(session.config.retention_s * 1000), row.key_due)


def store_error(session: Session, row: Row, error: error_pb2.Error) -> None:
    """Keep why."""
    session.contents.put(row.seq, row.id, row.caller, Part.ERROR, error.SerializeToString())


def error_of(error: CallError, *, billed_before: bool) -> error_pb2.Error:
    """A failure in the words of the API; `code` is the ingress's."""
    told = error_pb2.Error(
        reason=error.reason, message=error.message, possibly_billed=error.possibly_billed or billed_before
    )
    if error.violations:
        told.field = error.violations[0].field
    return told


def storage_error(why: str) -> error_pb2.Error:
    """The storage has lost what is needed."""
    return error_pb2.Error(reason=Reason.ERROR_REASON_STORAGE_UNAVAILABLE, message=why)


def lost_outcome(why: str) -> error_pb2.Error:
    """Nobody knows what became of an attempt."""
    return error_pb2.Error(reason=Reason.ERROR_REASON_OUTCOME_UNKNOWN, message=why, possibly_billed=True)


def cancelled(*, possibly_billed: bool) -> error_pb2.Error:
    """Its caller did not want it any more."""
    return error_pb2.Error(
        reason=Reason.ERROR_REASON_CANCELLED,
        message="it was cancelled before an attempt succeeded",
        possibly_billed=possibly_billed,
    )


def _erase(session: Session, row: Row) -> None:
    session.let_go(row.attempt_id)
    session.contents.drop(row.seq)
    now_ms = session.now_ms
    session.change(
        "erase",
        row,
        id=row.id,
        to=after(JobState(row.state), JobEvent.ERASE).value,
        end_ms=row.end_ms or session.wall_ms,
        purge_due=now_ms + int(session.config.retention_s * 1000),
        **{"from": row.state},
    )


def _expired(session: Session, row: Row) -> error_pb2.Error:
    message = "its time was over before an attempt succeeded"
    earlier = _earlier(session, row)
    if earlier is not None and earlier.message:
        message += f" (the last one failed: {earlier.message})"
    return error_pb2.Error(
        reason=Reason.ERROR_REASON_DEADLINE, message=message, possibly_billed=_billed_before(session, row)
    )


def _billed_before(session: Session, row: Row) -> bool:
    """An earlier attempt was perhaps billed: the end does not undo that, and what is damaged does not tell."""
    if JobState(row.state) not in RUNNABLE or row.resent_count:
        return True
    earlier = _earlier(session, row)
    return earlier is None or earlier.possibly_billed


def _earlier(session: Session, row: Row) -> error_pb2.Error | None:
    """Why the last attempt failed; empty if there was none, None if that is damaged."""
    try:
        body = session.contents.get(row.seq, row.id, row.caller, Part.ERROR)
    except DamagedError:
        return None
    return error_pb2.Error.FromString(body or b"")
