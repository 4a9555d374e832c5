"""One attempt of one job: intent on the disk, request out, outcome on the disk.

Nothing leaves before `begin` has committed, and an outcome is kept until it is committed (`outcomes.py`). Whether the
request had left is known from the call: time spent waiting for the provider means that it had, and then it was perhaps
billed.
"""

import asyncio
from contextlib import suppress
from random import Random

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.core.job_events import JobStarted
from edgeclient.core.jobs import Attempt, Job, Waiting
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.spool.closed_models import ClosedModels
from edgeclient.spool.job_run import Admit, JobRun, Phase, defect
from edgeclient.spool.lane import Lane
from edgeclient.spool.outcomes import Outcomes
from edgeclient.v1 import chat_pb2


class Runner:
    """Makes attempts; see the module.

    Args:
        spool: The storage.
        send: Asks the provider, once.
        admit: Checks a stored request against the present configuration.
        config: Attempts, pauses and time budgets.
        lane: Is told what each outcome means for all jobs.
        models: Is told what it means for those of its model.
        observe: Takes `JobStarted`, `RetryScheduled` and `DefectFound`.
        clock: Measures.
        rng: Draws the jitter.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        send: Handler,
        admit: Admit,
        config: SpoolConfig,
        lane: Lane,
        models: ClosedModels,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._spool = spool
        self._send = send
        self._admit = admit
        self._config = config
        self._lane = lane
        self._models = models
        self._observe = observe
        self._clock = clock
        self._outcomes = Outcomes(spool, config=config, lane=lane, models=models, observe=observe, clock=clock, rng=rng)

    async def run(self, run: JobRun) -> Job | Waiting | None:
        """Make an attempt.

        Returns:
            The job after it; None if there is no such job any more; the job as it waited if its model is closed or the
            intent could not be stored, so that nothing was sent and nothing has changed.
        """
        try:
            if self._models and not self._models.permits(await self._wanted(run)):
                run.aside = run.model
                return run.job
            attempt = await self._spool.begin(run.job.id)
        except CallError as error:
            self._lane.storage_failed(error)
            return run.job
        self._lane.storage_worked()
        if attempt is None:
            return await self._outcomes.present(run)
        if attempt.job.attempt_count == 1 and not run.job.next_attempt_ms:  # an attempt that did not count had a pause
            wait_s = self._clock.monotonic_s() - run.job.create_ms / 1000
            self._observe(JobStarted(job_id=run.job.id, priority=_priority(run.job.priority), wait_s=wait_s))
        call = self._call(attempt)
        try:
            reply = None if run.cancelled else await self._ask(run, call)
            if reply is not None:
                return await self._outcomes.answered(run, attempt, reply)
            failure = _cancelled(possibly_billed=call.upstream_s > 0)
        except CallError as error:
            failure = error
        run.phase = Phase.SETTLING
        return await self._outcomes.failed(run, attempt, failure)

    async def _wanted(self, run: JobRun) -> str:
        """The model that a job wants, found out without an attempt; "" if only the attempt can tell."""
        job = await self._spool.peek(run.job.id)
        if job is not None and job.request is not None:
            call = Call(id=job.id, request=job.request, caller=job.caller, deadline=Deadline())
            with suppress(Exception):  # its attempt will meet the same, and be told
                self._admit(call)
                run.model = _model(call)
        return run.model

    def _call(self, attempt: Attempt) -> Call:
        job = attempt.job
        request = job.request or chat_pb2.ChatRequest()
        timeout_s = self._config.attempt_timeout_s
        if request.HasField("timeout"):
            timeout_s = request.timeout.ToNanoseconds() / 1e9
        left_s = job.expire_ms / 1000 - self._clock.wall_s()
        if left_s > 0:  # else the wall clock has jumped: the storage, whose clock has not, says that there is time
            timeout_s = min(timeout_s, left_s)
        return Call(
            id=job.id,
            request=request,
            caller=job.caller,
            deadline=Deadline.after(timeout_s, now_s=self._clock.monotonic_s()),
            attempt_count=job.attempt_count - 1,
            background=True,
        )

    async def _ask(self, run: JobRun, call: Call) -> Reply | None:
        """Ask the provider; None if the run was cancelled meanwhile."""
        begun_count = call.attempt_count
        try:
            self._admit(call)
            run.model = _model(call)
            run.phase = Phase.SENDING
            return await self._send(call)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not run.cancelled or task is None or task.uncancel():
                raise
            return None
        except CallError as error:
            if call.attempt_count > begun_count:
                self._tell_lane(run, error)
            raise
        except Exception as error:
            self._observe(defect(call.id, "job attempt", error))
            kind = Uncertain if call.attempt_count > begun_count else Rejected
            raise kind(Reason.ERROR_REASON_INTERNAL, "A defect of this node ended the attempt") from error
        finally:
            run.phase = Phase.SETTLING

    def _tell_lane(self, run: JobRun, error: CallError) -> None:
        if isinstance(error, ModelBlocked):
            run.aside = run.model
            self._models.refused(run.model, error)
        elif isinstance(error, Blocked):
            run.aside = ""
            self._lane.blocked(error)
        elif isinstance(error, Rejected):
            self._lane.refused()
            self._models.reopened(run.model)
        elif isinstance(error, Throttled | Unavailable | Uncertain):
            self._lane.setback(run.mark, error)


def _model(call: Call) -> str:
    return call.model.id if call.model is not None else call.request.model


def _priority(number: int) -> str:
    known: dict[int, str] = {chat_pb2.PRIORITY_HIGH: "high", chat_pb2.PRIORITY_LOW: "low"}
    return known.get(number, "normal")


def _cancelled(*, possibly_billed: bool) -> CallError:
    kind = Uncertain if possibly_billed else Unavailable
    return kind(Reason.ERROR_REASON_CANCELLED, "Cancelled by its caller during an attempt", retry_after_s=0.0)
