"""Attempts: the intent is committed before the first byte leaves, and the outcome before anybody is told.

Who holds an `Attempt` is the only one who can finish it: id, attempt and epoch must all be those of the row. Which
state follows is decided in `policy/job_states.py`; here it is applied.
"""

from dataclasses import dataclass, replace

from edgeclient.core.errors import Blocked, CallError, OutOfTime, Rejected, Stopping, Throttled, Unavailable
from edgeclient.core.jobs import RUNNABLE, Attempt, Job, JobKind, JobState, ResendPolicy
from edgeclient.policy.job_states import JobEvent, after
from edgeclient.spool.contents import Part
from edgeclient.spool.ending import (
    cancelled,
    drop_request,
    end_unsent,
    error_of,
    purge_due,
    storage_error,
    store_error,
)
from edgeclient.spool.reading import request_of, with_error
from edgeclient.spool.rows import Row
from edgeclient.spool.session import Session

RESENDS = 1  # RESEND_ONCE
_CERTAINLY_NOT_BILLED = (Unavailable, Throttled, Stopping, OutOfTime)


def begin(session: Session, job_id: str, attempt_id: str) -> Attempt | None:
    """Commit the intent to send, if it is runnable and its time is not over."""
    row = session.maybe("job_by_id", id=job_id)
    if row is None or JobState(row.state) not in RUNNABLE or row.kind != JobKind.JOB.value:
        return None
    if row.expire_due <= session.now_ms:
        end_unsent(session, row, JobEvent.EXPIRE)
        return None
    request = request_of(session, row)
    if request is None:
        end_unsent(session, row, JobEvent.SPOIL, storage_error("its stored request is damaged"))
        return None
    begun_row = session.change(
        "begin", row, id=row.id, attempt_id=attempt_id, epoch=session.ledger.epoch, **_move(row, JobEvent.BEGIN)
    )
    session.hold(attempt_id)
    job = replace(session.job(begun_row), request=request)
    return Attempt(job=job, attempt_id=begun_row.attempt_id, epoch=begun_row.epoch)


