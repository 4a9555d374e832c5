"""A row of the table `job`, and the way from there to the words of the port."""

from typing import NamedTuple

from edgeclient.core.jobs import Job, JobKind, JobState, ResendPolicy, Waiting
from edgeclient.spool.ttl_clock import QueueClock


class Row(NamedTuple):
    """The columns in the order of the table. What each means stands in the schema."""

    seq: int
    id: str
    caller: str
    kind: int
    state: int
    priority: int
    revision: int
    idempotency_key: str
    conversation_id: str
    label: str
    resend_policy: int
    attempt_count: int
    attempt_id: str
    epoch: int
    resent_count: int
    crash_count: int
    cancel_requested: int
    size_bytes: int
    create_ms: int
    end_ms: int
    expire_due: int
    attempt_due: int
    purge_due: int
    key_due: int


def to_job(row: Row, clock: QueueClock, *, epoch: int) -> Job:
    """The job, without content.

    A live call whose attempt belongs to an earlier daemon is shown as UNCERTAIN: nobody runs it any more.
    """
    state = JobState(row.state)
    if state is JobState.SENDING and row.epoch < epoch:
        state = JobState.UNCERTAIN
    return Job(
        id=row.id,
        caller=row.caller,
        kind=JobKind(row.kind),
        state=state,
        priority=row.priority,
        seq=row.seq,
        revision=row.revision,
        attempt_count=row.attempt_count,
        idempotency_key=row.idempotency_key,
        conversation_id=row.conversation_id,
        label=row.label,
        resend_policy=ResendPolicy(row.resend_policy),
        create_ms=row.create_ms,
        expire_ms=clock.to_wall_ms(row.expire_due),
        next_attempt_ms=clock.to_wall_ms(row.attempt_due),
        end_ms=row.end_ms,
        purge_ms=clock.to_wall_ms(row.purge_due),
    )


def to_waiting(columns: tuple[str, str, str, int, int, int, int, int], clock: QueueClock) -> Waiting:
    """What scheduling needs, from the columns of the statement `waiting`."""
    job_id, caller, conversation_id, priority, seq, create_ms, expire_due, attempt_due = columns
    return Waiting(
        id=job_id,
        caller=caller,
        conversation_id=conversation_id,
        priority=priority,
        seq=seq,
        create_ms=create_ms,
        expire_ms=clock.to_wall_ms(expire_due),
        next_attempt_ms=clock.to_wall_ms(attempt_due),
    )
