"""Two roads out of one queue: jobs that wait for half price, and all others.

Each road sees the queue as if it were its own: of jobs that wait, only its own. So whoever sends on one road never
takes what belongs to the other, and needs not know that there is another one. A job changes over in one direction: it
is released to the ordinary road, by a change of its row that both sides see.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial

from edgeclient.core.jobs import RUNNABLE, TERMINAL, Accepted, Job, NewJob, Waiting
from edgeclient.core.spool import Spool
from edgeclient.spool.half_price import bookings
from edgeclient.spool.spool import SqliteSpool


class Roads:
    """See the module.

    Args:
        spool: The queue.

    Attributes:
        ordinary: The queue as the drainer sees it.
        deferred: The queue as whoever sends at half price sees it.
    """

    def __init__(self, spool: SqliteSpool) -> None:
        self._spool = spool
        self._deferred: set[str] = set()
        self.ordinary: Spool = _Road(self, spool, deferred=False)
        self.deferred: Spool = _Road(self, spool, deferred=True)

    async def open(self) -> None:
        """Open the queue, and learn what is stored of the roads."""
        await self._spool.open()
        self._deferred.update(await self._spool.operate(bookings.deferred_ids))

    async def accept(self, new: NewJob) -> Accepted:
        """See `Spool.accept`; the road is known before the first change of the job is told."""
        if new.deferred:
            self._deferred.add(new.id)
        try:
            accepted = await self._spool.accept(new)
        except Exception:
            self._deferred.discard(new.id)
            raise
        if accepted.duplicate:
            self._deferred.discard(new.id)
        return accepted

    def is_deferred(self, job_id: str) -> bool:
        """Whether a job waits for half price."""
        return job_id in self._deferred

    def forget(self, job_ids: Iterable[str]) -> None:
        """These go the ordinary road from the next change of their rows on."""
        self._deferred.difference_update(job_ids)

    async def release(self, job_ids: Sequence[str]) -> None:
        """Send these over to the ordinary road."""
        self.forget(job_ids)
        for begin in range(0, len(job_ids), bookings.CHUNK_ROWS):
            chunk = job_ids[begin : begin + bookings.CHUNK_ROWS]
            try:
                await self._spool.operate(partial(bookings.release, job_ids=chunk))
            except Exception:
                self._deferred.update(job_ids[begin:])
                raise

    def changed(self, job: Job) -> None:
        """A job that has ended needs no road."""
        if job.state in TERMINAL:
            self._deferred.discard(job.id)


class _Road:
    """The queue as one of the roads sees it; see `Spool` for what each method promises."""

    def __init__(self, roads: Roads, spool: SqliteSpool, *, deferred: bool) -> None:
        self._roads = roads
        self._spool = spool
        self._is_deferred = deferred
        self.accept = roads.accept
        self.answered = spool.answered
        self.begin = spool.begin
        self.peek = spool.peek
        self.succeed = spool.succeed
        self.give = spool.give
        self.fail = spool.fail
        self.forget = spool.forget
        self.park = spool.park
        self.get = spool.get
        self.find = spool.find
        self.list_jobs = spool.list_jobs
        self.changed_since = spool.changed_since
        self.cancel = spool.cancel
        self.erase = spool.erase
        self.erase_caller = spool.erase_caller
        self.sweep = spool.sweep
        self.stats = spool.stats

    async def waiting(self) -> list[Waiting]:
        """Those of this road."""
        return [job for job in await self._spool.waiting() if self._roads.is_deferred(job.id) is self._is_deferred]

    def changes(self) -> AsyncIterator[Job]:
        """All changes from this call on, but those of jobs that wait on the other road."""
        return self._of_this_road(self._spool.changes())

    async def _of_this_road(self, changes: AsyncIterator[Job]) -> AsyncIterator[Job]:
        async for job in changes:
            if self._is_deferred:
                self._roads.changed(job)
            if job.state not in RUNNABLE or self._roads.is_deferred(job.id) is self._is_deferred:
                yield job
