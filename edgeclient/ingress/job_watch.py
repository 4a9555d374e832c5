"""The stream of WatchJobs: the present state of each job, then every change, without a gap.

What is sent is what was read after the watcher had registered, so nothing falls between the two. A job is sent when its
revision is above the one sent last, hence changes that follow each other quickly are merged and none is sent twice.
"""

import asyncio

from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.job_feed import JobFeed, Watch, has_ended
from edgeclient.core.jobs import Job, JobState
from edgeclient.core.spool import Spool
from edgeclient.ingress.inbound import Send
from edgeclient.ingress.job_codec import public_job
from edgeclient.v1 import job_pb2

_READ_LIMIT = 32  # with their answers; a caller that takes slowly must not have a thousand of them in memory
_FOR_EVER_S = 86_400.0


class JobWatch:
    """One stream.

    Args:
        spool: Whose jobs.
        feed: Tells of changes.
        caller: Who watches.
        request: What, and from which revision on.
        send: Where the changes go.
        heartbeat_s: An empty message goes out after so much silence; 0: never.
    """

    def __init__(
        self,
        spool: Spool,
        feed: JobFeed,
        *,
        caller: str,
        request: job_pb2.WatchJobsRequest,
        send: Send,
        heartbeat_s: float,
    ) -> None:
        self._spool = spool
        self._feed = feed
        self._caller = caller
        self._job_ids = tuple(dict.fromkeys(request.job_ids))
        self._after = request.after_revision
        self._sent: dict[str, int] = {}
        self._open = set(self._job_ids)
        self._send = send
        self._heartbeat_s = heartbeat_s or _FOR_EVER_S

    async def run(self) -> None:
        """Send until all given jobs have ended; without given ones until the caller leaves.

        Raises:
            Rejected: A given job is not known.
            Stopping: The node shuts down.
        """
        after = self._after
        with self._feed.watch(self._caller, self._job_ids) as watch:
            for job in [await self._known(job_id) for job_id in self._job_ids]:
                await self._tell(job)
            while self._open or not self._job_ids:
                jobs = await self._spool.changed_since(self._caller, after, job_ids=self._job_ids, limit=_READ_LIMIT)
                for job in jobs:
                    after = max(after, job.revision)
                    await self._tell(job)
                if len(jobs) < _READ_LIMIT and (self._open or not self._job_ids):
                    await self._changed(watch)
                    await self._drop_deleted()

    async def _known(self, job_id: str) -> Job:
        job = await self._spool.get(self._caller, job_id)
        if job is None or job.state is JobState.ERASED:
            raise Rejected(
                Reason.ERROR_REASON_JOB_NOT_FOUND, f"job_ids: there is no job {job_id[:64]!r} of this caller"
            )
        return job

    async def _tell(self, job: Job) -> None:
        if has_ended(job):
            self._open.discard(job.id)
        if job.state is JobState.ERASED or job.revision <= self._sent.get(job.id, self._after):
            return
        if self._job_ids:
            self._sent[job.id] = job.revision
        await self._send(job_pb2.WatchJobsResponse(job=public_job(job)))

    async def _drop_deleted(self) -> None:
        """A deleted job has no state to send, and will never have another one."""
        for job_id in tuple(self._open):
            job = await self._spool.get(self._caller, job_id, content=False)
            if job is None or job.state is JobState.ERASED:
                self._open.discard(job_id)

    async def _changed(self, watch: Watch) -> None:
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await watch.changed()
            except TimeoutError:
                await self._send(job_pb2.WatchJobsResponse())
            else:
                return
