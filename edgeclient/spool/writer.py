"""The queue's thread: one connection, and one fsync for all who wait.

While a commit is on its way to the disk, others queue up; the next transaction takes them all (`commits.py`). Answers
leave after the commit, in one call into the event loop. Cancelling who waits does not cancel the work: what is on the
disk is the truth, and whoever asked for an attempt that nobody takes any more has it taken back.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.jobs import Job, SpoolStats
from edgeclient.spool.commits import Commits, Reopen
from edgeclient.spool.operation import Operate, Operation, Outcome
from edgeclient.spool.room import full
from edgeclient.spool.session import Session

MOST_PER_COMMIT = 512  # a transaction stays well below the size of the log at which it is checkpointed
MOST_WAITING = 10_000

T = TypeVar("T")


class Writer:
    """Runs operations; see the module.

    Args:
        reopen: Opens the queue.
        publish: Takes the jobs that a commit changed. Called in the event loop.
        failed: Takes what is wrong with the storage; "" when it works again. Called in the event loop.
        pause_s: Between tries to open a storage that failed.
        most_per_commit: Most operations in one transaction.

    Attributes:
        stats: The counts after the newest commit.
    """

    def __init__(
        self,
        *,
        reopen: Reopen,
        publish: Callable[[list[Job]], None],
        failed: Callable[[str], None],
        pause_s: float,
        most_per_commit: int = MOST_PER_COMMIT,
    ) -> None:
        self.stats = SpoolStats()
        self._publish = publish
        self._most_per_commit = most_per_commit
        self._waiting: SimpleQueue[Operation[Any] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._commits = Commits(reopen=reopen, failed=lambda problem: self._tell(failed, problem), pause_s=pause_s)
        self._closed = False
        self._thread = threading.Thread(target=self._main, name="spool", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()

    async def start(self, *, check: bool) -> None:
        """Open the queue in its thread.

        Args:
            check: Its last end was not clean.

        Raises:
            SettingError, apsw.Error, OSError: It cannot be opened.
        """
        self._check_first = check
        self._thread.start()
        await asyncio.shield(self._opened)

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        await self._ended.wait()

    async def do(
        self,
        run: Callable[[Session], T],
        *,
        accepts: str = "",
        keyed: bool = False,
        scrubs: bool = False,
        orphaned: Callable[[T], Operate | None] | None = None,
    ) -> T:
        """The result of an operation, after its commit; see `Operation`.

        Raises:
            Rejected: The storage cannot be used; nothing was changed.
            Unavailable: The storage has failed, and nobody knows whether it was changed.
            Throttled: There is no room; only for one that accepts.
        """
        if self._closed:
            raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, "the queue is closed")
        if accepts and self._waiting.qsize() >= MOST_WAITING:
            raise full(f"{MOST_WAITING} operations wait for the disk of the queue")
        future: asyncio.Future[T] = self._loop.create_future()
        operation = Operation(run=run, future=future, accepts=accepts, keyed=keyed, scrubs=scrubs, orphaned=orphaned)
        self._waiting.put(operation)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._orphan(operation, future.result())
            raise

    # in the event loop

    def _orphan(self, operation: Operation[Any], result: Any) -> None:
        undo = operation.orphaned(result) if operation.orphaned is not None else None
        if undo is not None:
            self._waiting.put(Operation(run=undo, future=None))

    def _deliver(self, outcomes: Iterable[Outcome], changed: list[Job]) -> None:
        self._publish(changed)
        for operation, result, error in outcomes:
            future = operation.future
            if future is None:
                continue
            if future.cancelled():
                if error is None:
                    self._orphan(operation, result)
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    def _open_ended(self, error: BaseException | None) -> None:
        if error is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(error)

    # in the thread

    def _main(self) -> None:
        try:
            self._commits.open(check=self._check_first)
        except BaseException as error:  # noqa: BLE001  carried over to who waits for it
            self._tell(self._open_ended, error)
            self._tell(self._ended.set)
            return
        self._count()
        self._tell(self._open_ended, None)
        while (batch := self._take()) is not None:
            outcomes, changed = self._commits.run(batch)
            self._count()
            self._tell(self._deliver, outcomes, changed)
        self._commits.close()
        self._tell(self._ended.set)

    def _take(self) -> list[Operation[Any]] | None:
        first = self._waiting.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < self._most_per_commit and self._waiting.qsize():
            following = self._waiting.get()
            if following is None:
                self._waiting.put(None)
                break
            batch.append(following)
        return batch

    def _count(self) -> None:
        session = self._commits.session
        if session is not None:
            self.stats = session.tally.stats(session.ledger, free_bytes=session.room.free_bytes)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(what, *values)
