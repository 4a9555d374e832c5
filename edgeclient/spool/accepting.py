"""Accepting a request: find the one with the same key, or store a new one."""

from edgeclient.core.errors import Reason, Rejected, Throttled
from edgeclient.core.jobs import Accepted, Attempt, Job, JobKind, JobState, NewJob
from edgeclient.spool import attempts
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.reading import with_content
from edgeclient.spool.rows import Row
from edgeclient.spool.session import Session

_CALL, _JOB = JobKind.CALL.value, JobKind.JOB.value
_SENDING, _QUEUED = JobState.SENDING.value, JobState.QUEUED.value


def accept(session: Session, new: NewJob, request: bytes, attempt_id: str) -> Accepted:
    """Store it, in SENDING if its own call runs it.

    Raises:
        Rejected: Its key was used with other content.
        Throttled: There is no room.
    """
    try:
        session.room.take(new.caller, len(request), session.tally)
    except Throttled:
        known = _known(session, new)
        if known is None:
            raise
        return Accepted(job=_repeated(session, known, new), duplicate=True)
    job = _insert(session, new, request, attempt_id)
    if job is not None:
        attempt = Attempt(job=job, attempt_id=attempt_id, epoch=session.ledger.epoch) if attempt_id else None
        return Accepted(job=job, duplicate=False, attempt=attempt)
    session.room.give_back(len(request))
    known = _known(session, new)
    if known is None:
        raise DamagedDatabaseError("an index knows a key that no row has")
    return Accepted(job=_repeated(session, known, new), duplicate=True)


def answered(session: Session, new: NewJob, request: bytes, attempt_id: str, response: bytes) -> None:
    """Store it with its answer, if its key is not known; raises as `accept`."""
    attempt = accept(session, new, request, attempt_id).attempt
    if attempt is not None:
        attempts.succeed(session, attempt, response)


def _known(session: Session, new: NewJob) -> Row | None:
    key = new.idempotency_key
    return session.maybe("job_by_key", caller=new.caller, key=key) if key else None


def _repeated(session: Session, known: Row, new: NewJob) -> Job:
    try:
        digest = session.contents.get(known.seq, known.id, known.caller, Part.DIGEST)
    except DamagedError as error:
        raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, str(error)) from None
    if digest != new.digest:
        raise Rejected(
            Reason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED, "this idempotency_key was used before with other content"
        )
    return with_content(session, known)


def _insert(session: Session, new: NewJob, request: bytes, attempt_id: str) -> Job | None:
    """Store it; None: its caller has used the key before."""
    ledger, now_ms, contents = session.ledger, session.now_ms, session.contents
    is_call = new.kind is JobKind.CALL
    sealed = contents.seal_all(new.id, new.caller, (Part.REQUEST, request), (Part.DIGEST, new.digest))
    key_due = now_ms + int(session.config.idempotency_window_s * 1000)
    row = Row(
        seq=ledger.last_seq + 1,
        id=new.id,
        caller=new.caller,
        kind=_CALL if is_call else _JOB,
        state=_SENDING if is_call else _QUEUED,
        priority=new.priority,
        revision=ledger.last_revision + 1,
        idempotency_key=new.idempotency_key,
        conversation_id=new.conversation_id,
        label=new.label,
        resend_policy=new.resend_policy.value,
        attempt_count=1 if is_call else 0,
        attempt_id=attempt_id if is_call else "",
        epoch=ledger.epoch if is_call else 0,
        resent_count=0,
        crash_count=0,
        cancel_requested=0,
        size_bytes=len(sealed[0].sealed) + len(sealed[1].sealed),
        create_ms=session.wall_ms,
        end_ms=0,
        expire_due=now_ms + int(new.ttl_s * 1000),
        attempt_due=0,
        purge_due=key_due if is_call else 0,
        key_due=key_due if new.idempotency_key else 0,
    )
    if not session.insert(row):
        return None
    ledger.last_seq += 1
    ledger.last_revision += 1
    ledger.accepted_total += 1
    contents.add(row.seq, *sealed)
    if new.deferred:
        session.run("defer", seq=row.seq)
    if is_call:
        session.hold(attempt_id)
    return session.job(row, digest=new.digest)
