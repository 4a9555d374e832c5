"""Durable jobs, seen from a device: hand a request over, go to sleep, come back for the answer.

A submission without an idempotency key gets one here. Without it, a connection that breaks at the wrong moment would
leave a choice between losing the request and running it twice; with it, `submit` may be repeated until it succeeds,
and gRPC does so by itself.

A wait longer than the node holds one open is continued here until the caller's own time is over. A watch is not: who
watches knows the last revision it has dealt with, and goes on from there.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence

import grpc
import grpc.aio

from edgeclient.client.edge_error import EdgeError
from edgeclient.v1 import chat_pb2, job_pb2, job_pb2_grpc

_CALL_TIMEOUT_S = 30.0  # a commit on a slow flash card behind a hundred others
_WAIT_TIMEOUT_S = 3600.0
_LONGEST_WAIT_S = 300.0  # one RPC; NAT tables and proxies are kinder to several short ones
_MARGIN_S = 5.0
_PAGE_SIZE = 100
_MAX_PAGES = 1000
_RUNNING = (job_pb2.JOB_STATE_UNSPECIFIED, job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_RUNNING)


class JobCalls:
    """The part of `EdgeClient` that speaks to JobService; not used by itself."""

    _metadata: tuple[tuple[str, str], ...]

    async def submit(
        self,
        request: chat_pb2.ChatRequest | str,
        *,
        ttl_s: float | None = None,
        resend_policy: job_pb2.ResendPolicy.ValueType = job_pb2.RESEND_POLICY_UNSPECIFIED,
        deferrable: bool = False,
        timeout_s: float = _CALL_TIMEOUT_S,
    ) -> job_pb2.Job:
        """Hand a request over; when this returns, the job is as safe as the node's storage.

        Args:
            request: The request, or a prompt for the default model. Give it an idempotency key to find the same job
                again after a restart of your own program.
            ttl_s: How long attempts make sense; None: the node's default.
            resend_policy: What to do when an attempt was sent and its outcome is unknown.
            deferrable: The answer may take a day or more, for half the price; wants `PRIORITY_LOW` as well.
            timeout_s: When to give up.

        Raises:
            EdgeError: With RESOURCE_EXHAUSTED, INVALID_ARGUMENT and FAILED_PRECONDITION nothing was stored. With
                anything else that is not known: submit the same request with the same key again.
        """
        submission = job_pb2.SubmitJobRequest(resend_policy=resend_policy, deferrable=deferrable)
        if isinstance(request, str):
            submission.request.prompt = request
        else:
            submission.request.CopyFrom(request)
        submission.request.idempotency_key = submission.request.idempotency_key or str(uuid.uuid4())
        if ttl_s is not None:
            submission.ttl.FromMilliseconds(round(ttl_s * 1000))
        try:
            response = await self._jobs.SubmitJob(submission, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error
        return response.job

    async def get_job(self, job_id: str, *, timeout_s: float = _CALL_TIMEOUT_S) -> job_pb2.Job:
        """The present state, with the answer if there is one.

        Raises:
            EdgeError: NOT_FOUND, there is no such job of this caller.
        """
        request = job_pb2.GetJobRequest(job_id=job_id)
        try:
            return (await self._jobs.GetJob(request, timeout=timeout_s, metadata=self._metadata)).job
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error

    async def wait_job(self, job_id: str, *, timeout_s: float = _WAIT_TIMEOUT_S) -> job_pb2.Job:
        """The job once it has ended, or as it is after `timeout_s`: look at its state.

        Raises:
            EdgeError: NOT_FOUND, there is no such job; or the node cannot be reached.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while True:
            left_s = max(0.0, min(end_s - loop.time(), _LONGEST_WAIT_S))
            request = job_pb2.WaitJobRequest(job_id=job_id)
            request.timeout.FromMilliseconds(round(left_s * 1000))
            try:
                call = self._jobs.WaitJob(request, timeout=left_s + _MARGIN_S, metadata=self._metadata)
                job = (await call).job
            except grpc.aio.AioRpcError as error:
                raise EdgeError.from_rpc(error) from error
            if job.state not in _RUNNING or end_s <= loop.time() + 0.001:
                return job

    async def watch_jobs(
        self, job_ids: Iterable[str] = (), *, after_revision: int = 0, timeout_s: float | None = None
    ) -> AsyncGenerator[job_pb2.Job, None]:
        """The present state of each job, then its changes.

        Leave it early with `contextlib.aclosing`. After a break go on with the greatest `Job.revision` seen.

        Args:
            job_ids: At most 100; the stream ends when all of them have ended. None: all jobs of this caller, for ever.
            after_revision: Leave out everything up to it.
            timeout_s: When to give up; None: never.

        Raises:
            EdgeError: The stream broke off; what was yielded is valid.
        """
        request = job_pb2.WatchJobsRequest(job_ids=job_ids, after_revision=after_revision)
        call = self._jobs.WatchJobs(request, timeout=timeout_s, metadata=self._metadata)
        try:
            async for change in call:
                if change.HasField("job"):
                    yield change.job
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error
        finally:
            call.cancel()

    async def cancel_job(self, job_id: str, *, timeout_s: float = _CALL_TIMEOUT_S) -> job_pb2.Job:
        """Ask for the end of a job; returns it as it is then. A running attempt may still succeed.

        Raises:
            EdgeError: NOT_FOUND, there is no such job of this caller.
        """
        request = job_pb2.CancelJobRequest(job_id=job_id)
        try:
            return (await self._jobs.CancelJob(request, timeout=timeout_s, metadata=self._metadata)).job
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error

    async def delete_job(self, job_id: str, *, timeout_s: float = _CALL_TIMEOUT_S) -> None:
        """Erase a job and its answer from the node now; cancels it first. An unknown job is no error."""
        request = job_pb2.DeleteJobRequest(job_id=job_id)
        try:
            await self._jobs.DeleteJob(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error

    async def list_jobs(
        self, states: Sequence[job_pb2.JobState.ValueType] = (), *, timeout_s: float = _CALL_TIMEOUT_S
    ) -> AsyncGenerator[job_pb2.Job, None]:
        """The jobs of this caller, newest first, without their answers; read a page at a time.

        Args:
            states: Only jobs in one of these; empty: all.
            timeout_s: For each page.
        """
        request = job_pb2.ListJobsRequest(page_size=_PAGE_SIZE, states=states)
        for _ in range(_MAX_PAGES):
            try:
                page = await self._jobs.ListJobs(request, timeout=timeout_s, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                raise EdgeError.from_rpc(error) from error
            for job in page.jobs:
                yield job
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return

    @property
    def _jobs(self) -> "job_pb2_grpc.JobServiceAsyncStub":
        return job_pb2_grpc.JobServiceStub(self._opened)

    @property
    def _opened(self) -> grpc.aio.Channel:
        raise NotImplementedError
