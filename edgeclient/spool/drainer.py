"""Empties the queue: takes jobs in fair order, as many at a time as the lane permits, and sees each attempt through.

It keeps a picture of what waits in memory (`waiting_room.py`), filled from the storage at the start and kept true by
the feed of changes (`intake.py`); the storage decides all the same, for `begin` hands out a job once and refuses what
is over. A job that fails, however it fails, stops nobody but its own conversation.

Stopping: `stop` takes no new jobs, `drained` waits for those that run, and cancelling `run` cuts off the rest. What is
cut off stays SENDING in the storage and is UNCERTAIN at the next start.
"""

import asyncio
from collections.abc import Callable, Iterable
from math import inf
from random import Random
from sys import maxsize

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Handler
from edgeclient.core.companion import companion
from edgeclient.core.errors import reason_name
from edgeclient.core.events import Event, Uplink
from edgeclient.core.job_events import JobFinished
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Job, JobKind, JobState, Waiting
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.spool.closed_models import ClosedModels
from edgeclient.spool.held_callers import HeldCallers
from edgeclient.spool.intake import Intake
from edgeclient.spool.job_run import DEFECT_PAUSE_S, Admit, JobRun, defect
from edgeclient.spool.lane import Lane
from edgeclient.spool.runner import Runner
from edgeclient.spool.waiting_room import WaitingRoom

_ENDED = TERMINAL | {JobState.UNCERTAIN}
_TAKEN_AWAY = frozenset({JobState.CANCELLED, JobState.ERASED, JobState.EXPIRED})


