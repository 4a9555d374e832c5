"""Accepting a request: find the one with the same key, or store a new one."""

from dataclasses import replace

from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.jobs import Accepted, Job, JobKind, JobState, NewJob
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.reading import with_content
from edgeclient.spool.rows import Row
from edgeclient.spool.session import Session


def accept(session: Session, new: NewJob, request: bytes, attempt_id: str) -> Accepted:
    """Store it, in SENDING if its own call runs it.

    Raises:
        Rejected: Its key was used with other content.
        Throttled: There is no room.
    """
    known = session.maybe("job_by_key", caller=new.caller, key=new.idempotency_key) if new.idempotency_key else None
    if known is not None:
        return Accepted(job=_repeated(session, known, new), duplicate=True)
    session.room.take(new.caller, len(request), session.tally)
    return Accepted(job=_insert(session, new, request, attempt_id), duplicate=False)


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


def _insert(session: Session, new: NewJob, request: bytes, attempt_id: str) -> Job:
    ledger, clock, config = session.ledger, session.clock, session.config
    now_ms = clock.now_ms()
    is_call = new.kind is JobKind.CALL
    ledger.last_seq += 1
    ledger.accepted_total += 1
    parts = [
        session.contents.seal(new.id, new.caller, Part.REQUEST, request),
        session.contents.seal(new.id, new.caller, Part.DIGEST, new.digest),
    ]
    key_due = now_ms + int(config.idempotency_window_s * 1000)
    row = session.change(
        "insert_job",
        None,
        seq=ledger.last_seq,
        id=new.id,
        caller=new.caller,
        kind=new.kind.value,
        state=(JobState.SENDING if is_call else JobState.QUEUED).value,
        priority=new.priority,
        idempotency_key=new.idempotency_key,
        conversation_id=new.conversation_id,
        label=new.label,
        resend_policy=new.resend_policy.value,
        attempt_count=1 if is_call else 0,
        attempt_id=attempt_id if is_call else "",
        epoch=ledger.epoch if is_call else 0,
        size_bytes=sum(len(part.sealed) for part in parts),
        create_ms=clock.wall_ms(),
        expire_due=now_ms + int(new.ttl_s * 1000),
        purge_due=key_due if is_call else 0,
        key_due=key_due if new.idempotency_key else 0,
    )
    for part in parts:
        session.contents.store(row.seq, part)
    if is_call:
        session.hold(attempt_id)
    return replace(session.job(row), digest=new.digest)
