"""Sends jobs in batches at half price: collects company, orders, polls, collects answers.

One thing at a time: nobody is in a hurry here, and a batch more or less in parallel changes nothing for a provider that
takes a day. While the way to where a batch was made is offline nothing is asked there, whatever other targets can be
reached; after a restart the provider is asked at once. What fails is tried again after a pause that doubles. A step
that failed may have committed or not, so what is stored is read anew.

With another mode than `file` no new batches are made, and those that there are come to their end.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from random import Random

from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.companion import companion
from edgeclient.core.errors import STORAGE_FAILED, CallError
from edgeclient.core.events import Event, Uplink
from edgeclient.core.half_price import HalfPrice, KeptAnswers, OpenBatches
from edgeclient.core.half_price_events import BatchStuck
from edgeclient.core.identifiers import new_identifier
from edgeclient.core.jobs import Attempt
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.backoff import Backoff
from edgeclient.policy.half_price import Company as Fellows
from edgeclient.policy.job_verdict import verdict
from edgeclient.policy.provider_batch import BatchState
from edgeclient.spool.attempts import Failure
from edgeclient.spool.half_price import batch_rows, bookings
from edgeclient.spool.half_price.batch_rows import Batch
from edgeclient.spool.half_price.course import NAME_BEGIN, Course
from edgeclient.spool.half_price.facts import accounted, changed, counted
from edgeclient.spool.half_price.gathering import Gathering
from edgeclient.spool.half_price.purse import Purse
from edgeclient.spool.half_price.roads import Roads
from edgeclient.spool.half_price.settlement import Settlement
from edgeclient.spool.job_run import Admit, defect
from edgeclient.spool.spool import SqliteSpool

_STORAGE_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


class HalfPriceWorker:
    """See the module. `run` is a task of whoever wires it.

    Args:
        spool: The queue.
        roads: Divides its jobs.
        half_price: The provider.
        config: What goes out and when.
        spool_config: Attempts and pauses of jobs.
        admit: Sets `Call.model` of a stored request, or raises what it fails with.
        purse: Holds the money of callers.
        cache: Answers that are kept.
        uplink: State of the way to where the batch, or file, with an id was made, and of "" to where new ones are;
            `uplink_changed` is to be called when it changes.
        observe: Takes facts.
        clock: Measures and waits.
        rng: Draws jitter.
    """

    def __init__(
        self,
        spool: SqliteSpool,
        roads: Roads,
        *,
        half_price: HalfPrice,
        config: HalfPriceConfig,
        spool_config: SpoolConfig,
        admit: Admit,
        purse: Purse,
        cache: KeptAnswers,
        uplink: Callable[[str], Uplink],
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._spool = spool
        self._gathers = config.mode != "chat"  # where each waits for its own turn, and this has only old batches
        self._provider = half_price.files
        self._jobs = spool_config
        self._purse = purse
        self._uplink = uplink
        self._observe = observe
        self._clock, self._rng = clock, rng
        self._backoff = Backoff(initial_s=min(config.poll_s, _LONGEST_PAUSE_S), max_s=_LONGEST_PAUSE_S)
        settlement = Settlement(
            spool, half_price=half_price, judge=self._judged, purse=purse, cache=cache, observe=observe, clock=clock
        )
        files = self._provider
        self._course = Course(
            spool, roads, provider=files, config=config, settlement=settlement, observe=observe, rng=rng
        )
        self._wake = asyncio.Event()
        self._gathering = Gathering(
            spool,
            roads,
            provider=files,
            config=config,
            admit=admit,
            purse=purse,
            cache=cache,
            came=self._wake.set,
            observe=observe,
            clock=clock,
        )
        self._batches: dict[str, tuple[Batch, float]] = {}
        self._failures: dict[str, int] = {}
        self._order_at_s = -inf
        self._stale = True
        self._stopped = False

    def __repr__(self) -> str:
        return f"<HalfPriceWorker {len(self._gathering)} jobs wait, {len(self._batches)} batches>"

    def open_batches(self) -> dict[str, OpenBatches]:
        """Counts of the batches that are not over, from memory; see `facts.counted`."""
        return counted(batch for batch, _ in self._batches.values())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._gathers:
                group.create_task(self._gathering.follow(), name="half price changes")
            while True:
                self._wake.clear()
                due_s = await self._round()
                async with companion(self._alarm(due_s), name="half price alarm"):
                    await self._wake.wait()

    def stop(self) -> None:
        """Begin nothing any more. May be called again."""
        self._stopped = True

    def uplink_changed(self, _event: Event) -> None:
        """Take the fact that the uplink has changed."""
        self._wake.set()

    def storage_recovered(self, _event: Event) -> None:
        """Take the fact that the storage works again."""
        self._stale = True
        self._wake.set()

    async def _alarm(self, due_s: float) -> None:
        if due_s < inf:
            await self._clock.sleep(max(0.001, due_s - self._clock.monotonic_s()))
            self._wake.set()

    async def _round(self) -> float:
        """Do what is due; returns when something may be."""
        try:
            while not self._stopped and (name := await self._due()) is not None:
                await self._step(name)
            plan_s = await self._plan() if self._may_order else inf
        except CallError as error:
            self._stale = True
            self._observe(BatchStuck(batch="", state="", problem=error.summary))
            return self._clock.monotonic_s() + _STORAGE_PAUSE_S
        except Exception as error:  # noqa: BLE001  it is reported, and what is stored is read anew
            self._stale = True
            self._observe(defect("", "half price", error))
            return self._clock.monotonic_s() + _LONGEST_PAUSE_S
        if self._stopped:
            return inf
        return min([plan_s, *(due_s for batch, due_s in self._batches.values() if self._reaches(batch))])

    @property
    def _may_order(self) -> bool:
        return not self._stopped and self._uplink("") is not Uplink.OFFLINE

    def _reaches(self, batch: Batch) -> bool:
        """The way to where it was made is not known to be lost."""
        return self._uplink(batch.batch_id or batch.input_file_id) is not Uplink.OFFLINE

    async def _due(self) -> str | None:
        """The next batch whose step is due."""
        if self._stale:
            await self._load()
        now_s = self._clock.monotonic_s()
        due = ((name, batch) for name, (batch, due_s) in self._batches.items() if due_s <= now_s)
        return next((name for name, batch in due if self._reaches(batch)), None)

    async def _load(self) -> None:
        known = self._batches
        batches = await self._spool.operate(batch_rows.load)
        self._batches = {each.name: (each, known[each.name][1] if each.name in known else -inf) for each in batches}
        while lost := await self._spool.operate(bookings.lose_unbatched):
            for fact in accounted(lost, model="", clock=self._clock):
                self._observe(fact)
        self._stale = False

    async def _step(self, name: str) -> None:
        batch, _ = self._batches[name]
        try:
            after, pause_s = await self._course.step(batch)
        except CallError as error:
            pause_s = self._failed(batch, error)
            self._keep(name, batch, pause_s)
        else:
            self._failures.pop(name, None)
            self._keep(name, after, pause_s)

    def _keep(self, name: str, batch: Batch | None, pause_s: float) -> None:
        if batch is None:
            self._batches.pop(name, None)
        else:
            self._batches[name] = batch, self._clock.monotonic_s() + pause_s

    def _failed(self, batch: Batch, error: CallError, *, of: str = "") -> float:
        """Tell it; returns the pause until the next try."""
        if error.reason in STORAGE_FAILED:
            raise error
        self._stale = True
        of = of or batch.name
        failures = self._failures[of] = self._failures.get(of, 0) + 1
        self._observe(BatchStuck(batch=batch.name, state=batch.state.name.lower(), problem=error.summary))
        return self._backoff.delay_s(failures, draw=self._rng.random(), least_s=error.retry_after_s or 0.0)

    async def _plan(self) -> float:
        """Order batches of those that have waited long enough; returns when there may be the next one."""
        if self._clock.monotonic_s() < self._order_at_s:
            return self._order_at_s
        ready, due_s = await self._gathering.ready()
        for fellows in ready:
            if not self._may_order or self._clock.monotonic_s() < self._order_at_s:
                break
            await self._order(fellows)
        return self._clock.monotonic_s() if ready else due_s

    async def _order(self, fellows: Fellows) -> None:
        name = NAME_BEGIN + new_identifier(now_ms=int(self._clock.wall_s() * 1000))
        affordable = await self._gathering.afford(name, fellows)
        if not affordable:
            return
        planned = Batch(
            name=name,
            state=BatchState.PLANNED,
            model=fellows.model,
            window_h=fellows.window_h,
            line_count=len(affordable),
        )
        try:
            batch = await self._spool.operate(partial(bookings.plan, batch=planned))
        except CallError:
            self._purse.give_back(name)
            raise
        self._observe(changed(batch))
        self._keep(batch.name, batch, 0.0)
        try:
            lines = await self._begin(batch, affordable)
            if lines:
                after, pause_s = await self._course.order(batch, lines)
                self._failures.pop("order", None)
                self._keep(batch.name, after, pause_s)
        except CallError as error:
            self._order_at_s = self._clock.monotonic_s() + self._failed(batch, error, of="order")

    async def _begin(self, batch: Batch, job_ids: Sequence[str]) -> list[bytes]:
        """Commit that its jobs are under way; returns their lines, none if all have ended meanwhile."""
        lines: list[bytes] = []
        for begin in range(0, len(job_ids), bookings.CHUNK_ROWS):
            chunk = job_ids[begin : begin + bookings.CHUNK_ROWS]
            wanted = [(job_id, new_identifier(now_ms=0)) for job_id in chunk]
            begun = await self._spool.operate(partial(bookings.begin, batch=batch, wanted=wanted))
            for job_id in chunk:
                self._gathering.gone(job_id)
            self._purse.give_back(batch.name, set(chunk) - {attempt.job.id for attempt in begun})
            lines += [self._line(attempt) for attempt in begun]
        return lines

    def _line(self, attempt: Attempt) -> bytes:
        call = self._gathering.admitted(attempt.job)
        if call is None or call.model is None:
            raise RuntimeError(f"the job {attempt.job.id} was fit for a batch a moment ago")
        return self._provider.line(f"{attempt.job.id}.{attempt.attempt_id}", call.request, call.model)

    def _judged(self, error: CallError, attempt_count: int) -> Failure:
        judged = verdict(
            error,
            attempt_count=attempt_count,
            max_attempts=self._jobs.max_attempts,
            waited_s=0.0,
            reached=True,
            backoff=Backoff(initial_s=self._jobs.retry_initial_s, max_s=self._jobs.retry_max_s),
            draw=self._rng.random(),
        )
        return Failure(error=judged.error, retry_in_s=judged.retry_in_s, counts=judged.counts)
