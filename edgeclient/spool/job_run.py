"""One attempt of one job: intent on the disk, request out, outcome on the disk.

Nothing leaves before `begin` has committed, and an outcome is kept until it is committed: while the storage cannot take
it, the run holds on to the answer, for it is paid. Only the end of the process takes it away; the job then stays in
SENDING and is UNCERTAIN at the next start.

Cancelling ends the wait for the provider, never a commit. Whether the request had left is known from the call: time
spent waiting for the provider means that it had, and then it was perhaps billed.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from random import Random
from typing import TypeVar

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import (
    STORAGE_FAILED,
    Blocked,
    CallError,
    ModelBlocked,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.core.events import DefectFound, RetryScheduled
from edgeclient.core.job_events import JobStarted
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Attempt, Job, Waiting
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.policy.backoff import Backoff
from edgeclient.policy.job_verdict import verdict
from edgeclient.spool.closed_models import ClosedModels
from edgeclient.spool.lane import STORAGE_PAUSE_S, Lane
from edgeclient.v1 import chat_pb2

T = TypeVar("T")
Admit = Callable[[Call], None]
"""Sets `Call.model`, or raises the error that a stored request fails with because it is not valid any more."""


class _Phase(Enum):
    BEGINNING = 1
    SENDING = 2
    SETTLING = 3


class JobRun:
    """A job that is under way.

    Attributes:
        job: As it waited.
        mark: Of the ramp.
        model: The model that it wants, as soon as that is known.
        aside: It is not its turn before something has changed: for this model, which is closed, or "" for all. None: it
            is.
        cancelled: It was asked to end.
        phase: How far it is.
        task: Who works on it.
    """

    __slots__ = ("aside", "cancelled", "job", "mark", "model", "phase", "task")

    def __init__(self, job: Waiting, *, mark: int) -> None:
        self.job = job
        self.mark = mark
        self.model = ""
        self.aside: str | None = None
        self.cancelled = False
        self.phase = _Phase.BEGINNING
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """End it as soon as that is safe. May be called again."""
        if not self.cancelled:
            self.cancelled = True
            if self.phase is _Phase.SENDING and self.task is not None:
                self.task.cancel()


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
        self._backoff = Backoff(initial_s=config.retry_initial_s, max_s=config.retry_max_s)
        self._lane = lane
        self._models = models
        self._observe = observe
        self._clock = clock
        self._rng = rng

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
            return await self._present(run)
        if attempt.job.attempt_count == 1 and not run.job.next_attempt_ms:  # an attempt that did not count had a pause
            wait_s = self._clock.monotonic_s() - run.job.create_ms / 1000
            self._observe(JobStarted(job_id=run.job.id, priority=_priority(run.job.priority), wait_s=wait_s))
        call = self._call(attempt)
        try:
            reply = None if run.cancelled else await self._ask(run, call)
            if reply is not None:
                return await self._succeeded(run, attempt, reply)
            failure = _cancelled(possibly_billed=call.upstream_s > 0)
        except CallError as error:
            failure = error
        run.phase = _Phase.SETTLING
        return await self._failed(run, attempt, failure)

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
            run.phase = _Phase.SENDING
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
            run.phase = _Phase.SETTLING

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

    async def _succeeded(self, run: JobRun, attempt: Attempt, reply: Reply) -> Job | None:
        self._lane.answered(run.mark)
        self._models.reopened(run.model)
        reply.response.id = attempt.job.id
        try:
            await self._committed(lambda: self._spool.succeed(attempt, reply.response))
        except CallError as error:  # the answer is there and paid, and the storage will never take it
            lost = Uncertain(error.reason, f"The answer came and could not be stored: {error.message}")
            return await self._failed(run, attempt, lost)
        return await self._present(run)

    async def _failed(self, run: JobRun, attempt: Attempt, error: CallError) -> Job | None:
        judged = verdict(
            error,
            attempt_count=attempt.job.attempt_count,
            max_attempts=self._config.max_attempts,
            waited_s=self._clock.monotonic_s() - run.job.create_ms / 1000,
            reached=self._lane.is_online,
            backoff=self._backoff,
            draw=self._rng.random(),
        )
        job = await self._committed(
            lambda: self._spool.fail(attempt, judged.error, retry_in_s=judged.retry_in_s, counts=judged.counts)
        )
        if job is None:
            return await self._present(run)
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

    async def _present(self, run: JobRun) -> Job | None:
        return await self._committed(lambda: self._spool.get(run.job.caller, run.job.id, content=False))

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


def defect(call_id: str, where: str, error: BaseException) -> DefectFound:
    """The event of an exception that the code does not expect."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return DefectFound(call_id=call_id, where=where, kind=type(error).__name__, traceback="\n".join(lines))


def _model(call: Call) -> str:
    return call.model.id if call.model is not None else call.request.model


def _priority(number: int) -> str:
    known: dict[int, str] = {chat_pb2.PRIORITY_HIGH: "high", chat_pb2.PRIORITY_LOW: "low"}
    return known.get(number, "normal")


def _cancelled(*, possibly_billed: bool) -> CallError:
    kind = Uncertain if possibly_billed else Unavailable
    return kind(Reason.ERROR_REASON_CANCELLED, "Cancelled by its caller during an attempt", retry_after_s=0.0)
