"""The stage: a request with a key is paid for once.

The first use of a key is recorded as a call that may be under way, with an fsync, before anything is sent, and its
answer before it is told. A repeat with the same content joins the call while it runs and gets the recorded answer when
it has ended; other content is refused. This holds across Chat, StreamChat, BatchChat and SubmitJob, across connections,
and across restarts of the node.

A failure that certainly cost nothing is not recorded: a repeat of it is a new request. One that may have been billed
stays on record, whether it was told or cut off by a crash of the node: every repeat of its key is told OUTCOME_UNKNOWN,
and whoever wants to pay again takes a new key. To forget it once it was told would not do: the reply that tells it can
be lost, and the next repeat would be billed without a warning (seen under kill -9: 2 of 430).

The record is made before the call waits for its turn, unlike the intent of a job (`spool/intent.py`): a crash in that
moment leaves a key of which nobody knows more than that. To make it with the turn would need a look-up of the key
first, a second wait for the disk in every such call; and here is somebody who is told, within the time of the call, and
can take a new key, where a job would wait for a person.
"""

import asyncio
from collections.abc import Callable

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Delta, Handler, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, OutOfTime, Reason, Rejected, Unavailable, Uncertain
from edgeclient.core.events import Uplink
from edgeclient.core.job_feed import JobFeed, has_ended
from edgeclient.core.jobs import RUNNABLE, Accepted, Job, JobKind, JobState, NewJob
from edgeclient.core.ports import Clock
from edgeclient.core.spool import Spool, content_digest
from edgeclient.stages.flight import Flight
from edgeclient.v1 import chat_pb2, error_pb2


class Idempotency:
    """A stage; see the module.

    Args:
        spool: Where keys are recorded.
        feed: Tells when a job has ended.
        config: Time that the record of a call is kept for.
        uplink: Best state of all targets.
        clock: Time.
    """

    def __init__(
        self, spool: Spool, feed: JobFeed, config: SpoolConfig, *, uplink: Callable[[], Uplink], clock: Clock
    ) -> None:
        self._spool = spool
        self._feed = feed
        self._config = config
        self._uplink = uplink
        self._clock = clock
        self._flights: dict[tuple[str, str], Flight] = {}

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call: by sending it, by joining the one that runs, or from the record."""
        if not call.request.idempotency_key:
            return await forward(call)
        key = (call.caller, call.request.idempotency_key)
        digest = content_digest(call.asked or call.request)
        while (flight := self._flights.get(key)) is not None:
            if flight.abandoned:
                await flight.over()
                continue
            if flight.digest != digest:
                raise _reused()
            return await self._follow(flight, call)
        flight = self._flights[key] = Flight(digest=digest, call=call)
        flight.begin(self._work(flight, forward), name=f"keyed call {call.id}", over=lambda: self._flights.pop(key))
        reply = await flight.lead(now_s=self._clock.monotonic_s())
        if reply is None:
            raise _too_late(possibly_billed=call.attempt_count > 0)
        return _copy(reply)

    async def accept(self, new: NewJob) -> Accepted:
        """`Spool.accept` for a job, whose key may be that of a call.

        One that runs is waited for: if it succeeds, it is the job, and if it fails, the job is a new one.
        """
        key = (new.caller, new.idempotency_key)
        while new.idempotency_key and (flight := self._flights.get(key)) is not None:
            if flight.digest != new.digest:
                raise _reused()
            if flight.abandoned or not flight.call.attempt_count:
                await flight.over()
            else:  # what was sent already is worth an answer, even if whoever asked for it leaves
                now_s = self._clock.monotonic_s()
                await flight.attend(Deadline.after(self._config.attempt_timeout_s, now_s=now_s), now_s=now_s)
        accepted = await self._spool.accept(new)
        if accepted.duplicate and accepted.job.kind is JobKind.CALL and accepted.job.state is not JobState.SUCCEEDED:
            if key in self._flights:  # it began while this was stored
                return await self.accept(new)
            raise _lost()
        return accepted

    async def _work(self, flight: Flight, forward: Handler) -> Reply:
        """Record, send, record. Runs in the flight's task."""
        call = flight.call
        accepted = await self._spool.accept(
            NewJob(
                id=call.id,
                caller=call.caller,
                kind=JobKind.CALL,
                request=call.request,
                digest=flight.digest,
                idempotency_key=call.request.idempotency_key,
                conversation_id=call.request.conversation_id,
                priority=call.request.priority or chat_pb2.PRIORITY_NORMAL,
                label=call.request.label,
                ttl_s=self._config.default_ttl_s,
            )
        )
        if accepted.duplicate:
            with flight.cancellable():
                return await self._repeat(call, accepted.job)
        call.attempt = await self._spool.begun(accepted.job.id)
        try:
            with flight.cancellable():
                reply = await forward(call)
        except CallError as error:
            await self._settle(call, error)
            raise
        except BaseException:  # the callers have left, or a defect
            left = Uncertain(Reason.ERROR_REASON_CANCELLED, "the caller left before the outcome was known")
            await self._settle(call, left if call.attempt_count else None)
            raise
        if call.attempt is not None and not reply.response.job_id:
            await self._keep(call, reply)
        return reply

    async def _keep(self, call: Call, reply: Reply) -> None:
        """Record the answer. One that cannot be recorded is told all the same: it is paid for."""
        if call.attempt is None:
            return
        try:
            await self._spool.succeed(call.attempt, _copy(reply).response)
        except CallError:  # the spool tells its trouble itself; on the disk the attempt stays as it was before
            return

    async def _settle(self, call: Call, error: CallError | None) -> None:
        """Forget a failure that cost nothing, and keep one that may have been billed; None: nothing was sent."""
        attempt = call.attempt
        if attempt is None:
            return  # it has become a job
        try:
            if error is not None and error.possibly_billed:
                await self._spool.fail(attempt, error, retry_in_s=None, counts=True)
            else:
                await self._spool.forget(attempt)
        except CallError:  # as in _keep: a record that stays is found by the next repeat, like one from before a crash
            return

    async def _follow(self, flight: Flight, call: Call) -> Reply:
        """Join a call that runs."""
        reply = await flight.follow(call.deadline, now_s=self._clock.monotonic_s())
        if reply is None:
            raise _too_late(possibly_billed=False)  # it has asked for nothing itself
        return await _deliver(call, _copy(reply))

    async def _repeat(self, call: Call, job: Job) -> Reply:
        """Answer from the record."""
        if job.kind is JobKind.CALL and job.state is not JobState.SUCCEEDED:
            raise _lost()
        if not has_ended(job):
            waited = await self._wait_for(call, job)
            if waited is None:
                return _queued(call, job)
            job = waited
        if job.state is not JobState.SUCCEEDED or job.response is None:
            raise _failed(job)
        response = chat_pb2.ChatResponse()
        response.CopyFrom(job.response)
        response.source = chat_pb2.RESPONSE_SOURCE_REPLAY
        response.attempt_count = 0  # this answer needed none
        return await _deliver(call, Reply(response=response))

    async def _wait_for(self, call: Call, job: Job) -> Job | None:
        """A job with the key, once it has ended; None if it is time to tell its id instead."""
        queue = call.request.offline_policy == chat_pb2.OFFLINE_POLICY_QUEUE
        wait = queue or call.request.offline_policy == chat_pb2.OFFLINE_POLICY_WAIT
        if job.state in RUNNABLE and self._uplink() is Uplink.OFFLINE:
            if queue:
                return None
            if not wait:
                raise Unavailable(
                    Reason.ERROR_REASON_UPLINK_OFFLINE,
                    f"the provider cannot be reached; the job {job.id} has this idempotency_key and waits for it",
                )
        ended = await self._ended_in_time(call, job, notice=queue)
        if ended is None and not queue:
            raise OutOfTime(
                Reason.ERROR_REASON_DEADLINE,
                f"the time budget of the call was used up; the job {job.id} has this idempotency_key and goes on",
            )
        return ended

    async def _ended_in_time(self, call: Call, job: Job, *, notice: bool) -> Job | None:
        """The job once it has ended; None if the time of all who wait is over, or with `notice` almost."""
        while True:
            now_s, whole = self._clock.monotonic_s(), call.deadline
            deadline = whole.just_before(now_s) if notice else whole
            try:
                async with asyncio.timeout(deadline.remaining_s(now_s)):
                    ended = await self._feed.ended(call.caller, job.id)
            except TimeoutError:
                if call.deadline > whole:
                    continue
                return None
            if ended is None:
                raise _deleted()
            return ended


