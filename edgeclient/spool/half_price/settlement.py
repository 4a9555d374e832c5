"""What became of the lines of a batch: committed, told, kept, and settled with the money of their callers.

Each may be done again: lines that were accounted for before are left out.
"""

from collections.abc import AsyncIterator
from functools import partial
from itertools import count

from edgeclient.core.half_price import HalfPrice, KeptAnswers, LineResult
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.provider_batch import Rest
from edgeclient.spool.half_price import batch_rows, bookings
from edgeclient.spool.half_price.batch_rows import Batch
from edgeclient.spool.half_price.bookings import Judge, Settled
from edgeclient.spool.half_price.facts import accounted
from edgeclient.spool.half_price.purse import Purse
from edgeclient.spool.spool import SqliteSpool


class Settlement:
    """See the module.

    Args:
        spool: Where batches are stored.
        half_price: The provider.
        judge: See `bookings`.
        purse: Holds the money of callers.
        cache: Keeps answers.
        observe: Takes facts.
        clock: Tells the age of jobs.
    """

    def __init__(
        self,
        spool: SqliteSpool,
        *,
        half_price: HalfPrice,
        judge: Judge,
        purse: Purse,
        cache: KeptAnswers,
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._provider = half_price.files
        self._model_of = half_price.model_of
        self._finish = half_price.finish
        self._judge = judge
        self._purse = purse
        self._cache = cache
        self._observe = observe
        self._clock = clock

    async def of_file(self, batch: Batch, file_id: str) -> None:
        """Account for the lines of a file of results, as they come.

        Raises:
            CallError: The provider or the storage failed.
        """
        async for chunk in _in_chunks(self._provider.results(file_id, self._model_of(batch.model))):
            step = partial(bookings.settle, batch=batch, results=chunk, finish=self._finish, judge=self._judge)
            self._told(batch, await self._spool.operate(step))

    async def in_doubt(self, batch: Batch) -> None:
        """Nobody finds the batch: each of its jobs is UNCERTAIN, or sent again if its resend policy permits that.

        Raises:
            CallError: The storage failed.
        """
        step = partial(bookings.doubt, batch=batch, judge=self._judge)
        while settled := await self._spool.operate(step):
            self._told(batch, settled)

    async def of_rest(self, batch: Batch, what: Rest, why: str) -> None:
        """Account for the lines of which no result tells.

        Raises:
            CallError: The storage failed.
        """
        step = partial(bookings.rest, batch=batch, what=what, why=why)
        while (settled := await self._spool.operate(step)) is not None:
            self._told(batch, settled)

    def never_run(self, batch: Batch) -> None:
        """What is left of a batch was certainly not run."""
        self._purse.give_back(batch.name)

    def over(self, batch: Batch) -> None:
        """Nothing more will be heard of a batch."""
        self._purse.forget(batch.name)

    def _told(self, batch: Batch, settled: list[Settled]) -> None:
        self._purse.settle(batch.name, settled)
        for call, response in (each.reply for each in settled if each.reply is not None):
            call.model = self._model_of(batch.model)
            self._cache.keep(call, response)
        for fact in accounted(settled, model=batch.model, clock=self._clock):
            self._observe(fact)


async def _in_chunks(results: AsyncIterator[LineResult]) -> AsyncIterator[list[LineResult]]:
    chunk: list[LineResult] = []
    for number in count(1):
        result = await anext(results, None)
        if result is not None:
            chunk.append(result)
        if chunk and (result is None or number % batch_rows.CHUNK_ROWS == 0):
            yield chunk
            chunk = []
        if result is None:
            return
