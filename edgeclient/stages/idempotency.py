"""The stage: a request with a key is paid for once.

The first use of a key is recorded as a call that may be under way, with an fsync, when its turn has come and before
anything is sent, and its answer before it is told (`call_record.py`). A repeat with the same content joins the call
while it waits or runs and gets the recorded answer when it has ended; other content is refused. This holds across Chat,
StreamChat, BatchChat and SubmitJob, across connections, and, of whatever was sent, across restarts of the node. Of a
call that still waits nothing is known after a crash, and its repeat is the first to be sent.

A failure that certainly cost nothing is not recorded: a repeat of it is a new request. One that may have been billed
stays on record, whether it was told or cut off by a crash of the node: every repeat of its key is told OUTCOME_UNKNOWN,
and whoever wants to pay again takes a new key. To forget it once it was told would not do: the reply that tells it can
be lost, and the next repeat would be billed without a warning (seen under kill -9: 2 of 430).
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
from edgeclient.stages.call_record import CallRecord, NotSentError
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
            raise _too_late(possibly_billed=flight.call.maybe_paid)
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
        """Look the key up, send, record. Runs in the flight's task."""
        call = flight.call
        known = await self._spool.find(call.caller, call.request.idempotency_key)
        if known is not None and known.digest != flight.digest:
            raise _reused()
        if known is None:
            try:
                return await self._send(flight, forward)
            except NotSentError as error:
                if isinstance(error.why, CallError):
                    raise error.why from None
                known = error.why
        with flight.cancellable():
            return await self._repeat(call, known)

    async def _send(self, flight: Flight, forward: Handler) -> Reply:
        """Send, and record what becomes of it.

        Raises:
            NotSentError: Nothing was sent, for it could not be recorded.
        """
        call = flight.call
        record = CallRecord(self._spool, self._new(call, flight.digest))
        call.before_send, call.after_free, call.to_job = record.begin, record.take_back, record.to_job
        try:
            with flight.cancellable():
                reply = await forward(call)
        except CallError as error:
            await record.failed(error)
            raise
        except BaseException:  # the callers have left, it was not begun, or a defect
            left = Uncertain(Reason.ERROR_REASON_CANCELLED, "the caller left before the outcome was known")
            await record.failed(left if call.maybe_paid else None)
            raise
        await record.answered(_copy(reply).response)
        return reply

    def _new(self, call: Call, digest: bytes) -> NewJob:
        return NewJob(
            id=call.id,
            caller=call.caller,
            kind=JobKind.CALL,
            request=call.request,
            digest=digest,
            idempotency_key=call.request.idempotency_key,
            conversation_id=call.request.conversation_id,
            priority=call.request.priority or chat_pb2.PRIORITY_NORMAL,
            label=call.request.label,
            ttl_s=self._config.default_ttl_s,
        )

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
    call.served_as = response.model
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
