"""How an operator's retry changes the rows; what it means stands in `operator.py`."""

from edgeclient.core.identifiers import new_identifier
from edgeclient.core.jobs import JobKind, JobState, NewJob, ResendPolicy
from edgeclient.core.spool import content_digest
from edgeclient.spool.accepting import accept
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.ending import store_error
from edgeclient.spool.offline_files import operator_statements
from edgeclient.spool.rows import Row, sound
from edgeclient.spool.session import Session
from edgeclient.v1 import chat_pb2, error_pb2


def requeued(session: Session, row: Row) -> Row:
    """An uncertain job waits again. What is known of earlier bills stays."""
    session.ledger.last_revision += 1
    session.ledger.resent_total += 1
    session.run("drop_line", seq=row.seq)  # a batch that is missing answers it no more
    values = {
        "id": row.id,
        "from": row.state,
        "to": JobState.QUEUED.value,
        "revision": session.ledger.last_revision,
        "expire_due": session.now_ms + _ttl_ms(session, row),
    }
    (changed,) = session.connection.execute(operator_statements()["operator_requeue"], values)
    after = sound(changed)
    session.moved(row, after)
    return after


def resubmitted(session: Session, row: Row, *, request: chat_pb2.ChatRequest) -> Row:
    """A new job asks what one that has ended did ask, under no key: the old one's is bound to its end.

    Raises:
        Throttled: There is no room.
    """
    job_id = new_identifier(now_ms=session.wall_ms)
    _hand_over(session, row, job_id)
    session.room.measure(session.connection)
    request.ClearField("idempotency_key")
    new = NewJob(
        id=job_id,
        caller=row.caller,
        kind=JobKind.JOB,
        request=request,
        digest=content_digest(request),
        conversation_id=row.conversation_id,
        priority=row.priority,
        label=row.label,
        resend_policy=ResendPolicy(row.resend_policy),
        ttl_s=_ttl_ms(session, row) / 1000,
    )
    accept(session, new, request.SerializeToString(), attempt_id="")
    return session.rows("job_by_id", id=job_id)[0]


def _hand_over(session: Session, row: Row, job_id: str) -> None:
    """Take the request from a job that has ended, and tell in its error who has it now."""
    session.contents.drop(row.seq, Part.REQUEST)
    try:
        body = session.contents.get(row.seq, row.id, row.caller, Part.ERROR)
    except DamagedError:
        body = None
    error = error_pb2.Error.FromString(body or b"")
    error.message = f"{error.message}; an operator has sent it again as job {job_id}".removeprefix("; ")
    store_error(session, row, error)
    same = {"to": row.state, "from": row.state, "end_ms": row.end_ms, "purge_due": row.purge_due}
    session.change("end_unsent", row, id=row.id, **same)  # the same end, with another size


def _ttl_ms(session: Session, row: Row) -> int:
    """As long as a job has that does not say, or as the old one had left."""
    return max(row.expire_due - session.now_ms, int(session.config.default_ttl_s * 1000))
