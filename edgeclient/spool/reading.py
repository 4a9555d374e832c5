"""Reading jobs, with as much of their content as is asked for."""

from collections.abc import Sequence
from dataclasses import replace

from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.jobs import RUNNABLE, Job, JobKind, JobState, Waiting
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.rows import Row, to_waiting
from edgeclient.spool.session import Session, as_list
from edgeclient.v1 import chat_pb2, error_pb2

_END_OF_SEQ = 1 << 62


def get(session: Session, caller: str, job_id: str, *, content: bool) -> Job | None:
    """A caller's job; another's does not exist for it."""
    row = session.maybe("job_by_id", id=job_id)
    if row is None or row.caller != caller:
        return None
    return with_content(session, row) if content else with_error(session, row)


def find(session: Session, caller: str, idempotency_key: str) -> Job | None:
    """The row with this key, with its content."""
    row = session.maybe("job_by_key", caller=caller, key=idempotency_key)
    return None if row is None else with_content(session, row)


def list_jobs(
    session: Session, caller: str, states: Sequence[JobState], before_seq: int | None, limit: int
) -> list[Job]:
    """Newest first, without content."""
    wanted = as_list([state.value for state in states or JobState])
    before = _END_OF_SEQ if before_seq is None else before_seq
    rows = session.rows("list_jobs", caller=caller, before_seq=before, states=wanted, limit=limit)
    return [with_error(session, row) for row in rows]


def changed_since(session: Session, caller: str, revision: int, job_ids: Sequence[str], limit: int) -> list[Job]:
    """Oldest change first, with content."""
    if job_ids:
        rows = session.rows(
            "changed_since_of", caller=caller, revision=revision, ids=as_list(list(job_ids)), limit=limit
        )
    else:
        rows = session.rows("changed_since", caller=caller, revision=revision, limit=limit)
    return [with_content(session, row) for row in rows]


def waiting(session: Session) -> list[Waiting]:
    """All runnable jobs, in order of acceptance."""
    return [to_waiting(columns, session.clock) for columns in session.each("waiting")]


def peek(session: Session, job_id: str) -> Job | None:
    """A job that waits and whose time is not over, with its request."""
    row = session.maybe("job_by_id", id=job_id)
    if row is None or row.kind != JobKind.JOB.value or JobState(row.state) not in RUNNABLE:
        return None
    request = request_of(session, row) if row.expire_due > session.now_ms else None
    return None if request is None else replace(session.job(row), request=request)


def request_of(session: Session, row: Row) -> chat_pb2.ChatRequest | None:
    """What a row asks; None if that is dropped, or damaged and as good as gone."""
    try:
        body = session.contents.get(row.seq, row.id, row.caller, Part.REQUEST)
    except DamagedError:
        return None
    return None if body is None else chat_pb2.ChatRequest.FromString(body)


def with_content(session: Session, row: Row) -> Job:
    """With response, error and content hash; the request is for those who send it.

    Raises:
        Rejected: The answer is damaged; an altered one is never told.
    """
    job = with_error(session, row)
    response = None
    if row.state == JobState.SUCCEEDED.value:
        body = _part(session, row, Part.RESPONSE)
        response = None if body is None else chat_pb2.ChatResponse.FromString(body)
    return replace(job, response=response, digest=_part(session, row, Part.DIGEST) or b"")


def with_error(session: Session, row: Row) -> Job:
    """With the error, if there is one."""
    body = _part(session, row, Part.ERROR) if row.state != JobState.SUCCEEDED.value else None
    return replace(session.job(row), error=None if body is None else error_pb2.Error.FromString(body))


def _part(session: Session, row: Row, part: Part) -> bytes | None:
    try:
        return session.contents.get(row.seq, row.id, row.caller, part)
    except DamagedError as error:
        raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, str(error)) from None
