"""The stage: what becomes of a call while the provider cannot be reached.

The caller decides by `offline_policy`. FAIL, the default: fail now, in a millisecond, instead of after a row of
time-outs. WAIT: hold the call until the way is back or its time is over. STALE: as FAIL; an outdated answer is a matter
of the stage before. QUEUE: make a durable job of it, at once or, if the way seemed to work, shortly before the caller's
time is over; but only of what certainly was not billed and of which the caller has seen nothing.

Offline is what the node believes (`policy/uplink.py`), so a call may still meet a dead way; it is then treated as if
this had been known.
"""

import asyncio
from collections.abc import Callable

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import OutOfTime, Reason, Stopping, Throttled, Unavailable
from edgeclient.core.events import Event, Uplink
from edgeclient.core.jobs import JobKind, NewJob, ResendPolicy
from edgeclient.core.ports import Clock
from edgeclient.core.spool import Spool, content_digest
from edgeclient.v1 import chat_pb2

_COME_BACK_S = 1.0
_RESEND = {"hold": ResendPolicy.HOLD, "once": ResendPolicy.RESEND_ONCE}


class Offline:
    """A stage; see the module.

    Args:
        spool: Takes what is queued; None: there is none, and validation lets no such call pass.
        config: What queued calls get that do not say.
        uplink: Best state of all targets.
        clock: Time.
    """

    def __init__(self, spool: Spool | None, config: SpoolConfig, *, uplink: Callable[[], Uplink], clock: Clock) -> None:
        self._spool = spool
        self._config = config
        self._uplink = uplink
        self._clock = clock
        self._changed = asyncio.Event()
        self._stopping = False

    def uplink_changed(self, _event: Event) -> None:
        """Take the fact that the uplink has changed: everybody who waits looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """End all waits with `Stopping`, and begin none any more. May be called again."""
        self._stopping = True
        self._changed.set()

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call in the way that its caller wants."""
        match call.request.offline_policy:
            case chat_pb2.OFFLINE_POLICY_WAIT:
                return await self._wait(call, forward)
            case chat_pb2.OFFLINE_POLICY_QUEUE if self._spool is not None:
                return await self._queue(call, forward, self._spool)
        if self._uplink() is Uplink.OFFLINE:
            raise Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "the provider cannot be reached; nothing was sent")
        return await forward(call)

    async def _wait(self, call: Call, forward: Handler) -> Reply:
        while True:
            await self._wait_for_uplink(call)
            try:
                return await forward(call)
            except Unavailable:
                if call.committed or self._uplink() is not Uplink.OFFLINE:
                    raise

    async def _wait_for_uplink(self, call: Call) -> None:
        while self._uplink() is Uplink.OFFLINE:
            if self._stopping:
                raise Stopping(
                    Reason.ERROR_REASON_SHUTTING_DOWN,
                    "this node is shutting down, and the provider could not be reached until now",
                    retry_after_s=_COME_BACK_S,
                )
            deadline = call.deadline
            try:
                async with asyncio.timeout(deadline.remaining_s(self._clock.monotonic_s())):
                    await self._changed.wait()
            except TimeoutError:
                if call.deadline > deadline:  # it was put off: somebody with more time waits as well
                    continue
                raise OutOfTime(
                    Reason.ERROR_REASON_DEADLINE,
                    "the time budget of the call was used up while the provider could not be reached; nothing was sent",
                ) from None

    async def _queue(self, call: Call, forward: Handler, spool: Spool) -> Reply:
        if self._uplink() is Uplink.OFFLINE:
            return await self._queued(call, spool)
        whole = call.deadline
        call.deadline = whole.just_before(self._clock.monotonic_s())
        try:
            return await forward(call)
        except (Unavailable, Throttled, Stopping, OutOfTime) as error:
            if call.committed or error.possibly_billed:
                raise
            return await self._queued(call, spool)
        finally:
            call.deadline = whole

    async def _queued(self, call: Call, spool: Spool) -> Reply:
        """Make a job of the call, under its own id."""
        if call.to_job is not None:
            job = await call.to_job()
        else:
            job = (await spool.accept(self._new_job(call))).job
        return Reply(response=chat_pb2.ChatResponse(id=call.id, job_id=job.id))

    def _new_job(self, call: Call) -> NewJob:
        request = call.request
        return NewJob(
            id=call.id,
            caller=call.caller,
            kind=JobKind.JOB,
            request=request,
            digest=content_digest(request),
            conversation_id=request.conversation_id,
            priority=request.priority or chat_pb2.PRIORITY_NORMAL,
            label=request.label,
            resend_policy=_RESEND[self._config.resend],
            ttl_s=self._config.default_ttl_s,
        )
