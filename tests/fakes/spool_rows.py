"""The rows of the queue in memory, and what can become of them; nothing here awaits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from edgeclient.core.errors import (
    CallError,
    OutOfTime,
    Reason,
    Rejected,
    Stopping,
    Throttled,
    Unavailable,
)
from edgeclient.core.jobs import (
    TERMINAL,
    Attempt,
    Job,
    JobKind,
    JobState,
    NewJob,
    ResendPolicy,
)
from edgeclient.core.ports import Clock
from edgeclient.v1 import error_pb2

CERTAINLY_FREE = (Unavailable, Throttled, Stopping, OutOfTime)
_CRASHES_UNTIL_DEAD = 2
_RETRYABLE = (JobState.FAILED, JobState.DEAD, JobState.EXPIRED)


@dataclass(slots=True, kw_only=True)
class MemoryRow:
    """A job with its content, and what only the queue knows of it."""

    job: Job
    attempt_id: str = ""
    epoch: int = 0
    cancel_asked: bool = False
    resent: bool = False
    crash_count: int = 0


@dataclass(eq=False, slots=True)
class Reader:
    """The changes that one reader has not taken yet, the newest of each job, in the order of their first."""

    pending: dict[str, Job] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def __aiter__(self) -> AsyncIterator[Job]:
        return self

    async def __anext__(self) -> Job:
        while not self.pending:
            self.ready.clear()
            await self.ready.wait()
        return self.pending.pop(next(iter(self.pending)))

    def put(self, job: Job) -> None:
        self.pending.pop(job.id, None)
        self.pending[job.id] = job
        self.ready.set()


class MemoryRows:
    """What `MemorySpool` stands on."""

    def __init__(
        self,
        *,
        clock: Clock,
        max_jobs: int = 100_000,
        max_bytes: int = 1024**3,
        max_request_bytes: int = 1024**2,
        max_caller_share: float = 1.0,
        retention_s: float = 86_400.0,
        idempotency_window_s: float = 86_400.0,
        keep_failed_requests: bool = True,
        epoch: int = 1,
    ) -> None:
        self.broken = False
        self._clock = clock
        self._caps: dict[str, Any] = {
            "max_jobs": max_jobs,
            "max_bytes": max_bytes,
            "max_request_bytes": max_request_bytes,
            "max_caller_share": max_caller_share,
            "retention_s": retention_s,
            "idempotency_window_s": idempotency_window_s,
            "keep_failed_requests": keep_failed_requests,
        }
        self._epoch = epoch
        self._rows: dict[str, MemoryRow] = {}
        self._attempts = count(1)
        self._seq = count(1)
        self._revision = count(1)
        self._totals: Counter[str] = Counter()
        self._readers: list[Reader] = []

    def _check(self) -> None:
        if self.broken:
            raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, "The storage cannot be used")

    def _now_ms(self) -> int:
        return round(self._clock.wall_s() * 1000)

    def _make_room(self, new: NewJob) -> None:
        size_bytes = new.request.ByteSize()
        if size_bytes > self._caps["max_request_bytes"]:
            raise Rejected(Reason.ERROR_REASON_REQUEST_TOO_LARGE, "The request is too large to be stored")
        held = sum(row.job.caller == new.caller for row in self._rows.values())
        if (
            len(self._rows) >= self._caps["max_jobs"]
            or self._used_bytes() + size_bytes > self._caps["max_bytes"]
            or held >= self._caps["max_caller_share"] * self._caps["max_jobs"]
        ):
            raise Throttled(Reason.ERROR_REASON_QUEUE_FULL, "The queue is full; nothing was stored", retry_after_s=1.0)

    def _used_bytes(self) -> int:
        content = [part for row in self._rows.values() for part in (row.job.request, row.job.response)]
        return sum(part.ByteSize() for part in content if part is not None)

    def _attempt(self, row: MemoryRow) -> Attempt:
        job = replace(row.job, request=copied(row.job.request), response=None)
        return Attempt(job=job, attempt_id=row.attempt_id, epoch=row.epoch)

    def _fenced(self, attempt: Attempt) -> MemoryRow | None:
        row = self._rows.get(attempt.job.id)
        if row is None or row.job.state is not JobState.SENDING:
            return None
        held = (row.attempt_id, row.epoch) == (attempt.attempt_id, attempt.epoch)
        return row if held and attempt.epoch == self._epoch else None

    def _own(self, caller: str, job_id: str) -> MemoryRow | None:
        row = self._rows.get(job_id)
        return row if row is not None and row.job.caller == caller else None

    def _by_key(self, caller: str, key: str) -> MemoryRow | None:
        oldest_ms = self._now_ms() - round(self._caps["idempotency_window_s"] * 1000)
        for row in self._rows.values():
            named = key and row.job.caller == caller and row.job.idempotency_key == key
            if named and (row.job.state not in TERMINAL or row.job.create_ms > oldest_ms):
                return row
        return None

    def _jobs_of(self, caller: str) -> list[Job]:
        rows = [row for row in self._rows.values() if row.job.caller == caller and row.job.kind is JobKind.JOB]
        return [row.job for row in rows if row.job.state is not JobState.ERASED]

    def _recover(self, row: MemoryRow) -> None:
        row.crash_count += 1
        told = error_pb2.Error(
            reason=Reason.ERROR_REASON_OUTCOME_UNKNOWN, message="The node stopped in mid-attempt", possibly_billed=True
        )
        if row.cancel_asked:
            self._end(row, JobState.CANCELLED, cancelled_error(possibly_billed=True))
        elif row.crash_count >= _CRASHES_UNTIL_DEAD:
            self._end(row, JobState.DEAD, told)
        else:
            self._uncertain(row, told, 0.0)

    def _uncertain(self, row: MemoryRow, told: error_pb2.Error, retry_in_s: float | None) -> None:
        self._totals["uncertain"] += 1
        once = row.job.kind is JobKind.JOB and row.job.resend_policy is ResendPolicy.RESEND_ONCE
        if once and not row.resent and retry_in_s is not None:
            row.resent = True
            self._totals["resent"] += 1
            at_ms = self._now_ms() + round(retry_in_s * 1000)
            self._change(row, state=JobState.RETRY_WAIT, error=told, next_attempt_ms=at_ms)
        else:
            self._end(row, JobState.UNCERTAIN, told)

    def _expire(self, row: MemoryRow) -> None:
        message = "Its ttl passed before it succeeded"
        if row.job.error is not None:
            message += f" (the last attempt failed: {row.job.error.message})"
        told = error_pb2.Error(reason=Reason.ERROR_REASON_DEADLINE, message=message)
        self._end(row, JobState.EXPIRED, told)

    def _erase(self, row: MemoryRow) -> None:
        row.attempt_id = ""
        if row.job.state is not JobState.ERASED:
            self._end(row, JobState.ERASED, None, label="", idempotency_key="", conversation_id="", digest=b"")

    def _end(self, row: MemoryRow, state: JobState, error: error_pb2.Error | None, **content: Any) -> None:
        now_ms = self._now_ms()
        kept_s = self._caps["retention_s" if row.job.kind is JobKind.JOB else "idempotency_window_s"]
        facts: dict[str, Any] = {"response": None, **content}
        kept = self._caps["keep_failed_requests"] and state in _RETRYABLE
        self._change(
            row,
            state=state,
            error=error,
            request=row.job.request if kept or state not in TERMINAL else None,
            next_attempt_ms=0,
            end_ms=now_ms,
            purge_ms=now_ms + round(kept_s * 1000),
            **facts,
        )

    def _change(self, row: MemoryRow, *, told: bool = True, **facts: Any) -> None:
        row.job = replace(row.job, revision=next(self._revision), **facts)
        if told:
            for reader in self._readers:
                reader.put(bare(row.job))


def bare(job: Job) -> Job:
    return replace(job, request=None, response=None)


def copied(message: Any) -> Any:
    if message is None:
        return None
    make: Callable[[], Any] = type(message)
    made = make()
    made.CopyFrom(message)
    return made


def error_of(error: CallError, *, billed_before: bool) -> error_pb2.Error:
    billed = error.possibly_billed or billed_before
    told = error_pb2.Error(reason=error.reason, message=error.message, possibly_billed=billed)
    if error.violations:
        told.field = error.violations[0].field
    if error.retry_after_s is not None:
        told.retry_delay.FromMilliseconds(round(error.retry_after_s * 1000))
    return told


def cancelled_error(*, possibly_billed: bool) -> error_pb2.Error:
    return error_pb2.Error(
        reason=Reason.ERROR_REASON_CANCELLED, message="Cancelled by its caller", possibly_billed=possibly_billed
    )
