"""The durable queue on this node's disk: the port `Spool`, on SQLite.

Each method is one operation, run in the queue's thread within a transaction that it shares with whatever else waits
(`writer.py`). What becomes of a job is decided in `policy/job_states.py`; the rows are changed in `accepting`,
`attempts` and `ending`; the file is opened, mended and salvaged in `store`, `recovery` and `salvage`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import CallError, Reason, Rejected
from edgeclient.core.events import Event
from edgeclient.core.identifiers import new_identifier
from edgeclient.core.job_events import SpoolDamaged, SpoolFailed, SpoolFellBack, SpoolRecovered
from edgeclient.core.jobs import Accepted, Attempt, Job, JobKind, JobState, NewJob, SpoolStats, Waiting
from edgeclient.core.ports import Observe
from edgeclient.spool import accepting, attempts, database, ending, reading, upkeep
from edgeclient.spool.attempts import Failure
from edgeclient.spool.changes import Changes
from edgeclient.spool.lock_file import LockFile
from edgeclient.spool.operation import Operate
from edgeclient.spool.salvage import drop_damaged
from edgeclient.spool.sealing import Vault
from edgeclient.spool.session import Doubt, Session
from edgeclient.spool.store import Opened, Store
from edgeclient.spool.ttl_clock import SystemTime, TimeSource
from edgeclient.spool.writer import MOST_PER_COMMIT, Writer
from edgeclient.v1 import chat_pb2

T = TypeVar("T")


class SqliteSpool:
    """Implements `edgeclient.core.jobs.Spool`. Usable between `open` and `close`.

    Args:
        config: The section `spool`; its directory is set.
        vault: How content is sealed.
        observe: Takes facts.
        time_source: What time it is.
        vfs, synchronous: See `Store`; for tests.
        reopen_pause_s: Between tries to open a storage that failed: each looks through the whole file.
        most_per_commit: Most operations in one transaction, for measuring what the group brings.

    Attributes:
        rebooted: When it was opened, it had not been used since the machine started, or that is not known.
    """

    def __init__(
        self,
        config: SpoolConfig,
        *,
        vault: Vault,
        observe: Observe,
        time_source: TimeSource | None = None,
        vfs: str | None = None,
        synchronous: str = "FULL",
        reopen_pause_s: float = 1.0,
        most_per_commit: int = MOST_PER_COMMIT,
    ) -> None:
        self._config = config
        self._observe = observe
        self._store = Store(
            config=config, vault=vault, time_source=time_source or SystemTime(), vfs=vfs, synchronous=synchronous
        )
        self._reopen_pause_s = reopen_pause_s
        self._most_per_commit = most_per_commit
        self._changes = Changes()
        self._live: set[str] = set()
        self.rebooted = True
        self._opened_before = False
        self._lock: LockFile | None = None
        self._writer: Writer | None = None

    async def open(self) -> None:
        """Take the directory, open or make the file, settle what a crash has left.

        Raises:
            SettingError: The directory, the file or the key cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        directory = self._store.directory
        database.prepare_directory(directory)
        try:
            self._lock = LockFile(directory)
        except OSError as error:
            raise database.refused(directory, error.strerror or str(error)) from None
        writer = Writer(
            reopen=self._reopen,
            publish=self._changes.publish,
            failed=self._storage_changed,
            pause_s=self._reopen_pause_s,
            most_per_commit=self._most_per_commit,
        )
        try:
            await writer.start(check=not self._lock.was_clean)
        except (database.DamagedDatabaseError, apsw.Error, OSError) as error:
            self._lock.close(clean=self._lock.was_clean)
            raise database.refused(directory, str(error)) from None
        except SettingError:
            self._lock.close(clean=self._lock.was_clean)
            raise
        self._writer = writer

    async def close(self) -> None:
        """Finish what waits and close the file."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        await writer.close()
        self._changes.close()
        if self._lock is not None:
            with suppress(OSError):
                self._lock.close(clean=True)

    async def accept(self, new: NewJob) -> Accepted:
        """See `Spool.accept`."""
        request = self._request(new)
        attempt_id = _attempt_id() if new.kind is JobKind.CALL else ""

        def untaken(accepted: Accepted) -> Operate | None:
            attempt = accepted.attempt
            return None if attempt is None else lambda session: attempts.forget(session, attempt)

        return await self._thread.do(
            lambda session: accepting.accept(session, new, request, attempt_id),
            accepts=new.id,
            keyed=bool(new.idempotency_key),
            orphaned=untaken if new.kind is JobKind.CALL else None,
        )

    async def answered(self, new: NewJob, response: chat_pb2.ChatResponse) -> None:
        """See `Spool.answered`."""
        request, attempt_id, body = self._request(new), _attempt_id(), response.SerializeToString()
        await self._thread.do(
            lambda session: accepting.answered(session, new, request, attempt_id, body), accepts=new.id, keyed=True
        )

    async def begin(self, job_id: str) -> Attempt | None:
        """See `Spool.begin`."""
        attempt_id = _attempt_id()

        def untaken(attempt: Attempt | None) -> Operate | None:
            return None if attempt is None else lambda session: attempts.take_back(session, attempt)

        return await self._thread.do(lambda session: attempts.begin(session, job_id, attempt_id), orphaned=untaken)

    async def peek(self, job_id: str) -> Job | None:
        """See `Spool.peek`."""
        return await self._thread.do(lambda session: reading.peek(session, job_id))

    async def succeed(self, attempt: Attempt, response: chat_pb2.ChatResponse) -> bool:
        """See `Spool.succeed`."""
        body = response.SerializeToString()
        return await self._thread.do(lambda session: attempts.succeed(session, attempt, body))

    async def give(self, job_id: str, response: chat_pb2.ChatResponse) -> bool:
        """See `Spool.give`."""
        body = response.SerializeToString()
        return await self._thread.do(lambda session: ending.give(session, job_id, body))

    async def fail(self, attempt: Attempt, error: CallError, *, retry_in_s: float | None, counts: bool) -> Job | None:
        """See `Spool.fail`."""
        failure = Failure(error=error, retry_in_s=retry_in_s, counts=counts)
        return await self._thread.do(lambda session: attempts.fail(session, attempt, failure))

    async def forget(self, attempt: Attempt) -> None:
        """See `Spool.forget`."""
        await self._thread.do(lambda session: attempts.forget(session, attempt))

    async def park(self, attempt: Attempt, *, ttl_s: float) -> Job | None:
        """See `Spool.park`."""
        return await self._thread.do(lambda session: attempts.park(session, attempt, ttl_s))

    async def get(self, caller: str, job_id: str, *, content: bool = True) -> Job | None:
        """See `Spool.get`."""
        return await self._thread.do(lambda session: reading.get(session, caller, job_id, content=content))

    async def find(self, caller: str, idempotency_key: str) -> Job | None:
        """See `Spool.find`."""
        return await self._thread.do(lambda session: reading.find(session, caller, idempotency_key))

    async def list_jobs(
        self, caller: str, *, states: Sequence[JobState], before_seq: int | None, limit: int
    ) -> list[Job]:
        """See `Spool.list_jobs`."""
        return await self._thread.do(lambda session: reading.list_jobs(session, caller, states, before_seq, limit))

    async def changed_since(self, caller: str, revision: int, *, job_ids: Sequence[str], limit: int) -> list[Job]:
        """See `Spool.changed_since`."""
        return await self._thread.do(lambda session: reading.changed_since(session, caller, revision, job_ids, limit))

    async def cancel(self, caller: str, job_id: str) -> Job | None:
        """See `Spool.cancel`."""
        return await self._thread.do(lambda session: ending.cancel(session, caller, job_id))

    async def erase(self, caller: str, job_id: str) -> None:
        """See `Spool.erase`."""
        await self._thread.do(lambda session: ending.erase(session, caller, job_id), scrubs=True)
        await self._drop_damaged()

    async def erase_caller(self, caller: str) -> int:
        """See `Spool.erase_caller`."""
        count, last_seq = 0, 0
        while True:
            erased = await self._thread.do(partial(ending.erase_some, caller=caller, after_seq=last_seq), scrubs=True)
            count += len(erased)
            if len(erased) < ending.CHUNK_ROWS:
                await self._drop_damaged()
                return count
            last_seq = erased[-1]

    async def _drop_damaged(self) -> None:
        """What was moved aside after a damage may hold what was erased."""
        await self._thread.do(lambda session: drop_damaged(Path(session.config.directory)))

    async def waiting(self) -> list[Waiting]:
        """See `Spool.waiting`."""
        return await self._thread.do(reading.waiting)

    async def sweep(self) -> int:
        """See `Spool.sweep`."""
        count = 0
        for step in (ending.expire_some, ending.purge_some):
            while changed := await self._thread.do(step):
                count += changed
        await self._thread.do(upkeep.tidy, scrubs=True)
        return count

    async def operate(self, run: Callable[[Session], T], *, scrubs: bool = False) -> T:
        """The result of one more operation in the queue's thread, for what else is kept in its database."""
        return await self._thread.do(run, scrubs=scrubs)

    def stats(self) -> SpoolStats:
        """See `Spool.stats`."""
        return self._thread.stats

    def changes(self) -> AsyncIterator[Job]:
        """See `Spool.changes`."""
        return self._changes.open()

    def _request(self, new: NewJob) -> bytes:
        request = new.request.SerializeToString()
        if len(request) > self._config.max_request_bytes:
            raise Rejected(
                Reason.ERROR_REASON_REQUEST_TOO_LARGE,
                f"the request has {len(request)} bytes, the queue takes {self._config.max_request_bytes} at most",
            )
        return request

    @property
    def _thread(self) -> Writer:
        if self._writer is None:
            raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, "the queue is not open")
        return self._writer

    def _reopen(self, *, check: bool, doubt: Doubt | None) -> Opened:
        opened = self._store.open(live=self._live, again=self._opened_before, check=check, doubt=doubt)
        if not self._opened_before:
            self.rebooted = not opened.session.clock.same_boot
        self._opened_before = True
        salvaged, missing = opened.salvaged, opened.session.missing
        if salvaged is not None:
            self._tell(
                SpoolDamaged(
                    saved=salvaged.saved,
                    lost=salvaged.lost,
                    spoilt=salvaged.spoilt,
                    moved_to=str(salvaged.moved_to),
                )
            )
        if missing is not None:
            self._tell(SpoolFellBack(commits=missing.commits, lost=missing.accepts))
        return opened

    def _tell(self, fact: Event) -> None:
        self._loop.call_soon_threadsafe(self._observe, fact)

    def _storage_changed(self, problem: str) -> None:
        self._observe(SpoolFailed(problem=problem) if problem else SpoolRecovered())


def _attempt_id() -> str:
    return new_identifier(now_ms=0)
