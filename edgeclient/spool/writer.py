"""The queue's thread: one connection, and one fsync for all who wait.

While a commit is on its way to the disk, others queue up; the next transaction takes them all, each under a savepoint
of its own, so that one that fails undoes only itself. Answers leave after the commit, in one call into the event loop.
Cancelling who waits does not cancel the work: what is on the disk is the truth, and whoever asked for an attempt that
nobody takes any more has it taken back.

A failed commit is fatal for the connection: after a failed fsync nobody knows what a disk holds. It is closed, opened
again and looked through; the number of the commit tells whether it happened. If it did not, it is tried once more on
the new connection, for an answer that is paid for is worth a second try; then all who waited are refused. Nothing is
acknowledged on a hunch. On a full disk the ballast goes off, new work is refused, and the rest is tried again.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw

from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.jobs import Job, SpoolStats
from edgeclient.spool import recovery
from edgeclient.spool.database import FAULTS
from edgeclient.spool.operation import Operate, Operation, Outcome
from edgeclient.spool.room import full
from edgeclient.spool.session import Session

MOST_PER_COMMIT = 512  # a transaction stays well below the size of the log at which it is checkpointed
MOST_WAITING = 10_000

T = TypeVar("T")
Reopen = Callable[[bool], Session]
"""Opens the queue; True: look through it first."""


class Writer:
    """Runs operations; see the module.

    Args:
        reopen: Opens the queue; True: look through it first. Raises what `Store.open` raises.
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
        self._reopen = reopen
        self._publish = publish
        self._failed = failed
        self._pause_s = pause_s
        self._most_per_commit = most_per_commit
        self._waiting: SimpleQueue[Operation[Any] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._problem = ""
        self._next_try_s = 0.0
        self._doubtful: set[str] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._main, name="spool", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()

    async def start(self, check: bool) -> None:  # noqa: FBT001  of the last end
        """Open the queue in its thread.

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
        scrubs: bool = False,
        orphaned: Callable[[T], Operate | None] | None = None,
    ) -> T:
        """The result of an operation, after its commit; see `Operation`.

        Raises:
            Rejected: The storage cannot be used; nothing was changed.
            Throttled: There is no room; only for one that accepts.
        """
        if self._closed:
            raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, "the queue is closed")
        if accepts and self._waiting.qsize() >= MOST_WAITING:
            raise full(f"{MOST_WAITING} operations wait for the disk of the queue")
        future: asyncio.Future[T] = self._loop.create_future()
        operation = Operation(run=run, future=future, accepts=accepts, scrubs=scrubs, orphaned=orphaned)
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
            self._session = self._reopen(self._check_first)
        except BaseException as error:  # noqa: BLE001  carried over to who waits for it
            self._tell(self._open_ended, error)
            self._tell(self._ended.set)
            return
        self._count()
        self._tell(self._open_ended, None)
        while (batch := self._take()) is not None:
            self._serve(batch)
        self._close_session(self._session, clean=True)
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

    def _serve(self, batch: list[Operation[Any]]) -> None:
        outcomes: list[Outcome] = []
        changed: list[Job] = []
        try:
            session = self._session or self._open_again()
            outcomes, changed = self._committed(session, batch)
            outcomes = self._scrubbed(outcomes)
        except Exception as fault:  # noqa: BLE001  whatever it is, somebody waits for an answer
            self._break(fault)
            self._doubtful.update(each.accepts for each in batch if each.accepts)
            outcomes = [(each, None, self._refusal(each)) for each in batch]
        self._count()
        self._tell(self._deliver, outcomes, changed)

    def _committed(self, session: Session, batch: list[Operation[Any]]) -> tuple[list[Outcome], list[Job]]:
        outcomes: list[Outcome] = []
        number = session.ledger.commit_count + 1
        try:
            return outcomes, self._transact(session, batch, outcomes)
        except apsw.FullError:
            session.rollback()
            if session.room.give_way(session.connection):
                outcomes.clear()
                return outcomes, self._transact(session, batch, outcomes)
            raise
        except FAULTS as fault:
            self._break(fault)
            again = self._open_again()
            if again.ledger.commit_count >= number and len(outcomes) == len(batch):
                return outcomes, []  # it happened: the file says so, and was synced again
            outcomes.clear()
            return outcomes, self._transact(again, batch, outcomes)

    def _transact(self, session: Session, batch: list[Operation[Any]], outcomes: list[Outcome]) -> list[Job]:
        session.begin()
        try:
            session.room.measure(session.connection)
            for operation in batch:
                try:
                    outcomes.append((operation, session.step(operation.run), None))
                except FAULTS:
                    raise
                except Exception as error:  # noqa: BLE001  of this operation alone
                    outcomes.append((operation, None, error))
            return session.commit()
        except BaseException:
            with suppress(apsw.Error):
                session.rollback()
            raise

    def _scrubbed(self, outcomes: list[Outcome]) -> list[Outcome]:
        if self._session is None or not any(operation.scrubs for operation, _, _ in outcomes):
            return outcomes
        try:
            self._session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except FAULTS as fault:
            self._break(fault)
            sentence = f"erased, but the log of the queue may hold it still ({fault}); erase it again"
            unscrubbed = Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, sentence)
            return [(one, None, unscrubbed) if one.scrubs else (one, result, error) for one, result, error in outcomes]
        return outcomes

    def _open_again(self) -> Session:
        now_s = time.monotonic()
        if now_s < self._next_try_s:
            raise apsw.CantOpenError(self._problem)
        self._next_try_s = now_s + self._pause_s
        session = self._reopen(True)  # noqa: FBT003  as its type says
        if self._doubtful:
            self._withdraw(session)
        self._session = session
        self._next_try_s = 0.0
        if self._problem:
            self._problem = ""
            self._tell(self._failed, "")
        return session

    def _withdraw(self, session: Session) -> None:
        session.begin()
        recovery.withdraw(session, self._doubtful)
        session.commit()
        self._doubtful.clear()

    def _break(self, fault: Exception) -> None:
        """Close the connection; what the disk holds is found out by opening it again."""
        session, self._session = self._session, None
        self._close_session(session, clean=False)
        problem = str(fault) or type(fault).__name__
        if not self._problem:
            self._tell(self._failed, problem)
        self._problem = problem

    def _close_session(self, session: Session | None, *, clean: bool) -> None:
        if session is None:
            return
        with suppress(apsw.Error):
            if clean:
                session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with suppress(apsw.Error):
            session.connection.close(force=True)

    def _refusal(self, operation: Operation[Any]) -> BaseException:
        if operation.accepts and "full" in self._problem:
            return full("the disk of the queue is full")
        return Rejected(
            Reason.ERROR_REASON_STORAGE_UNAVAILABLE,
            f"the storage of the queue cannot be used ({self._problem}); nothing was changed",
        )

    def _count(self) -> None:
        session = self._session
        if session is not None:
            self.stats = session.tally.stats(session.ledger, free_bytes=session.room.free_bytes)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(what, *values)
