"""Waiting for jobs without a gap: whoever watches is woken by every change, and reads the state afterwards.

One reader of `Spool.changes` wakes all who wait, however many they are. A watcher registers *before* it reads, so a
change between its look and its sleep wakes it at once; that several changes wake it once is no loss, because it reads
the newest state. In a node that drains all waits end with `Stopping`: a device asks again elsewhere, or after the
restart.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager

from edgeclient.core.errors import Reason, Stopping
from edgeclient.core.jobs import TERMINAL, Job, JobState
from edgeclient.core.spool import Spool

_COME_BACK_S = 1.0


class JobFeed:
    """Wakes those who wait for a job; see the module. `run` is a task of whoever wires it.

    Args:
        spool: Whose jobs.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._watches: dict[str, set[Watch]] = {}
        self._stopping = False

    async def run(self) -> None:
        """Pass changes on until cancelled."""
        changes: AsyncIterator[Job] = self._spool.changes()
        async for job in changes:
            for watch in self._watches.get(job.caller, ()):
                watch.tell(job.id)

    def stop(self) -> None:
        """End all waits with `Stopping`, and begin none any more. May be called again."""
        self._stopping = True
        for watches in self._watches.values():
            for watch in watches:
                watch.stop()

    @contextmanager
    def watch(self, caller: str, job_ids: Collection[str] = ()) -> Iterator["Watch"]:
        """Be told of changes inside the block.

        Args:
            caller: Whose jobs.
            job_ids: Which ones; empty: all of the caller.
        """
        watch = Watch(frozenset(job_ids))
        if self._stopping:
            watch.stop()
        watches = self._watches.setdefault(caller, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches and self._watches.get(caller) is watches:
                del self._watches[caller]

    async def ended(self, caller: str, job_id: str) -> Job | None:
        """The job with its answer, once it has ended; None if there is no such job, or no more.

        Raises:
            Stopping: The node shuts down.
        """
        with self.watch(caller, (job_id,)) as watch:
            while True:
                job = await self._spool.get(caller, job_id)
                if job is None or has_ended(job):
                    return job
                await watch.changed()


class Watch:
    """One who waits."""

    __slots__ = ("_job_ids", "_stopping", "_woken")

    def __init__(self, job_ids: frozenset[str]) -> None:
        self._job_ids = job_ids
        self._woken = asyncio.Event()
        self._stopping = False

    def tell(self, job_id: str) -> None:
        """A job has changed."""
        if not self._job_ids or job_id in self._job_ids:
            self._woken.set()

    def stop(self) -> None:
        """There will be no more changes."""
        self._stopping = True
        self._woken.set()

    async def changed(self) -> None:
        """Return when something has changed since the block was entered, or since the last return.

        Raises:
            Stopping: The node shuts down.
        """
        await self._woken.wait()
        if self._stopping:
            raise Stopping(
                Reason.ERROR_REASON_SHUTTING_DOWN,
                "this node is shutting down; the job stays where it is, ask again in a moment",
                retry_after_s=_COME_BACK_S,
            )
        self._woken.clear()


def has_ended(job: Job) -> bool:
    """Nothing more will happen to it by itself. An uncertain one has had what its policy permits."""
    return job.state is JobState.UNCERTAIN or job.state in TERMINAL
