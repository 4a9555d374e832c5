"""Jobs on the wire: what the public contract calls the states, and why a job has ended.

The queue knows more states than devices need: which of its own are PENDING, RUNNING or FAILED for the public is this
one table. A job that may be sent once more after an unknown outcome is back in the queue with the commit that says so;
what stays UNCERTAIN may not, and is FAILED with OUTCOME_UNKNOWN.
"""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from edgeclient.core.jobs import Job, JobState, ResendPolicy
from edgeclient.ingress.status import CODES
from edgeclient.v1 import error_pb2, job_pb2

RESEND = {
    job_pb2.RESEND_POLICY_ONCE: ResendPolicy.RESEND_ONCE,
    job_pb2.RESEND_POLICY_NEVER: ResendPolicy.HOLD,
}
_PUBLIC = {
    JobState.QUEUED: job_pb2.JOB_STATE_PENDING,
    JobState.RETRY_WAIT: job_pb2.JOB_STATE_PENDING,
    JobState.SENDING: job_pb2.JOB_STATE_RUNNING,
    JobState.SUBMITTED: job_pb2.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: job_pb2.JOB_STATE_SUCCEEDED,
    JobState.FAILED: job_pb2.JOB_STATE_FAILED,
    JobState.DEAD: job_pb2.JOB_STATE_FAILED,
    JobState.UNCERTAIN: job_pb2.JOB_STATE_FAILED,
    JobState.EXPIRED: job_pb2.JOB_STATE_EXPIRED,
    JobState.CANCELLED: job_pb2.JOB_STATE_CANCELLED,
}
_ENDS = {
    JobState.EXPIRED: (error_pb2.ERROR_REASON_DEADLINE, "its ttl passed before it succeeded"),
    JobState.CANCELLED: (error_pb2.ERROR_REASON_CANCELLED, "it was cancelled by its caller"),
    JobState.UNCERTAIN: (
        error_pb2.ERROR_REASON_OUTCOME_UNKNOWN,
        "an attempt was sent and what became of it is not known; its resend_policy forbids another one",
    ),
}


def public_state(job: Job) -> job_pb2.JobState.ValueType:
    """What the public calls the state of a job that is not erased."""
    return _PUBLIC[job.state]


def inner_states(states: Iterable[int]) -> list[JobState]:
    """All states of the queue that are one of these for the public."""
    wanted = frozenset(states) or frozenset(_PUBLIC.values())
    return [state for state, public in _PUBLIC.items() if public in wanted]


def public_job(job: Job, *, content: bool = True) -> job_pb2.Job:
    """A job as the public sees it.

    Args:
        job: The job.
        content: With its response, if it has one.
    """
    message = job_pb2.Job(
        id=job.id,
        state=public_state(job),
        revision=job.revision,
        attempt_count=job.attempt_count,
        priority=job.priority,  # type: ignore[arg-type]  # stored as the number of the public enum
        idempotency_key=job.idempotency_key,
        label=job.label,
    )
    if content and job.state is JobState.SUCCEEDED and job.response is not None:
        message.response.CopyFrom(job.response)
        message.response.ClearField("job_id")
        message.response.id = message.response.id or job.id
    error = _error(job)
    if error is not None:
        message.error.CopyFrom(error)
    _set(message.create_time, job.create_ms)
    _set(message.end_time, job.end_ms)
    _set(message.expire_time, job.expire_ms)
    _set(message.purge_time, job.purge_ms)
    if message.state == job_pb2.JOB_STATE_PENDING:
        _set(message.next_attempt_time, job.next_attempt_ms)
    return message


def _error(job: Job) -> error_pb2.Error | None:
    """Why it ended, or why its last attempt failed; with the code that the contract fixes for the reason."""
    if job.state in (JobState.SUCCEEDED, JobState.SENDING, JobState.SUBMITTED):
        return None
    error = error_pb2.Error()
    if job.error is not None:
        error.CopyFrom(job.error)
    end = _ENDS.get(job.state)
    if end is not None and public_state(job) != job_pb2.JOB_STATE_PENDING:
        reason, sentence = end
        if error.reason != reason:
            error.message = f"{sentence} (the last attempt failed: {error.message})" if error.message else sentence
            error.reason = reason
        error.possibly_billed = error.possibly_billed or job.state is JobState.UNCERTAIN
    elif job.state in (JobState.FAILED, JobState.DEAD) and not error.reason:
        error.reason = error_pb2.ERROR_REASON_INTERNAL
    elif not error.reason:
        return None
    error.code = CODES.get(error.reason, CODES[error_pb2.ERROR_REASON_INTERNAL])
    if public_state(job) != job_pb2.JOB_STATE_PENDING:
        error.ClearField("retry_delay")  # it has ended; asking for it again changes nothing
    return error


def _set(timestamp: Timestamp, at_ms: int) -> None:
    if at_ms:
        timestamp.FromMilliseconds(at_ms)
