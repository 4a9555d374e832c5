"""Commits: many operations in one transaction, and what becomes of them when the storage fails.

Each operation is done whole or not at all. At first none has a savepoint of its own, because those that fail do so
before they write; if one did not, all are undone and done again with savepoints.

A failed commit is fatal for the connection: after a failed fsync nobody knows what a disk holds. It is closed, opened
again and looked through; the number of the commit tells whether it happened. If it did not, it is tried once more on
the new connection, for an answer that is paid for is worth a second try. Nothing is acknowledged on a hunch, and
nothing denied on one: where even the second try leaves it open, or the storage cannot be opened to see, who wrote is
told that nobody knows. A request without a key, which nobody can repeat safely, is withdrawn then as soon as the
storage works, if it should be there. On a full disk the ballast goes off, new work is refused, and the rest is tried
again.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import apsw

from edgeclient.core.errors import CallError, Reason, Rejected, Unavailable
from edgeclient.core.jobs import Job
from edgeclient.spool import recovery
from edgeclient.spool.database import FAULTS
from edgeclient.spool.operation import Operation, Outcome
from edgeclient.spool.room import full
from edgeclient.spool.session import Doubt, HalfDoneError, Session
from edgeclient.spool.store import Opened


class Reopen(Protocol):
    """Opens the queue."""

    def __call__(self, *, check: bool, doubt: Doubt | None) -> Opened:
        """Look through it first if `check`, and see what became of a commit; raises what `Store.open` raises."""
        ...


class Commits:
    """Holds the open queue. Used in its own thread only.

    Args:
        reopen: Opens the queue.
        failed: Takes what is wrong with the storage; "" when it works again.
        pause_s: Between tries to open a storage that failed.

    Attributes:
        session: The open queue; None: the storage has failed.
    """

    def __init__(self, *, reopen: Reopen, failed: Callable[[str], None], pause_s: float) -> None:
        self.session: Session | None = None
        self._reopen = reopen
        self._failed = failed
        self._pause_s = pause_s
        self._problem = ""
        self._full = False
        self._next_try_s = 0.0
        self._unwanted: set[str] = set()

    def open(self, *, check: bool) -> None:
        """Open the queue for the first time.

        Raises:
            SettingError, apsw.Error, OSError: It cannot be opened.
        """
        self.session = self._reopen(check=check, doubt=None).session

    def close(self) -> None:
        """Close it, with all of the log in the file."""
        session, self.session = self.session, None
        if session is None:
            return
        with suppress(apsw.Error):
            session.checkpoint()
        with suppress(apsw.Error):
            session.close()

    def run(self, batch: Sequence[Operation[Any]]) -> tuple[list[Outcome], list[Job]]:
        """The outcome of each operation, and the jobs that changed."""
        attempt = _Attempt(batch)
        try:
            changed = self._committed(attempt)
        except Exception as fault:  # noqa: BLE001  whatever it is, somebody waits for an answer
            if isinstance(fault, apsw.FullError) and len(batch) > 1 and self.session is not None:
                return self._one_by_one(batch)
            self._break(fault)
            return self._refused(attempt), []
        return self._scrubbed(attempt.outcomes), changed

    def _one_by_one(self, batch: Sequence[Operation[Any]]) -> tuple[list[Outcome], list[Job]]:
        """Where a large commit finds no room even without the ballast, small ones may."""
        outcomes: list[Outcome] = []
        changed: list[Job] = []
        for operation in batch:
            if outcomes and self.session is None:  # the one before found none either
                outcomes.append((operation, None, self._refusal(operation)))
                continue
            done, moved = self.run([operation])
            outcomes += done
            changed += moved
        return outcomes, changed

    def _committed(self, attempt: "_Attempt") -> list[Job]:
        session = self.session or self._open_again(None).session
        second = False
        while True:
            try:
                return attempt.make(session)
            except apsw.FullError:
                if not session.room.give_way(session.connection):
                    raise
            except FAULTS as fault:
                if second:
                    raise
                second = True
                doubt = attempt.doubt
                self._break(fault)
                opened = self._open_again(doubt)
                session, attempt.doubt = opened.session, None  # the file has told
                if doubt is not None and opened.happened:
                    return [session.job(row) for row in doubt.changed]

    def _scrubbed(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Take what was destroyed out of the log as well."""
        if self.session is None or not any(operation.scrubs for operation, _, _ in outcomes):
            return outcomes
        try:
            self.session.checkpoint()
        except FAULTS as fault:
            self._break(fault)
            sentence = f"erased, but the log of the queue may hold it still ({fault}); erase it again"
            unscrubbed = Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, sentence)
            return [(one, None, unscrubbed) if one.scrubs else (one, result, error) for one, result, error in outcomes]
        return outcomes

    def _open_again(self, doubt: Doubt | None) -> Opened:
        now_s = time.monotonic()
        if now_s < self._next_try_s:
            raise apsw.CantOpenError(self._problem)
        self._next_try_s = now_s + self._pause_s
        opened = self._reopen(check=True, doubt=doubt)
        try:
            self._withdraw(opened.session)
        except BaseException:
            opened.session.close()
            raise
        self.session = opened.session
        self._next_try_s = 0.0
        if self._problem:
            self._problem = ""
            self._failed("")
        return opened

    def _withdraw(self, session: Session) -> None:
        if self._unwanted:
            session.begin()
            recovery.withdraw(session, self._unwanted)
            session.commit()
            self._unwanted.clear()

    def _break(self, fault: Exception) -> None:
        """Close the connection; what the disk holds is found out by opening it again."""
        session, self.session = self.session, None
        if session is not None:
            with suppress(apsw.Error):
                session.close()
        problem = str(fault) or type(fault).__name__
        if not self._problem:
            self._failed(problem)
        self._problem = problem
        self._full = isinstance(fault, apsw.FullError)

    def _refused(self, attempt: "_Attempt") -> list[Outcome]:
        """What is told to each: that nobody knows, or that nothing was changed."""
        refused: list[Outcome] = []
        for number, operation in enumerate(attempt.batch):
            if attempt.doubt is not None and (operation.accepts or number in attempt.wrote):
                if operation.accepts and not operation.keyed:
                    self._unwanted.add(operation.accepts)
                refused.append((operation, None, self._unknown(operation)))
            else:
                refused.append((operation, None, self._refusal(operation)))
        return refused

    def _unknown(self, operation: Operation[Any]) -> Unavailable:
        keyless = bool(operation.accepts) and not operation.keyed
        advice = (
            "without an idempotency_key a repeat is a second request"
            if keyless
            else "repeat with the same idempotency_key"
        )
        return Unavailable(
            Reason.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN,
            f"a write to the storage of the queue failed ({self._problem}) and may have taken effect or not; {advice}",
            retry_after_s=None if keyless else self._pause_s,
            possibly_billed=keyless,  # if it is there and is sent, its answer is told to nobody
        )

    def _refusal(self, operation: Operation[Any]) -> CallError:
        if operation.accepts and self._full:
            return full("the disk of the queue is full")
        return Rejected(
            Reason.ERROR_REASON_STORAGE_UNAVAILABLE,
            f"the storage of the queue cannot be used ({self._problem}); nothing was changed",
        )


