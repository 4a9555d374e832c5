"""Who waits to go out at half price: a picture kept true by the changes of the queue, and a look at who is new.

A look finds out a job's model and the size of its line, and whether its answer is kept already: then it has it at once.
Who does not fit, for whatever reason, goes the ordinary road, where it is answered at the full price, or refused as
usual.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf

from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import Rejected
from edgeclient.core.half_price import BatchProvider, KeptAnswers
from edgeclient.core.half_price_events import SentLive
from edgeclient.core.jobs import RUNNABLE, Job, JobState
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.half_price import Company as Fellows
from edgeclient.policy.half_price import grouped, is_served
from edgeclient.spool.half_price import bookings
from edgeclient.spool.half_price.company import Company
from edgeclient.spool.half_price.facts import ENDED, finished
from edgeclient.spool.half_price.purse import Purse
from edgeclient.spool.half_price.roads import Roads
from edgeclient.spool.job_run import Admit, defect
from edgeclient.spool.spool import SqliteSpool

_STORAGE_PAUSE_S = 5.0
_LOOK_S = 1.0  # with thousands that come, one look a second is enough


class Gathering:
    """See the module. `follow` is a task of whoever uses it.

    Args:
        spool: The queue.
        roads: Divides its jobs.
        provider: Writes lines.
        config: Who goes out and when.
        admit: Sets `Call.model` of a stored request, or raises what it fails with.
        purse: Holds the money of callers.
        cache: Answers that are kept.
        came: Is called when there is somebody new.
        observe: Takes facts.
        clock: Measures and waits.
    """

    def __init__(
        self,
        spool: SqliteSpool,
        roads: Roads,
        *,
        provider: BatchProvider,
        config: HalfPriceConfig,
        admit: Admit,
        purse: Purse,
        cache: KeptAnswers,
        came: Callable[[], None],
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._roads = roads
        self._provider = provider
        self._config = config
        self._admit = admit
        self._purse = purse
        self._cache = cache
        self._came = came
        self._observe = observe
        self._clock = clock
        self._company = Company(clock=clock)
        self._look_at_s = -inf

    def __len__(self) -> int:
        return len(self._company)

    async def follow(self) -> None:
        """Keep the picture true; ends with the storage."""
        while True:
            changes = self._roads.deferred.changes()
            try:
                for waiting in await self._roads.deferred.waiting():
                    self._company.enter(waiting)
                self._came()
                async for job in changes:
                    self._take(job)
            except Exception as error:  # noqa: BLE001  the picture is made anew
                self._observe(defect("", "half price changes", error))
                await self._clock.sleep(_STORAGE_PAUSE_S)
            else:
                return

    async def ready(self) -> tuple[tuple[Fellows, ...], float]:
        """Those that go out now, and when to look again. Sends those that do not fit the ordinary road.

        Raises:
            CallError: The storage failed.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._look_at_s:
            return (), self._look_at_s if self._company else inf
        await self._meet()
        grouping = grouped(self._company.candidates(), self._config, now_s=now_s)
        for cause in sorted({why for _, why in grouping.live}):
            await self._send_live([job_id for job_id, why in grouping.live if why == cause], cause)
        self._look_at_s = now_s + min(_LOOK_S, self._config.linger_s)
        return grouping.companies, max(self._look_at_s, min(grouping.due_s, self._company.due_s()))

    async def afford(self, batch: str, fellows: Fellows) -> tuple[str, ...]:
        """Those of a company whose callers have the money; it is held.

        The others wait until there may be some; those whose callers can never have it go the ordinary road, where
        they are refused.

        Raises:
            CallError: The storage failed.
        """
        held: list[str] = []
        hopeless: list[str] = []
        for job_id in fellows.ids:
            demand = self._company.demand(job_id)
            if demand is None:
                continue
            wait_s = self._purse.hold(batch, job_id, demand)
            if not wait_s:
                held.append(job_id)
            elif wait_s < inf:
                self._company.set_aside(job_id, wait_s)
            else:
                hopeless.append(job_id)
        await self._send_live(hopeless, "budget")
        return tuple(held)

    def gone(self, job_id: str) -> None:
        """It waits no more."""
        self._company.leave(job_id)

    def admitted(self, job: Job) -> Call | None:
        """The call of a job with a request that the half-price interface can answer."""
        if job.request is None or self._config.mode != "file":
            return None
        call = Call(id=job.id, request=job.request, caller=job.caller, deadline=Deadline(), background=True)
        try:
            self._admit(call)
        except Exception:  # noqa: BLE001  its attempt on the ordinary road meets the same, and is told
            return None
        fits = call.model is not None and is_served(call.request, call.model, self._config)
        return call if fits else None

    async def _meet(self) -> None:
        strangers = self._company.strangers()
        unfit: list[str] = []
        only_kept: list[str] = []
        for begin in range(0, len(strangers), bookings.CHUNK_ROWS):
            chunk = strangers[begin : begin + bookings.CHUNK_ROWS]
            jobs = await self._spool.operate(partial(bookings.requests, job_ids=chunk))
            for job_id in set(chunk) - {job.id for job in jobs}:
                self._company.leave(job_id)  # it has ended
            for job in jobs:
                call = self.admitted(job)
                if call is None or call.model is None:
                    unfit.append(job.id)
                    continue
                size_bytes = len(self._provider.line(f"{job.id}.{job.id}", call.request, call.model))
                demand = self._purse.demand(call)
                self._company.introduce(job.id, model=call.model.id, size_bytes=size_bytes, demand=demand)
                try:
                    kept = await self._cache.look(call)
                except Rejected:
                    only_kept.append(job.id)
                    continue
                if kept is not None:
                    await self._give(job, kept)
        await self._send_live(unfit, "model")
        await self._send_live(only_kept, "cache")

    async def _give(self, job: Job, kept: Reply) -> None:
        kept.response.id = job.id
        if await self._spool.give(job.id, kept.response):
            self._take(replace(job, state=JobState.SUCCEEDED))  # without waiting for the feed, which may be behind

    async def _send_live(self, job_ids: list[str], cause: str) -> None:
        if job_ids:
            await self._roads.release(job_ids)
            for job_id in job_ids:
                self._company.leave(job_id)
            self._observe(SentLive(count=len(job_ids), cause=cause))

    def _take(self, job: Job) -> None:
        if job.state in RUNNABLE:
            self._company.enter(job)
            self._came()
        elif (left := self._company.leave(job.id)) is not None and job.state in ENDED:
            self._observe(finished(job, model=left.model, clock=self._clock))
