"""Whatever is done in whatever order, with crashes and clock jumps between: the spool is what a simple model says.

More of it: `SPOOL_ROUNDS=500 pytest tests/integration/test_spool_model.py`.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import Blocked, Reason, Rejected, Unavailable, Uncertain
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Attempt, JobState, ResendPolicy
from edgeclient.v1 import chat_pb2

T = TypeVar("T")
TTL_S = 100.0
ERRORS = {
    JobState.RETRY_WAIT: Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "offline"),
    JobState.FAILED: Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"),
    JobState.QUEUED: Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "key"),
    JobState.UNCERTAIN: Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"),
}


@dataclass
class Expected:
    state: JobState
    resend: ResendPolicy
    accepted_at_s: float
    resent: int = 0
    crashes: int = 0
    cancel: bool = False
    answer: str = ""


class SpoolMachine(RuleBasedStateMachine):
    jobs: Bundle[str] = Bundle("jobs")
    attempts: Bundle[Attempt] = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.runner.get_loop()
        self.bench = SpoolBench(self.root)
        self.do(self.bench.open())
        self.model: dict[str, Expected] = {}
        self.count = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @rule(target=jobs, resend=st.sampled_from(ResendPolicy))
    def accept(self, resend: ResendPolicy) -> str:
        job_id = f"job-{self.count}"
        self.count += 1
        key = f"key of {job_id}"
        new = new_job(job_id, prompt=job_id, resend_policy=resend, ttl_s=TTL_S, idempotency_key=key)
        accepted = self.do(self.bench.spool.accept(new))
        assert not accepted.duplicate
        self.model[job_id] = Expected(JobState.QUEUED, resend, self.bench.clock.monotonic_s())
        return job_id

    @rule(job_id=jobs)
    def repeat(self, job_id: str) -> None:
        if self.model[job_id].state is JobState.ERASED:
            return
        new = new_job("never", prompt=job_id, idempotency_key=f"key of {job_id}")
        accepted = self.do(self.bench.spool.accept(new))
        assert (True, job_id) == (accepted.duplicate, accepted.job.id)

    @rule(target=attempts, job_id=jobs)
    def begin(self, job_id: str) -> Any:
        attempt = self.do(self.bench.spool.begin(job_id))
        expected = self.model[job_id]
        if expected.state not in RUNNABLE:
            assert attempt is None
        elif self.bench.clock.monotonic_s() - expected.accepted_at_s >= TTL_S:
            assert attempt is None
            expected.state = JobState.EXPIRED
        else:
            assert attempt is not None
            assert attempt.job.request is not None
            assert job_id == attempt.job.request.prompt
            expected.state = JobState.SENDING
            return attempt
        return multiple()

    @rule(attempt=consumes(attempts), twice=st.booleans())
    def succeed(self, attempt: Attempt, twice: bool) -> None:  # noqa: FBT001
        expected = self.model[attempt.job.id]
        answer = f"answer to {attempt.attempt_id}"
        done = self.do(self.bench.spool.succeed(attempt, chat_pb2.ChatResponse(model=answer)))
        assert done == (expected.state is JobState.SENDING and self.newest(attempt))
        if done:
            expected.state, expected.answer = JobState.SUCCEEDED, answer
        if twice:
            assert not self.do(self.bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="again")))

    def newest(self, attempt: Attempt) -> bool:
        return attempt.epoch == self.epoch

    @property
    def epoch(self) -> int:
        return self.bench.spool._epoch

    @rule(attempt=consumes(attempts), to=st.sampled_from(list(ERRORS)), left=st.booleans(), counts=st.booleans())
    def fail(self, attempt: Attempt, to: JobState, left: bool, counts: bool) -> None:  # noqa: FBT001
        expected = self.model[attempt.job.id]
        retry_in_s = 0.0 if left else None
        job = self.do(self.bench.spool.fail(attempt, ERRORS[to], retry_in_s=retry_in_s, counts=counts))
        if expected.state is not JobState.SENDING or not self.newest(attempt):
            assert job is None
            return
        assert job is not None
        if expected.cancel:
            expected.state = JobState.CANCELLED
        elif to is JobState.RETRY_WAIT and not left:
            expected.state = JobState.DEAD
        elif to is JobState.UNCERTAIN and left and expected.resend is ResendPolicy.RESEND_ONCE and not expected.resent:
            expected.state, expected.resent = JobState.RETRY_WAIT, 1
        else:
            expected.state = to
        assert expected.state is job.state

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        expected = self.model[job_id]
        job = self.do(self.bench.spool.cancel("device-7", job_id))
        assert self.do(self.bench.spool.cancel("another", job_id)) is None
        if expected.state in {*RUNNABLE, JobState.UNCERTAIN}:
            expected.state = JobState.CANCELLED
        elif expected.state is JobState.SENDING:
            expected.cancel = True
        assert job is not None
        assert expected.state is job.state

    @rule(job_id=jobs)
    def erase(self, job_id: str) -> None:
        self.do(self.bench.spool.erase("device-7", job_id))
        self.model[job_id].state = JobState.ERASED

    @rule(meanwhile_s=st.sampled_from([0.0, 1.0, 60.0]), jump_s=st.sampled_from([0.0, -1.8e9, -3600.0, 3.2e8]))
    def crash(self, meanwhile_s: float, jump_s: float) -> None:
        self.bench.clock.advance(meanwhile_s)
        self.bench.time.wall_offset_s = jump_s
        self.do(self.bench.crash())
        for expected in self.model.values():
            if expected.state is not JobState.SENDING:
                continue
            expected.crashes += 1
            if expected.cancel:
                expected.state = JobState.CANCELLED
            elif expected.crashes > 1:
                expected.state = JobState.DEAD
            elif expected.resend is ResendPolicy.RESEND_ONCE and not expected.resent:
                expected.state, expected.resent = JobState.RETRY_WAIT, 1
            else:
                expected.state = JobState.UNCERTAIN

    @rule(duration_s=st.sampled_from([1.0, 30.0, TTL_S]))
    def time_passes(self, duration_s: float) -> None:
        self.bench.clock.advance(duration_s)
        self.do(self.bench.spool.sweep())
        for expected in self.model.values():
            old = self.bench.clock.monotonic_s() - expected.accepted_at_s >= TTL_S
            if old and expected.state in RUNNABLE:
                expected.state = JobState.EXPIRED

    @invariant()
    def model_is_system(self) -> None:
        for job_id, expected in self.model.items():
            job = self.do(self.bench.spool.get("device-7", job_id))
            assert job is not None
            assert (job_id, expected.state) == (job_id, job.state)
            assert (expected.answer if job.state is JobState.SUCCEEDED else "") == (
                job.response.model if job.response else ""
            )
            assert (job.state in TERMINAL or job.state is JobState.UNCERTAIN) == (job.end_ms > 0)

    @invariant()
    def nothing_appears_or_vanishes(self) -> None:
        stats = self.bench.spool.stats()
        assert len(self.model) == stats.accepted_total == sum(stats.by_state.values())
        assert {job_id for job_id, job in self.model.items() if job.state in RUNNABLE} == {
            job.id for job in self.do(self.bench.spool.waiting())
        }

    def teardown(self) -> None:
        self.do(self.bench.close())
        self.runner.close()
        shutil.rmtree(self.root)


TestSpoolModel = SpoolMachine.TestCase
TestSpoolModel.settings = settings(
    max_examples=int(os.environ.get("SPOOL_ROUNDS", "25")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
