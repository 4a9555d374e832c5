"""The queue without a daemon: what an operator sees and may do while nobody else has the files.

It takes the daemon's own lock, so the two never meet. It recovers nothing and starts no epoch: an attempt that a crash
left in SENDING stays so until the daemon settles it. What it changes goes through the same operations as the daemon's,
in one transaction each, committed with an fsync.

What the operations are stands in `desk.py`, which the daemon has as well.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.jobs import Job, SpoolStats
from edgeclient.spool import ending
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.desk import END_OF_SEQ, PAGE_ROWS, Desk, Retried
from edgeclient.spool.offline_files import QueueUnusableError, damaged, locked, offline_session, operator_statements
from edgeclient.spool.sealing import SealError, Vault
from edgeclient.spool.session import Session
from edgeclient.spool.ttl_clock import SystemTime, TimeSource
from edgeclient.spool.vault import KeyedVault

T = TypeVar("T")


class OperatorQueue:
    """The files of a queue, held for as long as the context lasts.

    Args:
        directory: The folder of the queue.
        vault: The one that the daemon has.
        config: Limits and retention, as for the daemon.
        time_source: What time it is.

    Raises:
        QueueInUseError: Somebody else has it.
        QueueUnusableError: There is none, or it is damaged.
        SettingError: The vault is not the queue's.
    """

    def __init__(
        self, directory: Path, *, vault: Vault, config: SpoolConfig, time_source: TimeSource | None = None
    ) -> None:
        self._directory = directory
        self._lock = locked(directory)
        try:
            self.session = offline_session(directory, vault, config, time_source or SystemTime())
        except BaseException:
            self._lock.close(clean=self._lock.was_clean)
            raise
        self.vault = vault
        self.desk = Desk(self.session)

    def __enter__(self) -> Self:
        """The queue itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others use it. Whether its last daemon ended properly is still for the next one to see.

        Raises:
            QueueUnusableError: It is damaged, which was met with on the way.
        """
        self.session.close()
        self._lock.close(clean=self._lock.was_clean)
        if isinstance(error, DamagedDatabaseError):
            raise QueueUnusableError(damaged(self._directory, error)) from None

    def jobs(
        self, *, states: Sequence[str] = (), caller: str = "", limit: int = 0, content: bool = False
    ) -> Iterator[Job]:
        """Jobs and live calls, newest first.

        Args:
            states: Names of states, in any case; empty: all.
            caller: Only of this one; "": all.
            limit: At most so many; 0: all.
            content: With request and response, as far as they are kept and sound.
        """
        left, before_seq = limit or END_OF_SEQ, END_OF_SEQ
        while left > 0:
            jobs = self.desk.page(
                states=states, caller=caller, before_seq=before_seq, limit=min(left, PAGE_ROWS), content=content
            )
            if not jobs:
                return
            yield from jobs
            left, before_seq = left - len(jobs), jobs[-1].seq

    def job(self, job_id: str, *, content: bool = False) -> Job | None:
        """See `Desk.job`."""
        return self.desk.job(job_id, content=content)

    def cancel(self, job_id: str) -> Job | None:
        """See `Desk.cancel`."""
        return self._changed(lambda _: self.desk.cancel(job_id))

    def retryable(self, states: Sequence[str]) -> tuple[list[str], int]:
        """Jobs that can be sent again, oldest first, and how many cannot because their request is gone."""
        ids: list[str] = []
        gone, before_seq = 0, END_OF_SEQ
        while before_seq:
            some, some_gone, before_seq = self.desk.retryable(states, before_seq=before_seq)
            ids += some
            gone += some_gone
        return ids[::-1], gone

    def retry(self, job_id: str) -> Retried | None:
        """See `Desk.retry`."""
        return self._changed(lambda _: self.desk.retry(job_id))

    def erase(self, job_id: str) -> bool:
        """Destroy the content; False if there is no such job."""
        is_known = self._changed(lambda _: self.desk.erase(job_id))
        self._scrub()
        return is_known

    def erase_caller(self, caller: str) -> int:
        """Destroy all content of a caller and its key; returns how many jobs that were."""
        seqs, count = [-1], 0
        while seqs:
            erased = self._changed(partial(ending.erase_some, caller=caller, after_seq=seqs[-1]))
            count += len(erased)
            seqs = erased if len(erased) == ending.CHUNK_ROWS else []
        self._scrub()
        return count

    def rekey(self, successor: KeyedVault) -> int:
        """Wrap every caller's key with another node key, all or none; returns how many. Content stays as it is.

        Raises:
            QueueUnusableError: The queue is not encrypted, or one of its keys is damaged.
        """
        old = self.vault
        if not isinstance(old, KeyedVault):
            raise QueueUnusableError("the queue is not encrypted, so there is no key to change")
        sql, connection = operator_statements(), self.session.connection

        def rewrap(session: Session) -> int:
            keys: list[Any] = connection.execute(sql["operator_caller_keys"]).fetchall()
            for caller, wrapped in keys:
                connection.execute(
                    sql["operator_rewrap"], {"caller": caller, "wrapped": old.rewrap(wrapped, successor)}
                )
            connection.execute(sql["operator_scheme"], {"scheme": successor.scheme})
            session.dirty = True
            return len(keys)

        try:
            count = self._changed(rewrap)
        except SealError as error:
            raise QueueUnusableError(str(error)) from None
        self._scrub()
        self.vault = self.session.contents.vault = successor
        return count

    def stats(self) -> SpoolStats:
        """The counts."""
        return self.desk.stats()

    def _changed(self, operation: Callable[[Session], T]) -> T:
        """One operation in one transaction."""
        session = self.session
        session.begin()
        try:
            result = session.step(operation)
            session.commit()
        except BaseException:
            session.rollback()
            raise
        return result

    def _scrub(self) -> None:
        """What was deleted is overwritten in the database already; now the log goes too."""
        self.session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
