"""JobService: chat requests that survive a lost uplink, a lost connection and a restart.

The service validates, stores and tells; the drainer runs. A job of another caller is NOT_FOUND like one that never was.
A wait that runs out of time is answered with the state of that moment; a node that shuts down ends all waits, and what
was waited for stays where it is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from edgeclient.config.schema import IngressConfig
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call
from edgeclient.core.errors import Reason, Rejected, Violation
from edgeclient.core.identifiers import new_identifier
from edgeclient.core.job_feed import JobFeed, has_ended
from edgeclient.core.jobs import Accepted, Job, JobKind, JobState, NewJob, ResendPolicy
from edgeclient.core.ports import Clock
from edgeclient.core.spool import Spool, content_digest
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.inbound import Inbound, Send
from edgeclient.ingress.job_codec import RESEND, inner_states, public_job, public_state
from edgeclient.ingress.job_requests import (
    check_job_id,
    check_watch,
    page,
    refuse,
    seconds_of,
    submit_problems,
    wait_s,
)
from edgeclient.ingress.job_watch import JobWatch
from edgeclient.policy.half_price import Deferring
from edgeclient.v1 import chat_pb2, job_pb2

_RESEND_DEFAULT = {"hold": ResendPolicy.HOLD, "once": ResendPolicy.RESEND_ONCE}


class Admit(Protocol):
    """Validates a chat request."""

    def __call__(self, call: Call, /) -> None:
        """Raise `Rejected` with all that is wrong."""
        ...


class JobService:
    """Serves `edgeclient.v1.JobService`.

    Args:
        spool: The durable queue.
        feed: Tells of changes.
        accept: Stores a job; finds the one with the same key, be it a job or a call.
        end_attempt: Ends the running attempt of a cancelled job early, if there is one.
        admit: Validates the chat request.
        gate: Limits the waits in progress.
        config: Longest wait, and the interval of signs of life.
        spool_config: What a job gets that does not say, and how much it may ask for.
        deferring: Decides whether a job whose caller can wait goes out at half price; None: none does.
        clock: Time.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        feed: JobFeed,
        accept: Callable[[NewJob], Awaitable[Accepted]],
        end_attempt: Callable[[str], object],
        admit: Admit,
        gate: Gate,
        config: IngressConfig,
        spool_config: SpoolConfig,
        deferring: Deferring | None = None,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._feed = feed
        self._accept = accept
        self._end_attempt = end_attempt
        self._admit = admit
        self._gate = gate
        self._config = config
        self._spool_config = spool_config
        self._deferring = deferring
        self._clock = clock

    async def submit_job(self, request: job_pb2.SubmitJobRequest, inbound: Inbound) -> job_pb2.SubmitJobResponse:
        """Store a request; it is safe when this returns."""
        job_id = new_identifier(now_ms=int(self._clock.wall_s() * 1000))
        call = self._checked(request, inbound, job_id)
        chat = call.request
        ttl_s = self._ttl_s(request, chat)
        accepted = await self._accept(
            NewJob(
                id=job_id,
                caller=inbound.caller,
                kind=JobKind.JOB,
                request=chat,
                digest=content_digest(request.request),
                idempotency_key=chat.idempotency_key,
                conversation_id=chat.conversation_id,
                priority=chat.priority or chat_pb2.PRIORITY_NORMAL,
                label=chat.label,
                resend_policy=RESEND.get(request.resend_policy, _RESEND_DEFAULT[self._spool_config.resend]),
                ttl_s=ttl_s,
                deferred=self._defers(request, call, ttl_s),
            )
        )
        return job_pb2.SubmitJobResponse(
            job=public_job(accepted.job), duplicate=accepted.duplicate, durability=job_pb2.DURABILITY_LOCAL
        )

    async def get_job(self, request: job_pb2.GetJobRequest, inbound: Inbound) -> job_pb2.GetJobResponse:
        """The present state."""
        check_job_id(request.job_id)
        return job_pb2.GetJobResponse(job=public_job(await self._job(inbound.caller, request.job_id)))

    async def wait_job(self, request: job_pb2.WaitJobRequest, inbound: Inbound) -> job_pb2.WaitJobResponse:
        """The state at the end, or when the time is over."""
        now_s = self._clock.monotonic_s()
        limit_s = wait_s(request, most_s=self._config.max_timeout_s)
        limit_s = min(limit_s, inbound.deadline.just_before(now_s).remaining_s(now_s))
        with self._gate.enter(inbound.caller):
            try:
                async with asyncio.timeout(limit_s):
                    job = await self._feed.ended(inbound.caller, request.job_id)
            except TimeoutError:
                job = await self._spool.get(inbound.caller, request.job_id)
        return job_pb2.WaitJobResponse(job=public_job(_known(job, request.job_id)))

    async def watch_jobs(self, request: job_pb2.WatchJobsRequest, inbound: Inbound, send: Send) -> None:
        """The present states, then the changes."""
        check_watch(request)
        watch = JobWatch(
            self._spool,
            self._feed,
            caller=inbound.caller,
            request=request,
            send=send,
            heartbeat_s=self._config.heartbeat_s,
        )
        with self._gate.enter(inbound.caller):
            await watch.run()

    async def cancel_job(self, request: job_pb2.CancelJobRequest, inbound: Inbound) -> job_pb2.CancelJobResponse:
        """Ask for the end; what has ended for the public stays as it is."""
        check_job_id(request.job_id)
        job = await self._job(inbound.caller, request.job_id)
        if not has_ended(job):
            job = _known(await self._spool.cancel(inbound.caller, request.job_id), request.job_id)
            if job.state is JobState.SENDING:
                self._end_attempt(job.id)
        return job_pb2.CancelJobResponse(job=public_job(job))

    async def delete_job(self, request: job_pb2.DeleteJobRequest, inbound: Inbound) -> job_pb2.DeleteJobResponse:
        """Destroy the content now."""
        check_job_id(request.job_id)
        job = await self._spool.get(inbound.caller, request.job_id, content=False)
        await self._spool.erase(inbound.caller, request.job_id)
        if job is not None and job.state is JobState.SENDING:
            self._end_attempt(job.id)
        return job_pb2.DeleteJobResponse()

    async def list_jobs(self, request: job_pb2.ListJobsRequest, inbound: Inbound) -> job_pb2.ListJobsResponse:
        """The newest jobs, a page at a time."""
        wanted = page(request)
        public = frozenset(request.states)
        found: list[Job] = []
        before_seq, more = wanted.before_seq, True
        while more and len(found) <= wanted.size:  # one beyond the page tells whether there is another one
            jobs = await self._spool.list_jobs(
                inbound.caller, states=inner_states(public), before_seq=before_seq, limit=wanted.size + 1
            )
            found += [job for job in jobs if not public or public_state(job) in public]
            more = len(jobs) > wanted.size
            before_seq = jobs[-1].seq if jobs else before_seq
        shown = found[: wanted.size]
        token = wanted.token(shown[-1].seq) if len(found) > wanted.size else ""
        return job_pb2.ListJobsResponse(jobs=[public_job(job, content=False) for job in shown], next_page_token=token)

    def _checked(self, request: job_pb2.SubmitJobRequest, inbound: Inbound, job_id: str) -> Call:
        """The call as admitted; a wrong one is refused with all that is wrong, paths begin at what was sent."""
        problems = submit_problems(request, max_ttl_s=self._spool_config.max_ttl_s)
        if not request.HasField("request"):
            refuse(problems)
        call = Call(id=job_id, request=request.request, caller=inbound.caller, deadline=inbound.deadline)
        try:
            self._admit(call)
        except Rejected as error:
            inner = [_inside(each) for each in error.violations]
            if not inner and not problems:
                raise
            if error.reason == Reason.ERROR_REASON_MODEL_NOT_FOUND:
                inner = [_inside(Violation(field="model", description=error.message.removeprefix("model: ")))]
            refuse([*inner, *problems])
        refuse(problems)
        return call

    def _ttl_s(self, request: job_pb2.SubmitJobRequest, chat: chat_pb2.ChatRequest) -> float:
        """As asked, or as the node gives it."""
        if request.HasField("ttl"):
            return seconds_of(request.ttl)
        usual_s = self._spool_config.default_ttl_s
        if not request.deferrable or self._deferring is None:
            return usual_s
        return self._deferring.ttl_s(chat, otherwise_s=usual_s, most_s=self._spool_config.max_ttl_s)

    def _defers(self, request: job_pb2.SubmitJobRequest, call: Call, ttl_s: float) -> bool:
        """It waits for half price."""
        if not request.deferrable or self._deferring is None or call.model is None:
            return False
        return self._deferring.defers(call.request, call.model, ttl_s=ttl_s)

    async def _job(self, caller: str, job_id: str) -> Job:
        return _known(await self._spool.get(caller, job_id), job_id)


def _inside(problem: Violation) -> Violation:
    return Violation(field=f"request.{problem.field}", description=problem.description)


def _known(job: Job | None, job_id: str) -> Job:
    if job is None or job.state is JobState.ERASED:
        raise Rejected(
            Reason.ERROR_REASON_JOB_NOT_FOUND,
            f"job_id: there is no job {job_id[:64]!r} of this caller; jobs vanish after their purge_time",
        )
    return job


class NoJobs:
    """Serves `edgeclient.v1.JobService` on a node that has no durable queue: every call is told so."""

    async def refuse(self, _request: object, _inbound: Inbound) -> NoReturn:
        """Refuse a unary call."""
        raise Rejected(
            Reason.ERROR_REASON_STORAGE_UNAVAILABLE,
            "this node has no durable queue; its operator gives it one with the setting spool.directory",
        )

    async def refuse_stream(self, request: object, inbound: Inbound, _send: Send) -> NoReturn:
        """Refuse a stream."""
        await self.refuse(request, inbound)