def succeed(session: Session, attempt: Attempt, response: bytes) -> bool:
    """Commit the whole answer."""
    row = _held(session, attempt)
    if row is None:
        return False
    session.contents.put(row.seq, row.id, row.caller, Part.RESPONSE, response)
    session.contents.drop(row.seq, Part.REQUEST)
    session.contents.drop(row.seq, Part.ERROR)
    _end(session, row, JobEvent.SUCCEED, uncounted=False)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt failed; see `Spool.fail`."""

    error: CallError
    retry_in_s: float | None
    counts: bool


def fail(session: Session, attempt: Attempt, failure: Failure) -> Job | None:
    """Commit that it failed."""
    row = _held(session, attempt)
    if row is None:
        return None
    told = error_of(failure.error, billed_before=row.resent_count > 0)
    if row.cancel_requested:
        told = cancelled(possibly_billed=told.possibly_billed)
    store_error(session, row, told)
    return with_error(session, _fail(session, row, failure))


def _fail(session: Session, row: Row, failure: Failure) -> Row:
    event = _event(failure)
    if event is JobEvent.LOSE:
        session.ledger.uncertain_total += 1
    if row.cancel_requested:
        return _end(session, row, JobEvent.GIVE_UP, uncounted=not failure.counts)
    if event is JobEvent.LOSE and failure.retry_in_s is not None and may_resend(row):
        session.ledger.resent_total += 1
        uncertain = after(JobState(row.state), JobEvent.LOSE)
        return _wait(session, row, after(uncertain, JobEvent.RESEND), failure, resent=True)
    if event in (JobEvent.RETRY, JobEvent.BLOCK):
        return _wait(session, row, after(JobState(row.state), event), failure, resent=False)
    return _end(session, row, event, uncounted=not failure.counts)


def take_back(session: Session, attempt: Attempt) -> bool:
    """Undo `begin`: who asked for the attempt has left before taking it, so nothing was sent."""
    row = _held(session, attempt)
    if row is None:
        return False
    failure = Failure(error=Stopping(0, ""), retry_in_s=0.0, counts=False)  # type: ignore[arg-type]  # not told
    if row.cancel_requested:
        _end(session, row, JobEvent.GIVE_UP, uncounted=True)
    else:
        _wait(session, row, after(JobState(row.state), JobEvent.BLOCK), failure, resent=False)
    return True


def forget(session: Session, attempt: Attempt) -> bool:
    """Remove a live call; False if it is not there."""
    row = session.maybe("job_by_id", id=attempt.job.id)
    if row is None or row.kind != JobKind.CALL.value or row.state not in _HELD or not _holds(row, attempt):
        return False
    session.let_go(row.attempt_id)
    removed = session.rows("forget_attempt", id=row.id, attempt_id=row.attempt_id, epoch=row.epoch)
    session.ledger.purged_total += len(removed)
    session.moved(row, None)
    return True


def park(session: Session, attempt: Attempt, ttl_s: float) -> Job | None:
    """Turn a live call that was certainly not sent into a job."""
    row = _held(session, attempt)
    if row is None or row.kind != JobKind.CALL.value:
        return None
    session.let_go(row.attempt_id)
    expire_due = session.now_ms + int(ttl_s * 1000)
    fence = _fence(row, JobEvent.PARK)
    return session.job(
        session.change("park_attempt", row, kind=JobKind.JOB.value, expire_due=expire_due, **fence),
    )


def may_resend(row: Row) -> bool:
    """The policy permits one more attempt after one of unknown outcome."""
    return row.resend_policy == ResendPolicy.RESEND_ONCE.value and row.resent_count < RESENDS


_HELD = (JobState.SENDING.value, JobState.UNCERTAIN.value)
_UNDER_WAY = (JobState.SENDING.value, JobState.SUBMITTED.value)


def _event(failure: Failure) -> JobEvent:
    error = failure.error
    if error.possibly_billed:
        return JobEvent.LOSE
    if isinstance(error, Rejected):
        return JobEvent.REFUSE
    if isinstance(error, Blocked):
        return JobEvent.BLOCK
    if isinstance(error, _CERTAINLY_NOT_BILLED):
        return JobEvent.RETRY if failure.retry_in_s is not None else JobEvent.EXHAUST
    return JobEvent.LOSE  # of an unknown class nobody can say that it was not billed


def _wait(session: Session, row: Row, to: JobState, failure: Failure, *, resent: bool) -> Row:
    session.let_go(row.attempt_id)
    delay_ms = int((failure.retry_in_s or 0.0) * 1000)
    return session.change(
        "retry_attempt",
        row,
        id=row.id,
        attempt_id=row.attempt_id,
        epoch=row.epoch,
        to=to.value,
        attempt_due=session.now_ms + delay_ms if delay_ms else 0,
        uncounted=int(not failure.counts),
        resent=int(resent),
        **{"from": row.state},
    )


def _end(session: Session, row: Row, event: JobEvent, *, uncounted: bool) -> Row:
    session.let_go(row.attempt_id)
    fence = _fence(row, event)
    drop_request(session, row, JobState(fence["to"]))
    return session.change(
        "end_attempt",
        row,
        end_ms=session.wall_ms,
        purge_due=purge_due(session, row),
        uncounted=int(uncounted),
        **fence,
    )


def _held(session: Session, attempt: Attempt) -> Row | None:
    row = session.maybe("job_by_id", id=attempt.job.id)
    return row if row is not None and row.state in _UNDER_WAY and _holds(row, attempt) else None


def _holds(row: Row, attempt: Attempt) -> bool:
    return row.attempt_id == attempt.attempt_id and row.epoch == attempt.epoch


def _move(row: Row, event: JobEvent) -> dict[str, int]:
    return {"from": row.state, "to": after(JobState(row.state), event).value}


def _fence(row: Row, event: JobEvent) -> dict[str, int | str]:
    return {"id": row.id, "attempt_id": row.attempt_id, "epoch": row.epoch, **_move(row, event)}
