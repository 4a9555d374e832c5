"""What an operation works with: one transaction, the counts that go with it, and what it changed.

An operation is a function of a session. It may read and write rows and raise; what it raises undoes what it did and
nothing else. Memory follows the disk: counts and keys go back when a transaction or an operation does.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.jobs import Job
from edgeclient.spool.contents import Contents
from edgeclient.spool.ledger import Ledger, Tally
from edgeclient.spool.room import Room
from edgeclient.spool.rows import Row, to_job
from edgeclient.spool.statements import statements
from edgeclient.spool.ttl_clock import QueueClock

T = TypeVar("T")


class BrokenRuleError(Exception):
    """A statement changed none or several rows where it had to change one: a defect."""


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
    """

    connection: apsw.Connection
    config: SpoolConfig
    ledger: Ledger
    tally: Tally
    clock: QueueClock
    contents: Contents
    room: Room
    live: set[str]

    def __post_init__(self) -> None:
        self._sql = statements()
        self._moves: list[tuple[Row | None, Row | None]] = []
        self._held: list[str] = []
        self._let_go: list[str] = []
        self._stored = self.ledger.values()
        self.dirty = False

    def run(self, name: str, **values: Any) -> list[Any]:
        """All rows of a statement, as they are."""
        return self.connection.execute(self._sql[name], values).fetchall()

    def rows(self, name: str, **values: Any) -> list[Row]:
        """All rows of a statement on jobs."""
        return [Row._make(each) for each in self.connection.execute(self._sql[name], values)]

    def maybe(self, name: str, **values: Any) -> Row | None:
        """The row of a statement that finds one or none."""
        found = self.connection.execute(self._sql[name], values).fetchone()
        return None if found is None else Row._make(found)

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

    def job(self, row: Row) -> Job:
        """A row in the words of the port."""
        return to_job(row, self.clock, epoch=self.ledger.epoch)

    def begin(self) -> None:
        """Start a transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self._stored = self.ledger.values()
        self._moves.clear()
        self._held.clear()
        self._let_go.clear()
        self.dirty = False

    def step(self, operation: Callable[["Session"], T]) -> T:
        """Run one operation, all of it or nothing."""
        ledger, position, dirty = self.ledger.values(), len(self._moves), self.dirty
        self.connection.execute("SAVEPOINT step")
        try:
            result = operation(self)
        except BaseException:
            self._undo_from(position)
            self.ledger.restore(ledger)
            self.contents.forget_keys()
            self.dirty = dirty
            if self.connection.in_transaction:  # a full disk may have ended it
                self.connection.execute("ROLLBACK TO step; RELEASE step")
            raise
        self.connection.execute("RELEASE step")
        return result

    def commit(self) -> list[Job]:
        """Make it durable; returns the jobs that changed, each once, as they are now."""
        if not self.dirty:
            self.connection.execute("COMMIT")
            return []
        self.ledger.commit_count += 1
        self.ledger.set_anchor(self.clock.anchor())
        self.run("save_ledger", **self.ledger.values())
        self.connection.execute("COMMIT")
        self.live.update(self._held)
        self.live.difference_update(self._let_go)
        newest = {after.id: after for _, after in self._moves if after is not None}
        return [self.job(row) for row in newest.values()]

    def rollback(self) -> None:
        """As if the transaction had never been; the file may or may not agree, see the writer."""
        self._undo_from(0)
        self.ledger.restore(self._stored)
        self.contents.forget_keys()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _undo_from(self, position: int) -> None:
        while len(self._moves) > position:
            before, after = self._moves.pop()
            self.tally.moved(after, before)


def as_list(values: Sequence[str] | Sequence[int]) -> str:
    """A list for a statement that reads it with `json_each`."""
    return json.dumps(list(values))
