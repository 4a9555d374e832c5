"""The course of a batch at the provider: one step at a time, each safe to be cut off and to be done again.

A step asks the provider something and commits what follows. What fails is tried again after a pause; only the order of
a batch is never repeated. If it is not known whether it was placed, the provider's listing is asked. Once the order can
be under way no longer and the listing still does not show it, the jobs are in doubt, and the resend policy of each
decides: it is UNCERTAIN, or waits to be sent once more. The listing is asked further, for it may be late. A batch that
comes to light then answers those that are still in doubt; if there are none it is cancelled.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import TypeVar

from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.core.errors import CallError, ModelBlocked, Rejected
from edgeclient.core.half_price import BatchProvider, ProviderBatch
from edgeclient.core.half_price_events import BatchCameLate, BatchFileKept, BatchMissing, BatchRefused, BatchStuck
from edgeclient.core.ports import Observe
from edgeclient.policy.provider_batch import MISSING, RESTS, BatchEvent, BatchState, Rest
from edgeclient.spool.half_price import batch_rows, bookings
from edgeclient.spool.half_price.batch_rows import Batch
from edgeclient.spool.half_price.facts import changed
from edgeclient.spool.half_price.roads import Roads
from edgeclient.spool.half_price.settlement import Settlement
from edgeclient.spool.session import Session
from edgeclient.spool.spool import SqliteSpool

T = TypeVar("T")
NAME_BEGIN = "edgeclient-"
GRACE_S = 48 * 3600.0
"""How long after its time a batch may end before it is given up; the provider forgets batches after 30 days."""

_HOUR_S = 3600.0
_JITTER = 0.25
_CLEAN_AGAIN_S = 300.0


class Course:
    """Makes steps; see the module.

    Args:
        spool: Where batches are stored.
        roads: Where jobs go that the provider refuses as a batch.
        provider: The provider.
        config: Pauses.
        settlement: Accounts for lines.
        observe: Takes facts.
        rng: Draws jitter.
    """

    def __init__(
        self,
        spool: SqliteSpool,
        roads: Roads,
        *,
        provider: BatchProvider,
        config: HalfPriceConfig,
        settlement: Settlement,
        observe: Observe,
        rng: Random,
    ) -> None:
        self._spool = spool
        self._roads = roads
        self._provider = provider
        self._config = config
        self._settlement = settlement
        self._observe = observe
        self._rng = rng
        self._steps: dict[BatchState, Callable[[Batch], Awaitable[tuple[Batch | None, float]]]] = {
            BatchState.PLANNED: self._give_back,  # of before a restart or a failure of the storage
            BatchState.UPLOADED: self._give_back,
            BatchState.CREATING: self._look,
            BatchState.SUBMITTED: self._poll,
            BatchState.COLLECTING: self._collect,
            BatchState.CLEANING: self._clean,
        }

    async def step(self, batch: Batch) -> tuple[Batch | None, float]:
        """Do what its state asks for.

        Returns:
            The batch after it, None if it is gone; and the pause before the next step.

        Raises:
            CallError: The provider or the storage failed; the step is to be done again.
        """
        return await self._steps[batch.state](batch)

    async def order(self, batch: Batch, lines: list[bytes]) -> tuple[Batch, float]:
        """Upload a batch that was just planned, hand its jobs over, and order it.

        Raises:
            CallError: Something failed; the step of its state is what goes on.
        """
        try:
            file_id = await self._provider.upload(batch.name, lines)
        except CallError as error:
            return await self._not_ordered(batch, error)
        batch = await self._moved(batch, BatchEvent.UPLOAD, input_file_id=file_id)
        last_seq: int | None = -1
        while last_seq:
            last_seq = await self._do(bookings.hand_over, batch=batch, after_seq=last_seq)
            if last_seq is None:
                return await self._back(batch, live=False), 0.0
        batch = await self._moved(batch, BatchEvent.INTEND)
        return await self._create(batch)

    # steps

    async def _give_back(self, batch: Batch) -> tuple[Batch | None, float]:
        return await self._back(batch, live=False), 0.0

    async def _look(self, batch: Batch) -> tuple[Batch | None, float]:
        """Find out whether its order was placed. Jobs wait for that no longer than it can be under way."""
        is_settled = await self._is_past(batch, self._config.settle_s)
        try:
            found = await self._provider.named(batch.name, file_id=batch.input_file_id)
        except CallError:
            if await self._is_over(batch):
                return await self._lose(batch), 0.0
            raise
        if found:
            return await self._come_to_light(batch, found[0])
        if not is_settled:
            return batch, min(self._pause_s(), self._config.settle_s / 2)
        if batch.status != MISSING:
            batch = await self._missed(batch)
        elif await self._is_over(batch):
            return await self._lose(batch), 0.0
        return batch, self._pause_s()

    async def _missed(self, batch: Batch) -> Batch:
        """Leave its jobs in doubt."""
        await self._settlement.in_doubt(batch)
        batch = await self._noted(batch, status=MISSING)
        self._observe(BatchMissing(batch=batch.name, model=batch.model, line_count=batch.line_count))
        return batch

    async def _come_to_light(self, batch: Batch, found: ProviderBatch) -> tuple[Batch, float]:
        """Its order was placed."""
        while await self._do(bookings.come_back, batch=batch):
            pass
        if batch.status == MISSING:
            wanted = await self._do(batch_rows.wanted, batch=batch)
            self._observe(
                BatchCameLate(batch=batch.name, batch_id=found.id, line_count=batch.line_count, wanted_count=wanted)
            )
        batch, _ = await self._adopt(batch, found)
        return batch, 0.0  # it is cancelled at once if nobody waits for it

    async def _create(self, batch: Batch) -> tuple[Batch, float]:
        try:
            created = await self._provider.create(batch.input_file_id, name=batch.name, window_h=batch.window_h)
        except CallError as error:
            if error.possibly_billed:
                self._observe(BatchStuck(batch=batch.name, state="creating", problem=error.summary))
                return batch, min(self._pause_s(), self._config.settle_s / 2)
            return await self._not_ordered(batch, error)
        return await self._adopt(batch, created)

    async def _adopt(self, batch: Batch, placed: ProviderBatch) -> tuple[Batch, float]:
        batch = await self._moved(batch, BatchEvent.CREATED, batch_id=placed.id, status=placed.status)
        return batch, self._pause_s()

    async def _poll(self, batch: Batch) -> tuple[Batch | None, float]:
        """See how far the provider is; cancel what nobody wants any more."""
        try:
            seen = await self._provider.batch(batch.batch_id)
        except CallError:
            if await self._is_over(batch):
                return await self._lose(batch), 0.0
            raise
        if seen.status not in RESTS:
            if seen.status != batch.status:
                batch = await self._noted(batch, status=seen.status)
            if await self._is_over(batch):
                return await self._lose(batch), 0.0
            if seen.status != "cancelling" and not await self._do(batch_rows.wanted, batch=batch):
                await self._provider.cancel(batch.batch_id)
            return batch, self._pause_s()
        if seen.status == "failed":
            self._refused(batch, seen.problem or "it said no more")
        files = {"output_file_id": seen.output_file_id, "error_file_id": seen.error_file_id}
        return await self._moved(batch, BatchEvent.END, status=seen.status, **files), 0.0

    async def _collect(self, batch: Batch) -> tuple[Batch | None, float]:
        """Account for each line; again from the beginning, if it was cut off."""
        try:
            for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                await self._settlement.of_file(batch, file_id)
        except CallError:
            if await self._is_past(batch, GRACE_S):
                return await self._lose(batch), 0.0
            raise
        what = RESTS[batch.status]
        if what is Rest.LIVE:
            await self._forget_road(batch)
            while await self._do(bookings.disband, batch=batch, live=True):
                pass
            self._settlement.never_run(batch)
        else:
            await self._settlement.of_rest(batch, what, f"its batch was {batch.status} and told nothing of it")
        self._settlement.over(batch)
        return await self._moved(batch, BatchEvent.COLLECT), 0.0

    async def _clean(self, batch: Batch) -> tuple[Batch | None, float]:
        """Leave nothing at the provider."""
        kept = False
        for column in ("input_file_id", "output_file_id", "error_file_id"):
            file_id = getattr(batch, column)
            if not file_id:
                continue
            try:
                await self._provider.delete(file_id)
            except CallError as error:
                self._observe(BatchFileKept(batch=batch.name, file_id=file_id, problem=error.summary))
                kept = True
            else:
                batch = await self._noted(batch, **{column: ""})
        if kept:
            return batch, _CLEAN_AGAIN_S
        await self._do(batch_rows.drop, batch=batch)
        return None, 0.0

    # what they are made of

    async def _not_ordered(self, batch: Batch, error: CallError) -> tuple[Batch, float]:
        """Certainly not ordered; whether another try makes sense is told by the error."""
        is_final = isinstance(error, Rejected | ModelBlocked)
        if is_final:
            self._refused(batch, error.summary)
        batch = await self._back(batch, live=is_final)
        if not is_final:
            raise error
        return batch, 0.0

    async def _back(self, batch: Batch, *, live: bool) -> Batch:
        """Give all of its jobs back."""
        if live:
            await self._forget_road(batch)
        while await self._do(bookings.disband, batch=batch, live=live):
            pass
        self._settlement.never_run(batch)
        return await self._moved(batch, BatchEvent.DISBAND)

    async def _forget_road(self, batch: Batch) -> None:
        last_seq = -1
        while some := await self._do(bookings.line_ids, batch=batch, after_seq=last_seq):
            self._roads.forget(job_id for _, job_id in some)
            last_seq = some[-1][0]

    async def _lose(self, batch: Batch) -> Batch:
        """Nobody will ever know."""
        await self._settlement.of_rest(batch, Rest.UNKNOWN, "its batch did not end long after its time")
        self._settlement.over(batch)
        return await self._moved(batch, BatchEvent.LOSE)

    async def _is_over(self, batch: Batch) -> bool:
        """Nothing will be heard of it any more."""
        return await self._is_past(batch, batch.window_h * _HOUR_S + GRACE_S)

    async def _is_past(self, batch: Batch, allowed_s: float) -> bool:
        now_ms = await self._spool.operate(_now_ms)
        return now_ms - batch.since_due > allowed_s * 1000

    def _refused(self, batch: Batch, problem: str) -> None:
        self._observe(BatchRefused(batch=batch.name, model=batch.model, line_count=batch.line_count, problem=problem))

    async def _moved(self, batch: Batch, event: BatchEvent, **news: str) -> Batch:
        moved = await self._do(batch_rows.move, batch=batch, event=event, **news)
        self._observe(changed(moved))
        return moved

    async def _noted(self, batch: Batch, **news: str | int) -> Batch:
        return await self._do(batch_rows.note, batch=batch, **news)

    async def _do(self, operation: Callable[..., T], **values: object) -> T:
        return await self._spool.operate(partial(operation, **values))

    def _pause_s(self) -> float:
        return self._config.poll_s * (1 - _JITTER + 2 * _JITTER * self._rng.random())


def _now_ms(session: Session) -> int:
    return session.now_ms
