"""The queue without a daemon: what an operator sees and may do while nobody else has the files.

It takes the daemon's own lock, so the two never meet. It recovers nothing and starts no epoch: an attempt that a crash
left in SENDING stays so until the daemon settles it. What it changes goes through the same operations as the daemon's,
in one transaction each, committed with an fsync.

Only `retry` is its own: to send again what may be billed again is a decision of a person. One that is UNCERTAIN goes
back into the queue. One that has ended stays what it is, for it was promised that a job ends once; what it asked is
handed over to a new job, and with it the request, so that no job is retried twice by mistake.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import CallError
from edgeclient.core.jobs import Job, JobKind, JobState, SpoolStats
from edgeclient.spool import ending
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.offline_files import QueueUnusableError, damaged, locked, offline_session, operator_statements
from edgeclient.spool.retrying import requeued, resubmitted
from edgeclient.spool.rows import Row, sound
from edgeclient.spool.sealing import SealError, Vault
from edgeclient.spool.session import Session, as_list
from edgeclient.spool.ttl_clock import SystemTime, TimeSource
from edgeclient.spool.vault import KeyedVault
from edgeclient.v1 import chat_pb2, error_pb2

T = TypeVar("T")

RETRYABLE = (JobState.UNCERTAIN, JobState.FAILED, JobState.DEAD, JobState.EXPIRED)
_PAGE_ROWS = 200
_END_OF_SEQ = 1 << 62


class NotRetryableError(Exception):
    """This job cannot be sent again; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A job that is sent again.

    Attributes:
        job_id: Which one.
        was: The state that it was in, and still is if it had ended.
        job: What is sent: the job itself if its outcome was not known, else a new one.
    """

    job_id: str
    was: JobState
    job: Job


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
        wanted = as_list([JobState[state.upper()].value for state in states] or [state.value for state in JobState])
        left, before_seq = limit or _END_OF_SEQ, _END_OF_SEQ
        while left > 0:
            rows = [
                sound(each)
                for each in self.session.connection.execute(
                    operator_statements()["operator_jobs"],
                    {"before_seq": before_seq, "states": wanted, "caller": caller, "limit": min(left, _PAGE_ROWS)},
                )
            ]
            if not rows:
                return
            yield from (self._job(row, content=content) for row in rows)
            left, before_seq = left - len(rows), rows[-1].seq

    def job(self, job_id: str, *, content: bool = False) -> Job | None:
        """One job of whatever caller."""
        row = self.session.maybe("job_by_id", id=job_id)
        return None if row is None else self._job(row, content=content)

    def cancel(self, job_id: str) -> Job | None:
        """CANCELLED, or asked for if an attempt was under way when the daemon died."""
        row = self.session.maybe("job_by_id", id=job_id)
        return None if row is None else self._changed(lambda session: ending.cancel(session, row.caller, job_id))

    def retryable(self, states: Sequence[str]) -> tuple[list[str], int]:
        """Jobs that can be sent again, oldest first, and how many cannot because their request is gone.

        Args:
            states: Names of states in which to look for them, in any case.
        """
        ids, count = [], 0
        for job in self.jobs(states=states, content=True):
            if job.kind is JobKind.JOB and job.state in RETRYABLE:
                ids += [job.id] if job.request is not None else []
                count += 1
        return ids[::-1], count - len(ids)

    def retry(self, job_id: str) -> Retried | None:
        """Send a job again, with a fresh ttl and fresh attempts; see the module. It may be billed once more.

        Raises:
            NotRetryableError: Its state forbids it, its request is not there any more, or there is no room.
        """
        row = self.session.maybe("job_by_id", id=job_id)
        if row is None:
            return None
        state = JobState(row.state)
        if row.kind != JobKind.JOB.value:
            raise NotRetryableError(f"job {job_id} is a call, which only its device can repeat")
        if state not in RETRYABLE:
            raise NotRetryableError(f"job {job_id} is {state.name}, not UNCERTAIN, FAILED, DEAD or EXPIRED")
        request = self._request(row)
        if request is None:
            raise NotRetryableError(f"job {job_id} is {state.name} and its request is not kept any more")
        again = requeued if state is JobState.UNCERTAIN else partial(resubmitted, request=request)
        try:
            job = self._changed(lambda session: self._job(again(session, row), content=False))
        except CallError as error:
            raise NotRetryableError(f"job {job_id} cannot be retried now: {error.message}") from None
        return Retried(job_id=job_id, was=state, job=job)

    def erase(self, job_id: str) -> bool:
        """Destroy the content; False if there is no such job."""
        row = self.session.maybe("job_by_id", id=job_id)
        if row is None:
            return False
        self._changed(lambda session: ending.erase(session, row.caller, job_id))
        self._scrub()
        return True

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
        self.vault = successor
        return count

    def stats(self) -> SpoolStats:
        """The counts."""
        self.session.room.measure(self.session.connection)
        return self.session.tally.stats(self.session.ledger, free_bytes=self.session.room.free_bytes)

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

    def _job(self, row: Row, *, content: bool) -> Job:
        job = self.session.job(row)
        if job.state is JobState.SUBMITTED:
            job = replace(job, batch_id=next((found for (found,) in self.session.run("batch_of", seq=row.seq)), ""))
        error = self._part(row, Part.ERROR) if row.state != JobState.SUCCEEDED.value else None
        if error is not None:
            job = replace(job, error=error_pb2.Error.FromString(error))
        if not content:
            return job
        response = self._part(row, Part.RESPONSE)
        return replace(
            job,
            request=self._request(row),
            response=None if response is None else chat_pb2.ChatResponse.FromString(response),
        )

    def _request(self, row: Row) -> chat_pb2.ChatRequest | None:
        body = self._part(row, Part.REQUEST)
        return None if body is None else chat_pb2.ChatRequest.FromString(body)

    def _part(self, row: Row, part: Part) -> bytes | None:
        """Content that does not check is as good as gone; `verified` tells of it."""
        try:
            return self.session.contents.get(row.seq, row.id, row.caller, part)
        except DamagedError:
            return None
