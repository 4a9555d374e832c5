"""What became of attempts of jobs, written down: an outcome is kept until it is committed.

While the storage cannot take it, whoever made the attempt holds on to the answer, for it is paid. Only the end of the
process takes it away; the job then stays in SENDING and is UNCERTAIN at the next start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from sys import maxsize
from typing import TypeVar

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Reply
from edgeclient.core.errors import STORAGE_FAILED, CallError, Uncertain
from edgeclient.core.events import RetryScheduled
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Attempt, Job, JobState
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.policy.backoff import Backoff
from edgeclient.policy.job_verdict import Verdict, verdict
from edgeclient.spool.closed_models import ClosedModels
from edgeclient.spool.job_run import JobRun
from edgeclient.spool.lane import STORAGE_PAUSE_S, Lane

T = TypeVar("T")


class Outcomes:
    """Writes them down; see the module.

    Args:
        spool: The storage.
        config: Attempts and pauses.
        lane: Is told what each outcome means for all jobs.
        models: Is told what it means for those of its model.
        observe: Takes `RetryScheduled`.
        clock: Measures.
        rng: Draws the jitter.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        config: SpoolConfig,
        lane: Lane,
        models: ClosedModels,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._spool = spool
        self._config = config
        self._backoff = Backoff(initial_s=config.retry_initial_s, max_s=config.retry_max_s)
        self._lane = lane
        self._models = models
        self._observe = observe
        self._clock = clock
        self._rng = rng

    async def answered(self, run: JobRun, attempt: Attempt, reply: Reply) -> Job | None:
        """The provider has answered; the job after it, None if there is no such job any more."""
        self._lane.answered(run.mark)
        self._models.reopened(run.model)
        reply.response.id = attempt.job.id
        try:
            if await self._committed(lambda: self._spool.succeed(attempt, reply.response)):
                return replace(attempt.job, state=JobState.SUCCEEDED, request=None)
        except CallError as error:  # the answer is there and paid, and the storage will never take it
            lost = Uncertain(error.reason, f"The answer came and could not be stored: {error.message}")
            return await self.failed(run, attempt, lost)
        return await self.present(run)

    async def given(self, run: JobRun, reply: Reply) -> Job | None:
        """The answer was there already; the job after it, None if there is no such job any more."""
        reply.response.id = run.job.id
        await self._committed(lambda: self._spool.give(run.job.id, reply.response))
        return await self.present(run)

    async def failed(self, run: JobRun, attempt: Attempt, error: CallError) -> Job | None:
        """The attempt has failed; the job after it, None if there is no such job any more."""
        judged = self._verdict(
            run, error, attempt_count=attempt.job.attempt_count, max_attempts=self._config.max_attempts
        )
        job = await self._committed(
            lambda: self._spool.fail(attempt, judged.error, retry_in_s=judged.retry_in_s, counts=judged.counts)
        )
        if job is None:
            return await self.present(run)
        if run.cancelled and job.state not in TERMINAL:
            return await self._committed(lambda: self._spool.cancel(job.caller, job.id))
        if job.state in RUNNABLE:
            self._observe(
                RetryScheduled(
                    call_id=job.id,
                    attempt=attempt.job.attempt_count,
                    reason=error.reason_name,
                    delay_s=judged.retry_in_s or 0.0,
                )
            )
        return job

    def pause_s(self, run: JobRun, error: CallError) -> float:
        """How long a job waits that could not be begun."""
        return self._verdict(run, error, attempt_count=1, max_attempts=maxsize).retry_in_s or 0.0

    async def present(self, run: JobRun) -> Job | None:
        """The job as it is now, whoever has changed it; None: there is none. If it was asked to end, it has."""
        job = await self._committed(lambda: self._spool.get(run.job.caller, run.job.id, content=False))
        if run.cancelled and job is not None and job.state in RUNNABLE:
            return await self._committed(lambda: self._spool.cancel(run.job.caller, run.job.id))
        return job

    def _verdict(self, run: JobRun, error: CallError, *, attempt_count: int, max_attempts: int) -> Verdict:
        return verdict(
            error,
            attempt_count=attempt_count,
            max_attempts=max_attempts,
            waited_s=self._clock.monotonic_s() - run.job.create_ms / 1000,
            reached=self._lane.is_online,
            backoff=self._backoff,
            draw=self._rng.random(),
        )

    async def _committed(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do it, and if the storage cannot be used, again until it can."""
        while True:
            try:
                result = await write()
            except CallError as error:
                if error.reason not in STORAGE_FAILED:
                    raise
                self._lane.storage_failed(error)
                await self._clock.sleep(STORAGE_PAUSE_S)
            else:
                self._lane.storage_worked()
                return result
