"""What an operation works with: one transaction, the counts that go with it, and what it changed.

An operation is a function of a session. It may read and write rows and raise; what it raises undoes what it did and
nothing else. Memory follows the disk: counts and keys go back when a transaction or an operation does.

Rows that are read are checked (`rows.py`): one that is not what was written ends the session, and the queue is mended.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.jobs import Job
from edgeclient.spool.contents import Contents
from edgeclient.spool.database import FAULTS, DamagedDatabaseError
from edgeclient.spool.ledger import Ledger, Tally
from edgeclient.spool.mark import Mark, Missing
from edgeclient.spool.room import Room
from edgeclient.spool.rows import Row, sound, to_job
from edgeclient.spool.statements import statements
from edgeclient.spool.ttl_clock import QueueClock

T = TypeVar("T")


class BrokenRuleError(Exception):
    """A statement changed none or several rows where it had to change one: a defect."""


class HalfDoneError(Exception):
    """An operation has written and then failed, and it had no savepoint: the transaction has to be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A commit that failed in a way that leaves open whether it happened.

    Attributes:
        number: It happened if the file has come to this one.
        changed: Rows as it would leave them.
        held, let_go: Attempts that somebody gets with it, or gives up.
    """

    number: int
    changed: tuple[Row, ...]
    held: frozenset[str]
    let_go: frozenset[str]


@dataclass(kw_only=True)
class Session:
    """The open queue. Used in its own thread only.

    Attributes:
        connection: The only one there is.
        config: The limits.
        ledger, tally: The counts.
        clock: Queue time.
        contents: What is secret.
        room: How much there is.
        live: Attempts that somebody of this process holds.
        mark: How far the queue has come.
        missing: What the mark knows of and the file does not; counted already.
        dirty: The transaction has something to commit.
        wrote: The last operation has changed something.
        doubt: Set while a commit is under way, and left behind by one of which nobody knows whether it happened.
        now_ms, wall_ms: Queue time and wall time at the beginning of the transaction.
    """

    connection: apsw.Connection
    config: SpoolConfig
    ledger: Ledger
    tally: Tally
    clock: QueueClock
    contents: Contents
    room: Room
    live: set[str]
    mark: Mark
    missing: Missing | None = None

    def __post_init__(self) -> None:
        self._sql = statements()
        self._moves: list[tuple[Row | None, Row | None]] = []
        self._told: dict[str, tuple[Row, Job]] = {}
        self._held: list[str] = []
        self._let_go: list[str] = []
        self._stored = self.ledger.snapshot()
        self.dirty = False
        self.wrote = False
        self.doubt: Doubt | None = None
        self._look_at_the_clock()

    def run(self, name: str, **values: Any) -> list[Any]:
        """All rows of a statement, as they are.

        Raises:
            DamagedDatabaseError: One holds a text that is none.
        """
        try:
            return self.connection.execute(self._sql[name], values).fetchall()
        except UnicodeDecodeError as error:
            raise _no_text(error) from None

    def each(self, name: str, **values: Any) -> Iterator[Any]:
        """The same, one after the other: for a statement that finds as many as there are jobs."""
        try:
            yield from self.connection.execute(self._sql[name], values)
        except UnicodeDecodeError as error:
            raise _no_text(error) from None

    def rows(self, name: str, **values: Any) -> list[Row]:
        """All rows of a statement on jobs.

        Raises:
            DamagedDatabaseError: One is not what was written.
        """
        return [sound(each) for each in self.run(name, **values)]

    def maybe(self, name: str, **values: Any) -> Row | None:
        """The row of a statement that finds one or none.

        Raises:
            DamagedDatabaseError: It is not what was written.
        """
        found = self.rows(name, **values)
        return found[0] if found else None

    def change(self, name: str, before: Row | None, **values: Any) -> Row:
        """Apply a statement that changes exactly one row, under a new revision.

        Raises:
            BrokenRuleError: It did not.
        """
        self.ledger.last_revision += 1
        changed = self.rows(name, revision=self.ledger.last_revision, **values)
        if len(changed) != 1:
            raise BrokenRuleError(f"the statement {name} changed {len(changed)} rows instead of one")
        self.moved(before, changed[0])
        return changed[0]

    def insert(self, row: Row) -> bool:
        """Store a new row, whose checksum is the database's; False: its caller has used the key before."""
        self.connection.execute(self._sql["insert_job"], row[:-1])
        if not self.connection.changes():
            return False
        self.moved(None, row)
        return True

    def moved(self, before: Row | None, after: Row | None) -> None:
        """A row was made, changed or removed."""
        self.tally.moved(before, after)
        self._moves.append((before, after))
        self.dirty = True

    def hold(self, attempt_id: str) -> None:
        """With this commit somebody gets an attempt."""
        self._held.append(attempt_id)

    def let_go(self, attempt_id: str) -> None:
        """With this commit an attempt is over."""
        self._let_go.append(attempt_id)

    def job(self, row: Row, *, digest: bytes = b"") -> Job:
        """A row in the words of the port."""
        job = to_job(row, wall_offset_ms=self._wall_offset_ms, epoch=self.ledger.epoch, digest=digest)
        if self.connection.in_transaction:  # who only looks, outside of one, may look at a hundred thousand
            self._told[row.id] = row, job
        return job

    def begin(self) -> None:
        """Start a transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self._stored = self.ledger.snapshot()
        self._moves.clear()
        self._told.clear()
        self._held.clear()
        self._let_go.clear()
        self.dirty = False
        self.doubt = None
        self._look_at_the_clock()

    def step(self, operation: Callable[["Session"], T], *, savepoint: bool = True) -> T:
        """Run one operation, all of it or nothing.

        Args:
            operation: What to do.
            savepoint: What it does can be undone by itself. Without, it is cheaper: an operation fails before it
                writes anything, or not at all.

        Raises:
            HalfDoneError: It has failed after it had written, and had no savepoint.
            DamagedDatabaseError: It came upon a row that is not what was written.
        """
        ledger, position, dirty = self.ledger.snapshot(), len(self._moves), self.dirty
        written = self.connection.total_changes()
        if savepoint:
            self.connection.execute("SAVEPOINT step")
        try:
            result = operation(self)
        except BaseException as error:
            self._undo_from(position)
            self.ledger.restore(ledger)
            self.contents.forget_keys()
            self.dirty = dirty
            if (
                isinstance(error, apsw.ConstraintError)
                and getattr(error, "extendedresult", 0) == apsw.SQLITE_CONSTRAINT_TRIGGER
            ):
                raise DamagedDatabaseError(str(error)) from None
            if savepoint and self.connection.in_transaction:  # a full disk may have ended it
                self.connection.execute("ROLLBACK TO step; RELEASE step")
            if not savepoint and not isinstance(error, FAULTS) and self.connection.total_changes() != written:
                raise HalfDoneError from error
            raise
        if savepoint:
            self.connection.execute("RELEASE step")
        self.wrote = self.connection.total_changes() != written
        return result

    def commit(self) -> list[Job]:
        """Make it durable; returns the jobs that changed, each once, as they are now."""
        if not self.dirty:
            self.connection.execute("COMMIT")
            return []
        self.ledger.commit_count += 1
        self.ledger.set_anchor(self.clock.anchor())
        self.run("save_ledger", **self.ledger.values())
        newest = {after.id: after for _, after in self._moves if after is not None}
        self.doubt = Doubt(
            number=self.ledger.commit_count,
            changed=tuple(newest.values()),
            held=frozenset(self._held),
            let_go=frozenset(self._let_go),
        )
        try:
            self.connection.execute("COMMIT")
        except (apsw.FullError, apsw.BusyError):  # it said so before the end of the log was written
            self.doubt = None
            raise
        return self.settled(self.doubt)

    def settled(self, happened: Doubt) -> list[Job]:
        """A commit has happened: memory follows; returns the jobs that changed."""
        self.doubt = None
        self.live.update(happened.held)
        self.live.difference_update(happened.let_go)
        self.mark.advance(self.ledger)
        return [self._job_told(row) for row in happened.changed]

    def checkpoint(self) -> None:
        """Move all from the log to the database, and cut the log; on a full disk without the ballast."""
        try:
            self._checkpoint()
        except apsw.FullError:
            if not self.room.give_way(self.connection):
                raise
            self._checkpoint()

    def _checkpoint(self) -> None:
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def rollback(self) -> None:
        """As if the transaction had never been; the file may or may not agree, see `doubt`."""
        self._undo_from(0)
        self.ledger.restore(self._stored)
        self.contents.forget_keys()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the files, as they are."""
        self.mark.close()
        self.connection.close(force=True)

    def _job_told(self, row: Row) -> Job:
        """A job that this transaction has told already is not put into words twice."""
        told = self._told.get(row.id)
        return told[1] if told is not None and told[0] is row else self.job(row)

    def _look_at_the_clock(self) -> None:
        self.now_ms, self.wall_ms = self.clock.now_ms(), self.clock.wall_ms()
        self._wall_offset_ms = self.wall_ms - self.now_ms

    def _undo_from(self, position: int) -> None:
        while len(self._moves) > position:
            before, after = self._moves.pop()
            self.tally.moved(after, before)


def _no_text(error: UnicodeDecodeError) -> DamagedDatabaseError:
    return DamagedDatabaseError(f"a row of the queue holds a text that is none ({error.reason})")


def as_list(values: Sequence[str] | Sequence[int]) -> str:
    """A list for a statement that reads it with `json_each`."""
    return json.dumps(list(values))
