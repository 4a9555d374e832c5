"""What the queue counts: a part that is stored with every commit, and a part that is counted anew at each start."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from edgeclient.core.jobs import JobKind, JobState, SpoolStats
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.rows import Row, checksum
from edgeclient.spool.ttl_clock import Anchor

_PENDING = (JobState.QUEUED, JobState.RETRY_WAIT)
_RUNNING = (JobState.SENDING, JobState.SUBMITTED)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The stored part; see the table `ledger`."""

    scheme: str
    epoch: int = 0
    commit_count: int = 0
    last_seq: int = 0
    last_revision: int = 0
    accepted_total: int = 0
    purged_total: int = 0
    uncertain_total: int = 0
    resent_total: int = 0
    lost_total: int = 0
    queue_ms: int = 0
    boot_id: str = ""
    boot_ms: int = 0
    wall_ms: int = 0
    queue_id: str = ""

    def anchor(self) -> Anchor:
        """The stored moment."""
        return Anchor(queue_ms=self.queue_ms, boot_id=self.boot_id, boot_ms=self.boot_ms, wall_ms=self.wall_ms)

    def set_anchor(self, anchor: Anchor) -> None:
        """The moment to store."""
        self.queue_ms = anchor.queue_ms
        self.boot_id = anchor.boot_id
        self.boot_ms = anchor.boot_ms
        self.wall_ms = anchor.wall_ms

    def values(self) -> dict[str, int | str]:
        """All of it by name, to be stored."""
        return dict(zip(_NAMES, _all(self), strict=True))

    def snapshot(self) -> tuple[int | str, ...]:
        """All of it, for `restore`."""
        snapshot: tuple[int | str, ...] = _all(self)
        return snapshot

    def restore(self, snapshot: tuple[int | str, ...]) -> None:
        """As it was."""
        for name, value in zip(_NAMES, snapshot, strict=True):
            setattr(self, name, value)


_NAMES = tuple(each.name for each in fields(Ledger))
_all = attrgetter(*_NAMES)


def ledger_of(found: Sequence[Any]) -> Ledger:
    """The ledger of its columns, the checksum the last of them.

    Raises:
        DamagedDatabaseError: They are not what was written.
    """
    *values, stored = found
    if checksum(values) != stored:
        raise DamagedDatabaseError("the counts of the queue are not what was written")
    return Ledger(**dict(zip(_NAMES, values, strict=True)))


@dataclass(slots=True)
class Tally:
    """The counted part.

    Attributes:
        by_kind: Rows by kind and state.
        by_caller: Rows by caller.
        content_bytes: Size of all content.
    """

    by_kind: Counter[tuple[int, int]] = field(default_factory=Counter)
    by_caller: Counter[str] = field(default_factory=Counter)
    content_bytes: int = 0

    @property
    def rows(self) -> int:
        """Rows in all."""
        return self.by_kind.total()

    def moved(self, before: Row | None, after: Row | None) -> None:
        """A row was made, changed or removed. Called with both exchanged, it takes that back."""
        if before is not None:
            self.by_kind[before.kind, before.state] -= 1
            self.content_bytes -= before.size_bytes
            if after is None:
                self._fewer(before.caller)
        if after is not None:
            self.by_kind[after.kind, after.state] += 1
            self.content_bytes += after.size_bytes
            if before is None:
                self.by_caller[after.caller] += 1

    def stats(self, ledger: Ledger, *, free_bytes: int) -> SpoolStats:
        """The counts of the port."""
        by_state: Counter[JobState] = Counter()
        for (_, state), count in self.by_kind.items():
            by_state[JobState(state)] += count
        return SpoolStats(
            by_state={state: by_state[state] for state in JobState},
            accepted_total=ledger.accepted_total,
            purged_total=ledger.purged_total,
            uncertain_total=ledger.uncertain_total,
            resent_total=ledger.resent_total,
            lost_total=ledger.lost_total,
            bytes_used=self.content_bytes,
            free_bytes=free_bytes,
            pending_jobs=sum(self.by_kind[JobKind.JOB.value, state.value] for state in _PENDING),
            running_jobs=sum(self.by_kind[JobKind.JOB.value, state.value] for state in _RUNNING),
        )

    def _fewer(self, caller: str) -> None:
        self.by_caller[caller] -= 1
        if not self.by_caller[caller]:
            del self.by_caller[caller]


def counted(rows: Iterable[Row]) -> Tally:
    """The tally of these rows."""
    tally = Tally()
    for row in rows:
        tally.moved(None, row)
    return tally
