"""What the public sees of a job."""

from typing import Any

import pytest

from edgeclient.core.job_feed import has_ended
from edgeclient.core.jobs import Job, JobKind, JobState, ResendPolicy
from edgeclient.ingress.job_codec import inner_states, public_job, public_state
from edgeclient.ingress.status import CODES
from edgeclient.v1 import chat_pb2, error_pb2, job_pb2

_OPEN = (job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_RUNNING)
STATES = [state for state in JobState if state is not JobState.ERASED]


def job(**over: Any) -> Job:
    facts: dict[str, Any] = {"id": "j", "caller": "c", "kind": JobKind.JOB, "state": JobState.QUEUED, "priority": 2}
    return Job(**(facts | {"seq": 1, "revision": 1} | over))


@pytest.mark.parametrize("policy", ResendPolicy)
@pytest.mark.parametrize("state", STATES)
def test_job_has_ended_for_the_public_when_it_has_ended_for_the_node(state: JobState, policy: ResendPolicy) -> None:
    each = job(state=state, resend_policy=policy)

    assert has_ended(each) == (public_state(each) not in _OPEN)


@pytest.mark.parametrize("policy", ResendPolicy)
@pytest.mark.parametrize("state", STATES)
def test_filter_of_a_public_state_finds_all_jobs_in_it(state: JobState, policy: ResendPolicy) -> None:
    public = public_state(job(state=state, resend_policy=policy))

    assert state in inner_states([public])
    assert state in inner_states([])


@pytest.mark.parametrize("state", STATES)
def test_error_that_is_told_has_the_code_of_its_reason(state: JobState) -> None:
    stored = error_pb2.Error(reason=error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE, message="503")

    error = public_job(job(state=state, error=stored)).error

    assert not error.reason or error.code == CODES[error.reason]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (JobState.EXPIRED, error_pb2.ERROR_REASON_DEADLINE),
        (JobState.CANCELLED, error_pb2.ERROR_REASON_CANCELLED),
        (JobState.UNCERTAIN, error_pb2.ERROR_REASON_OUTCOME_UNKNOWN),
        (JobState.DEAD, error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE),
    ],
)
def test_end_is_explained_with_the_last_failure(state: JobState, reason: int) -> None:
    stored = error_pb2.Error(reason=error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE, message="503")
    stored.retry_delay.seconds = 2

    error = public_job(job(state=state, error=stored)).error

    assert error.reason == reason
    assert "503" in error.message
    assert not error.HasField("retry_delay")


def test_pending_job_tells_its_last_failure_and_its_next_attempt() -> None:
    stored = error_pb2.Error(reason=error_pb2.ERROR_REASON_UPSTREAM_RATE_LIMITED, message="429")

    message = public_job(job(state=JobState.RETRY_WAIT, error=stored, next_attempt_ms=5_000))

    assert message.error.message == "429"
    assert message.next_attempt_time.seconds == 5
    assert not message.HasField("end_time")


def test_answer_is_told_whole_or_not_at_all() -> None:
    response = chat_pb2.ChatResponse(id="r", job_id="never", model="qwen-plus")
    done = job(state=JobState.SUCCEEDED, response=response)

    assert public_job(done).response == chat_pb2.ChatResponse(id="r", model="qwen-plus")
    assert not public_job(done, content=False).HasField("response")
