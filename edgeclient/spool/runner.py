"""One attempt of one job: read it, store the intent when it is its turn, send it, store the outcome.

Nothing leaves before its intent has committed (`intent.py`), and an outcome is kept until it is committed
(`outcomes.py`). An attempt that never began leaves the job as it was, without a commit: where its caller's own limits
are in the way, they are remembered for all jobs of that caller (`held_callers.py`); where it is the way or the room,
that is the lane's. Whether the request had left is known from the call: time spent waiting for the provider means that
it had, and then it was perhaps billed.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    OutOfTime,
    Reason,
    Rejected,
    Stopping,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.core.jobs import Job, Waiting
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.spool.closed_models import ClosedModels
from edgeclient.spool.held_callers import HeldCallers
from edgeclient.spool.intent import Intent, NotBegunError
from edgeclient.spool.job_run import Admit, JobRun, Phase, defect
from edgeclient.spool.lane import Lane
from edgeclient.spool.outcomes import Outcomes
from edgeclient.v1 import chat_pb2

_LONGEST_REST_S = 1.0
_OF_THIS_NODE = frozenset({Reason.ERROR_REASON_RATE_LIMITED, Reason.ERROR_REASON_DISPATCH_FULL})
_CLOSED_TO_ALL = frozenset({Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED})
_PASSING = (Unavailable, Throttled, Stopping, OutOfTime)
"""What keeps a job that was not sent from being sent now, and not for ever."""


class Runner:
    """Makes attempts; see the module.

    Args:
        spool: The storage.
        send: Asks the provider once, when it is the call's turn, or answers from the cache without a turn.
        admit: Checks a stored request against the present configuration.
        outcome_known: Called when a run asks for nothing any more, whatever it has still to write down.
        config: Attempts, pauses and time budgets.
        lane: Is told what each outcome means for all jobs.
        models: Is told what it means for those of its model.
        callers: Is told what it means for those of its caller.
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
        outcome_known: Callable[[], None],
        config: SpoolConfig,
        lane: Lane,
        models: ClosedModels,
        callers: HeldCallers,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._spool = spool
        self._send = send
        self._admit = admit
        self._outcome_known = outcome_known
        self._config = config
        self._lane = lane
        self._models = models
        self._callers = callers
        self._observe = observe
        self._clock = clock
        self._outcomes = Outcomes(spool, config=config, lane=lane, models=models, observe=observe, clock=clock, rng=rng)

    async def run(self, run: JobRun) -> Job | Waiting | None:
        """Make an attempt.

        Returns:
            The job after it; None if there is no such job any more; the job as it waited if nothing was sent and
            nothing has changed.
        """
        intent = Intent(
            run, spool=self._spool, lane=self._lane, config=self._config, observe=self._observe, clock=self._clock
        )
        try:
            reply = await self._asked(run, intent)
        except NotBegunError as error:
            if error.waits:
                return run.job
            if intent.attempt is None:
                return await self._outcomes.present(run)
            failure = _cancelled(possibly_billed=False)
        except CallError as error:
            failure = error
        else:
            if intent.attempt is not None:
                return await self._outcomes.answered(run, intent.attempt, reply)
            if reply.response.source != chat_pb2.RESPONSE_SOURCE_CACHE:
                raise RuntimeError("whoever sends a job awaits Call.before_send first")
            return await self._outcomes.given(run, reply)
        if intent.attempt is None:
            return await self._unsent(run, intent, failure)
        return await self._outcomes.failed(run, intent.attempt, failure)

    async def _asked(self, run: JobRun, intent: Intent) -> Reply:
        """Ask the provider, when it is the job's turn; the answer may be there already."""
        run.phase = Phase.WAITING
        try:
            return await self._send(await self._call(run, intent))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not run.cancelled or task is None or task.uncancel():
                raise
            raise _cancelled(possibly_billed=run.has_left) from None
        except CallError as error:
            self._tell_lane(run, error)
            raise
        except NotBegunError:
            raise
        except Exception as error:
            self._observe(defect(run.job.id, "job attempt", error))
            kind = Uncertain if run.is_tried else Rejected
            raise kind(Reason.ERROR_REASON_INTERNAL, "A defect of this node ended the attempt") from error
        finally:
            run.phase = Phase.SETTLING
            self._outcome_known()

    async def _call(self, run: JobRun, intent: Intent) -> Call:
        """The job's request as a call.

        Raises:
            CallError: It is not valid any more.
            NotBegunError: There is nothing to send, the storage cannot be used, or its model is closed.
        """
        job = await intent.read()
        call = Call(
            id=job.id,
            request=job.request or chat_pb2.ChatRequest(),
            caller=job.caller,
            deadline=intent.deadline(job),
            attempt_count=job.attempt_count,
            background=True,
        )
        call.before_send = partial(intent.commit, call, job)
        run.asks(call)
        self._admit(call)
        run.model = _model(call)
        if not self._models.permits(run.model):
            run.aside = run.model
            raise NotBegunError("its model is closed", waits=True)
        return call

    async def _unsent(self, run: JobRun, intent: Intent, error: CallError) -> Job | Waiting | None:
        """What follows where nothing was begun: who may be sent later waits as before, and the others have failed."""
        if run.cancelled:
            return await self._outcomes.present(run)
        if isinstance(error, Blocked):
            return run.job
        if isinstance(error, _PASSING) and not error.possibly_billed:
            run.delay_s = self._pause_s(run, error)
            return run.job
        try:
            intent.attempt = attempt = await intent.begun()
        except NotBegunError:
            return run.job
        return await (self._outcomes.present(run) if attempt is None else self._outcomes.failed(run, attempt, error))

    def _pause_s(self, run: JobRun, error: CallError) -> float:
        """How long a job that may be sent later waits by itself; others are told to wait as well where it is theirs."""
        if error.reason == Reason.ERROR_REASON_RATE_LIMITED:
            return self._callers.refused(run.job.caller, error)
        wait_s, now_s = error.retry_after_s or 0.0, self._clock.monotonic_s()
        if error.reason == Reason.ERROR_REASON_DISPATCH_FULL and run.outlasts(wait_s, now_s):
            self._lane.rest(min(wait_s, _LONGEST_REST_S))
            return 0.0
        if error.reason in _CLOSED_TO_ALL:
            self._lane.setback(run.mark, error)  # none of the targets can be asked at present
        return self._outcomes.pause_s(run, error)

    def _tell_lane(self, run: JobRun, error: CallError) -> None:
        """What the provider's refusal or silence means for other jobs."""
        if isinstance(error, ModelBlocked):
            run.aside = run.model
            self._models.refused(run.model, error)
        elif isinstance(error, Blocked):
            run.aside = ""
            self._lane.blocked(error)
        elif not run.is_tried or error.reason in _OF_THIS_NODE:
            return
        elif isinstance(error, Rejected):
            self._lane.refused()
            self._models.reopened(run.model)
        elif isinstance(error, Throttled | Unavailable | Uncertain):
            self._lane.setback(run.mark, error)


def _model(call: Call) -> str:
    return call.model.id if call.model is not None else call.request.model


def _cancelled(*, possibly_billed: bool) -> CallError:
    kind = Uncertain if possibly_billed else Unavailable
    return kind(Reason.ERROR_REASON_CANCELLED, "Cancelled by its caller during an attempt", retry_after_s=0.0)
