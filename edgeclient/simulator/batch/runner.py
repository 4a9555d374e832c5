"""Does the work of batches: checks files, answers lines, delivers results, and ends what is cancelled or too late.

Each step is one method that looks at the state first, so the same steps serve a batch that goes by itself, one that a
test moves by hand, and both at once. Lines are answered by the code that answers live calls, under the same faults; a
batch does not know what its lines mean.

When the simulator stops, lines in work are put back and run again after it starts: a batch survives an outage. A line
that hangs keeps its batch from ending until it is cancelled and expired, as at the provider.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Final

from edgeclient.simulator.captured import CapturedExchange
from edgeclient.simulator.exchange import Request
from edgeclient.simulator.host import Work
from edgeclient.simulator.identifiers import Identifiers
from edgeclient.simulator.origin import HALF_PRICE, Kind, Origin

from .batch import Batch
from .file_store import FileStore, NoRoomError, StoredFile
from .input_file import TEST_URL, InputLine, read_input
from .result_lines import not_run_line, result_line
from .rules import BatchPace, BatchRules
from .states import Move, Status

Serve = Callable[[CapturedExchange, Origin], Awaitable[str]]  # answers a line; gives its request id
TOO_MANY_RUNNING: Final = "Too many batches that have not ended."


class BatchRunner:
    """All batches of the account, oldest first."""

    def __init__(
        self,
        *,
        rules: BatchRules,
        pace: BatchPace,
        files: FileStore,
        serve: Serve,
        spawn: Callable[[Work, str], object],
        changed: Callable[[], None],
        clock: Callable[[], float],
        seed: int,
    ) -> None:
        self._rules = rules
        self._pace = pace
        self._files = files
        self._serve = serve
        self._spawn = spawn
        self._changed = changed
        self._clock = clock
        self._seed = seed
        self._ids = Identifiers(seed, "batches")
        self._batches: dict[str, Batch] = {}

    def get(self, batch_id: str) -> Batch | None:
        """The batch of this id."""
        return self._batches.get(batch_id)

    def newest_first(self) -> list[Batch]:
        """All batches."""
        return list(reversed(self._batches.values()))

    def listed(self) -> list[Batch]:
        """Those that a list shows by now, newest first: the provider's list may be behind."""
        now_s = self._clock()
        return [batch for batch in self.newest_first() if batch.listed_at_s <= now_s]

    def create(
        self,
        file: StoredFile,
        *,
        endpoint: str,
        completion_window: str,
        window_s: float,
        metadata: dict[str, str],
        authorization: str,
    ) -> Batch:
        """Accept a batch; raises `NoRoomError` when too many have not ended."""
        running = [each for each in self._batches.values() if not each.ended]
        tests = [each for each in running if each.endpoint == TEST_URL]
        if len(running) >= self._rules.running or (endpoint == TEST_URL and len(tests) >= self._rules.test_running):
            raise NoRoomError(TOO_MANY_RUNNING)
        now_s = self._clock()
        batch = Batch(
            id=f"batch_{self._ids.uuid()}",
            number=len(self._batches) + 1,
            input_file_id=file.id,
            content=file.content,
            endpoint=endpoint,
            completion_window=completion_window,
            metadata=metadata,
            authorization=authorization,
            created_at=int(now_s),
            deadline_s=now_s + window_s / self._pace.time_scale,
            listed_at_s=now_s + self._pace.listed_s / self._pace.time_scale,
        )
        self._batches[batch.id] = batch
        self._changed()
        self._start(batch)
        return batch

    def resume(self) -> None:
        """Go on with what has not ended, after the simulator was stopped."""
        for batch in self._batches.values():
            self._start(batch)

    def _start(self, batch: Batch) -> None:
        if not self._pace.manual and not batch.ended:
            self._spawn(self._drive(batch), f"batch {batch.id}")

    async def _drive(self, batch: Batch) -> None:
        """Take a batch through its life at the pace, or to its deadline."""
        try:
            async with asyncio.timeout(max(batch.deadline_s - self._clock(), 0)):
                if batch.status is Status.VALIDATING:
                    await self._sleep(self._pace.validating_s)
                while not batch.ended:
                    if batch.status is Status.FINALIZING:
                        await self._sleep(self._pace.finalizing_s)
                    await self.step(batch)
        except TimeoutError:
            self.expire(batch)

    async def _sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s / self._pace.time_scale)

    # the steps

    async def finish(self, batch: Batch) -> None:
        """Take a batch to its end without any wait of the pace but that of its lines."""
        while not batch.ended:
            await self.step(batch)

    async def step(self, batch: Batch, *, lines: int | None = None) -> None:
        """Do what the state asks for, and no more; in progress: so many lines, or all that wait."""
        if batch.status is Status.VALIDATING:
            self._validate(batch)
        elif batch.status is Status.IN_PROGRESS:
            await self._run(batch, lines)
            self._end_of_lines(batch)
        elif batch.status is Status.CANCELLING:
            if batch.workers:
                await asyncio.wait(batch.workers)
            self._end_of_lines(batch)
        elif batch.status is Status.FINALIZING:
            self._deliver(batch, Move.DELIVER)

    def cancel(self, batch: Batch) -> None:
        """Start no further line; raises `ForbiddenMoveError` for a batch that is done."""
        self._move(batch, Move.CANCEL)

    def expire(self, batch: Batch) -> None:
        """The completion window is over: what is done is delivered, what is in work is given up and free."""
        if batch.ended:
            return
        for worker in batch.workers:
            worker.cancel()
        self._deliver(batch, Move.EXPIRE)

    # what they are made of

    def _move(self, batch: Batch, move: Move) -> None:
        batch.move(move, self._clock())
        self._changed()

    def _validate(self, batch: Batch) -> None:
        lines, errors = read_input(batch.content, endpoint=batch.endpoint, rules=self._rules)
        batch.content = b""
        batch.errors = errors
        batch.total = len(lines)
        Random(f"{self._seed}/batch/{batch.number}").shuffle(lines)  # noqa: S311 - no order is promised
        batch.pending.extend(lines)
        self._move(batch, Move.REJECT if errors else Move.ACCEPT)

    async def _run(self, batch: Batch, lines: int | None) -> None:
        """Answer lines, some at a time."""
        count = len(batch.pending) if lines is None else min(lines, len(batch.pending))
        allowance = iter(range(count))
        async with asyncio.TaskGroup() as group:
            for number in range(min(count, self._pace.parallel)):
                worker = group.create_task(self._work(batch, allowance), name=f"{batch.id} worker {number}")
                batch.workers.add(worker)
                worker.add_done_callback(batch.workers.discard)
        if not count and batch.workers:  # somebody else runs the last lines
            await asyncio.wait(batch.workers)

    async def _work(self, batch: Batch, allowance: Iterator[int]) -> None:
        while batch.status is Status.IN_PROGRESS and batch.pending and next(allowance, None) is not None:
            line = batch.pending.popleft()
            batch.in_work[line.number] = line
            try:
                await self._sleep(self._pace.line_s)
                good, text = await self._answer(batch, line)
            except asyncio.CancelledError:
                if not batch.ended and batch.in_work.pop(line.number, None) is not None:
                    batch.pending.appendleft(line)
                raise
            del batch.in_work[line.number]
            (batch.outputs if good else batch.failures).append(text)
            self._changed()

    async def _answer(self, batch: Batch, line: InputLine) -> tuple[bool, bytes]:
        origin = Origin(
            kind=Kind.BATCH_FILE,
            price_factor=0.0 if line.url == TEST_URL else HALF_PRICE,
            batch_id=batch.id,
            custom_id=line.custom_id,
            line=line.number,
        )
        request = Request(
            method="POST",
            path=line.url,
            query="",
            headers={"authorization": batch.authorization, "content-type": "application/json"},
            body=line.body,
            protocol="batch",
            connection=0,
            stream_id=line.number,
        )
        answer = CapturedExchange(request)
        request_id = await self._serve(answer, origin)
        return result_line(line, answer, request_id)

    def _end_of_lines(self, batch: Batch) -> None:
        """All lines are done that will be: finalize, or end what was cancelled."""
        if batch.in_work:
            return
        if batch.status is Status.CANCELLING:
            self._deliver(batch, Move.LINES_DONE)
        elif batch.status is Status.IN_PROGRESS and not batch.pending:
            self._move(batch, Move.LINES_DONE)

    def _deliver(self, batch: Batch, move: Move) -> None:
        """Write the files and end the batch; lines that never ran are errors."""
        batch.move(move, self._clock())
        left = [*batch.in_work.values(), *batch.pending]
        batch.failures += [not_run_line(line, self._ids.uuid(), batch.status) for line in left]
        batch.in_work.clear()
        batch.pending.clear()
        if batch.outputs:
            batch.output_file_id = self._files.deliver(b"".join(batch.outputs), batch_id=batch.id).id
        if batch.failures:
            batch.error_file_id = self._files.deliver(b"".join(batch.failures), batch_id=f"{batch.id}_error").id
        self._changed()