class _Attempt:
    """A batch on its way to the disk.

    Attributes:
        batch: What is to be done.
        outcomes: Of each, as they will be told after the commit.
        wrote: Numbers of those that changed something.
        doubt: The commit, if nobody knows whether it happened.
    """

    __slots__ = ("batch", "doubt", "outcomes", "wrote")

    def __init__(self, batch: Sequence[Operation[Any]]) -> None:
        self.batch = batch
        self.outcomes: list[Outcome] = []
        self.wrote: set[int] = set()
        self.doubt: Doubt | None = None

    def make(self, session: Session) -> list[Job]:
        """Do all and commit; returns the jobs that changed.

        Raises:
            Exception: One of `FAULTS`; nothing was changed, or there is a doubt.
        """
        try:
            return self._make(session, savepoints=False)
        except HalfDoneError:
            return self._make(session, savepoints=True)

    def _make(self, session: Session, *, savepoints: bool) -> list[Job]:
        self.outcomes.clear()
        self.wrote.clear()
        session.begin()
        try:
            session.room.measure(session.connection)
            for number, operation in enumerate(self.batch):
                try:
                    result = session.step(operation.run, savepoint=savepoints)
                except (*FAULTS, HalfDoneError):
                    raise
                except Exception as error:  # noqa: BLE001  of this operation alone
                    self.outcomes.append((operation, None, error))
                    continue
                self.outcomes.append((operation, result, None))
                if session.wrote:
                    self.wrote.add(number)
            return session.commit()
        except BaseException:
            self.doubt = session.doubt
            with suppress(apsw.Error):
                session.rollback()
            raise
