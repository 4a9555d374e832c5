"""What the storage tells of the jobs that wait: all of them at the start, every change from then on, and what is over.

Changes that were committed where nobody was told of them (the storage had failed) are made up for by asking for all
jobs again. A storage that cannot be used is asked again after a pause; meanwhile jobs are sent as they are known.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from edgeclient.core.companion import companion
from edgeclient.core.errors import CallError
from edgeclient.core.jobs import Job, Waiting
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.spool.job_run import defect
from edgeclient.spool.lane import STORAGE_PAUSE_S, Lane

SWEEP_S = 30.0
"""How often what is over and what was kept long enough is looked for, if nothing is known to be due."""


class Intake:
    """Asks and listens; see the module. `follow` and `sweep` are tasks of whoever wires it.

    Args:
        spool: The storage.
        lane: Is told whether the storage works.
        loaded: Takes all jobs that wait, at the start and again after a failure.
        changed: Takes every change.
        observe: Takes `DefectFound`.
        clock: Waits.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        lane: Lane,
        loaded: Callable[[Iterable[Waiting]], None],
        changed: Callable[[Job], None],
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._lane = lane
        self._loaded = loaded
        self._changed = changed
        self._observe = observe
        self._clock = clock
        self._stale = False
        self._overdue = asyncio.Event()

    def sweep_now(self) -> None:
        """Something seems to be over."""
        self._overdue.set()

    def storage_recovered(self) -> None:
        """The storage works again; changes may have been committed there that nobody was told of."""
        self._stale = True
        self._overdue.set()

    async def follow(self) -> None:
        """Tell all jobs and every change, until the storage is closed."""
        while True:
            changes = self._spool.changes()
            try:
                await self._load()
                async for job in changes:
                    self._changed(job)
            except Exception as error:  # noqa: BLE001  all jobs are asked for anew
                await self._failed("spool changes", error)
            else:
                return

    async def sweep(self) -> None:
        """Ask the storage to look for what is over, regularly and when something is due."""
        while True:
            async with companion(self._alarm(SWEEP_S), name="spool sweep alarm"):
                await self._overdue.wait()
            self._overdue.clear()
            try:
                if self._stale:
                    await self._load()
                await self._spool.sweep()
            except Exception as error:  # noqa: BLE001  jobs are sent all the same
                await self._failed("spool sweep", error)
                self._overdue.set()
            else:
                self._lane.storage_worked()

    async def _load(self) -> None:
        self._stale = False
        try:
            jobs = await self._spool.waiting()
        except CallError:
            self._stale = True
            raise
        self._lane.storage_worked()
        self._loaded(_handed_over(jobs))

    async def _alarm(self, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
        self._overdue.set()

    async def _failed(self, where: str, error: Exception) -> None:
        """Tell it and wait a little."""
        if isinstance(error, CallError):
            self._lane.storage_failed(error)
        else:
            self._observe(defect("", where, error))
        await self._clock.sleep(STORAGE_PAUSE_S)


def _handed_over(jobs: list[Waiting]) -> Iterator[Waiting]:
    """One after the other, each no longer kept here: what is made of them takes the place of what they were."""
    jobs.reverse()
    while jobs:
        yield jobs.pop()