class Drainer:
    """Sends stored jobs; see the module. `run` is a task of whoever wires it.

    Args:
        spool: The storage.
        send: Asks the provider, when it is the call's turn; awaits `Call.before_send` before anything leaves. May
            answer from the cache instead.
        admit: Sets `Call.model` of a stored request, or raises the error that it fails with.
        uplink: Best state of all targets; `uplink_changed` is to be called when it changes.
        places: How many jobs live calls leave room for.
        rebooted: Whether this is the first start since the machine started: after a power cut a whole site boots.
        config: Attempts, pauses, width.
        observe: Takes events.
        clock: Measures and waits.
        rng: Draws jitter.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        send: Handler,
        admit: Admit,
        uplink: Callable[[], Uplink],
        rebooted: Callable[[], bool],
        places: Callable[[], int] = lambda: maxsize,
        config: SpoolConfig,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._lane = Lane(config, uplink=uplink, places=places, observe=observe, clock=clock, rng=rng)
        self._models = ClosedModels(observe=observe, clock=clock)
        self._callers = HeldCallers(clock=clock)
        self._runner = Runner(
            spool,
            send=send,
            admit=admit,
            outcome_known=self._outcome_known,
            config=config,
            lane=self._lane,
            models=self._models,
            callers=self._callers,
            observe=observe,
            clock=clock,
            rng=rng,
        )
        self._intake = Intake(
            spool, lane=self._lane, loaded=self._loaded, changed=self._take, observe=observe, clock=clock
        )
        self._rebooted = rebooted
        self._starts = True
        self._room = WaitingRoom(clock=clock, passed_over=self._callers.holds)
        self._running: dict[str, JobRun] = {}
        self._asking_count = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Drainer {self._room!r}, {self.active} under way>"

    @property
    def active(self) -> int:
        """Attempts under way."""
        return len(self._running)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intake.follow(), name="spool changes")
            group.create_task(self._intake.sweep(), name="spool sweep")
            while True:
                self._wake.clear()
                looked_s = self._clock.monotonic_s()
                self._begin_due(group)
                await self._woken(looked_s)

    def stop(self) -> None:
        """Begin no more attempts. May be called again."""
        self._lane.close()
        self._wake.set()

    async def drained(self, grace_s: float) -> bool:
        """Return when no attempt is under way, True, or when the grace is over, False. Call `stop` first."""
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def cancel(self, job_id: str) -> bool:
        """End the running attempt of a job for which `Spool.cancel` was called; False if none is running.

        It is settled soon after: CANCELLED, with an error that tells whether it was perhaps billed, or SUCCEEDED if
        the answer was there already.
        """
        run = self._running.get(job_id)
        if run is not None:
            run.cancel()
        return run is not None

    def uplink_changed(self, _event: Event) -> None:
        """Take the fact that the uplink has changed."""
        self._lane.uplink_changed()
        self._wake.set()

    def storage_recovered(self, _event: Event) -> None:
        """Take the fact that the storage works again."""
        self._intake.storage_recovered()

    def key_changed(self, _event: Event) -> None:
        """Take the fact that there is a new API key."""
        self._lane.retry_blocked()
        self._models.retry()
        self._room.call_back()
        self._wake.set()

    def _begin_due(self, group: asyncio.TaskGroup) -> None:
        if self._room.has_overdue():
            self._intake.sweep_now()
        while self._has_room(self._clock.monotonic_s()):
            self._models.call_due(self._room.call_up)
            job = self._room.next()
            if job is None:
                return
            run = self._running[job.id] = JobRun(job, mark=self._lane.begin())
            self._asking_count += 1
            self._idle.clear()
            run.task = group.create_task(self._see_through(run), name=f"job {job.id}")

    def _has_room(self, now_s: float) -> bool:
        """Whether one more may begin. Who only stores an outcome takes no place, as long as those do not pile up."""
        limit = self._lane.limit(now_s)
        return self._asking_count < limit and len(self._running) < 2 * limit

    def _outcome_known(self) -> None:
        """A run asks for nothing any more."""
        self._asking_count -= 1
        self._wake.set()

    async def _woken(self, looked_s: float) -> None:
        """Return when there may be something to begin that there was not at that moment; it may have passed since."""
        now_s = self._clock.monotonic_s()
        due_s = self._room.due_s(looked_s)
        at_s = min(inf if due_s is None else due_s, self._lane.opens_s(looked_s) if self._room else inf)
        if self._has_room(now_s):
            at_s = min(at_s, self._models.due_s, self._callers.due_s(looked_s))
        if at_s == inf:
            await self._wake.wait()
        else:
            async with companion(self._alarm(at_s - now_s), name="spool alarm"):
                await self._wake.wait()

    async def _alarm(self, delay_s: float) -> None:
        await self._clock.sleep(max(delay_s, 0.001))
        self._wake.set()

    async def _see_through(self, run: JobRun) -> None:
        """One attempt, and what follows from it for the queue."""
        after: Job | Waiting | None = run.job
        try:
            after = await self._runner.run(run)
        except Exception as error:  # noqa: BLE001  it is reported, and the other jobs go on
            self._observe(defect(run.job.id, "job", error))
            run.delay_s = DEFECT_PAUSE_S
        finally:
            del self._running[run.job.id]
            if not self._running:
                self._idle.set()
            self._wake.set()
        if isinstance(after, Waiting) and run.aside is None:
            self._room.back(after, delay_s=run.delay_s)
        elif after is not None and (isinstance(after, Waiting) or after.state in RUNNABLE):
            if run.aside is None:
                self._room.enter(after)
            else:
                self._room.set_aside(after, model=run.aside)
        else:
            self._room.leave(run.job.id)
            if after is not None and after.state in _ENDED:
                self._finished(after, create_ms=run.job.create_ms, model=run.model)
        if not self._lane.is_blocked:
            self._room.call_back()
        if run.model and run.model not in self._models:
            self._room.call_back(run.model)

    def _loaded(self, jobs: Iterable[Waiting]) -> None:
        """Learn of all that wait."""
        for job in jobs:
            if job.id not in self._running:
                self._room.enter(job)
        if self._starts and self._room and self._rebooted():
            self._lane.resume()
        self._starts = False
        self._wake.set()

    def _take(self, job: Job) -> None:
        """Learn of a change. What runs here is known better here, unless somebody else has ended it."""
        if job.kind is not JobKind.JOB:
            return
        run = self._running.get(job.id)
        if run is not None:
            if job.state in _TAKEN_AWAY:
                run.cancel()
            return
        if job.state in RUNNABLE:
            self._room.enter(job)
        else:
            known = self._room.leave(job.id)
            if known is not None and job.state in _ENDED:
                self._finished(job, create_ms=known.create_ms)
        self._wake.set()

    def _finished(self, job: Job, *, create_ms: int, model: str = "") -> None:
        error = job.error
        self._observe(
            JobFinished(
                job_id=job.id,
                caller=job.caller,
                state=job.state.name.lower(),
                reason=reason_name(error.reason) if error is not None else "",
                attempt_count=job.attempt_count,
                age_s=self._clock.monotonic_s() - create_ms / 1000,
                possibly_billed=error is not None and error.possibly_billed,
                model=model,
            )
        )