async def _deliver(call: Call, reply: Reply) -> Reply:
    """Give an answer that was made for another request; to a stream as one piece."""
    response = reply.response
    call.shared = True
    call.source = response.source
    call.target = response.target
    call.attempt_count = response.attempt_count
    message = response.message
    delta = Delta(content=message.content, reasoning=message.reasoning_content, tool_calls=tuple(message.tool_calls))
    if call.emit is not None and (delta.content or delta.reasoning or delta.tool_calls):
        call.committed = True
        await call.emit(delta)
    return reply


def _copy(reply: Reply) -> Reply:
    response = chat_pb2.ChatResponse()
    response.CopyFrom(reply.response)
    return Reply(response=response, upstream_request_id=reply.upstream_request_id)


def _too_late(*, possibly_billed: bool) -> CallError:
    return OutOfTime(
        Reason.ERROR_REASON_DEADLINE,
        "the time budget of the call was used up while one with its idempotency_key still runs; repeat it with that"
        " key to get its answer",
        possibly_billed=possibly_billed,
    )


def _lost() -> CallError:
    return Uncertain(
        Reason.ERROR_REASON_OUTCOME_UNKNOWN,
        "an earlier call with this idempotency_key was sent and what became of it is not known; take a new key if"
        " it may be billed again",
    )


def _queued(call: Call, job: Job) -> Reply:
    call.shared = True
    return Reply(response=chat_pb2.ChatResponse(id=call.id, job_id=job.id))


def _reused() -> Rejected:
    return Rejected(
        Reason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED,
        "idempotency_key: was used with other content before; take a new key for a new request",
    )


def _deleted() -> Rejected:
    return Rejected(
        Reason.ERROR_REASON_JOB_NOT_FOUND,
        "the job with this idempotency_key was deleted; take a new key to ask again",
    )


def _failed(job: Job) -> CallError:
    """Why there is no answer and never will be for this key."""
    if job.state is JobState.ERASED:
        return _deleted()
    error = job.error or error_pb2.Error()
    reason = {
        JobState.EXPIRED: Reason.ERROR_REASON_DEADLINE,
        JobState.CANCELLED: Reason.ERROR_REASON_CANCELLED,
        JobState.UNCERTAIN: Reason.ERROR_REASON_OUTCOME_UNKNOWN,
    }.get(job.state, error.reason or Reason.ERROR_REASON_INTERNAL)
    sentence = f"the job {job.id} has this idempotency_key and ended without an answer; take a new key to ask again"
    if error.message:
        sentence += f" ({error.message})"
    return Rejected(reason, sentence, possibly_billed=error.possibly_billed)
