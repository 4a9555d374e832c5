"""A queue in memory with the semantics of the real one and no durability; passes the same contract."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fakes.spool_rows import CERTAINLY_FREE, MemoryRow, MemoryRows, Reader, bare, cancelled_error, copied, error_of

from edgeclient.core.errors import (
    Blocked,
    CallError,
    Reason,
    Rejected,
)
from edgeclient.core.jobs import (
    RUNNABLE,
    TERMINAL,
    Accepted,
    Attempt,
    Job,
    JobKind,
    JobState,
    NewJob,
    SpoolStats,
    Waiting,
)
from edgeclient.v1 import chat_pb2


class MemorySpool(MemoryRows):
    """An honest `Spool` that forgets everything with the process.

    `broken` makes every method raise as a storage that cannot be used does; `reopened` is what a crash leaves behind.
    """

    def reopened(self) -> "MemorySpool":
        """The queue after a crash of the daemon and its next start."""
        after = MemorySpool(clock=self._clock, epoch=self._epoch + 1, **self._caps)
        after._rows = {job_id: replace(row) for job_id, row in self._rows.items()}
        after._seq, after._revision, after._attempts = self._seq, self._revision, self._attempts
        after._totals = Counter(self._totals)
        for row in after._rows.values():
            if row.job.state is JobState.SENDING:
                after._recover(row)
        return after

    async def accept(self, new: NewJob) -> Accepted:
        self._check()
        known = self._by_key(new.caller, new.idempotency_key)
        if known is not None:
            if known.job.digest != new.digest:
                raise Rejected(Reason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED, "The key was used with other content")
            return Accepted(job=replace(known.job, request=None), duplicate=True)
        self._make_room(new)
        now_ms = self._now_ms()
        is_call = new.kind is JobKind.CALL
        row = MemoryRow(
            job=Job(
                id=new.id,
                caller=new.caller,
                kind=new.kind,
                state=JobState.SENDING if is_call else JobState.QUEUED,
                priority=new.priority,
                seq=next(self._seq),
                revision=0,
                attempt_count=1 if is_call else 0,
                idempotency_key=new.idempotency_key,
                conversation_id=new.conversation_id,
                label=new.label,
                resend_policy=new.resend_policy,
                create_ms=now_ms,
                expire_ms=now_ms + round(new.ttl_s * 1000),
                digest=new.digest,
                request=copied(new.request),
            ),
            attempt_id=f"attempt-{next(self._attempts)}" if is_call else "",
            epoch=self._epoch if is_call else 0,
        )
        self._rows[new.id] = row
        self._totals["accepted"] += 1
        self._change(row)
        return Accepted(job=bare(row.job), duplicate=False, attempt=self._attempt(row) if is_call else None)

    async def answered(self, new: NewJob, response: chat_pb2.ChatResponse) -> None:
        attempt = (await self.accept(new)).attempt
        if attempt is not None:
            await self.succeed(attempt, response)

    async def begin(self, job_id: str) -> Attempt | None:
        self._check()
        row = self._rows.get(job_id)
        if row is None or row.job.kind is not JobKind.JOB or row.job.state not in RUNNABLE:
            return None
        if row.job.expire_ms <= self._now_ms():
            self._expire(row)
            return None
        row.attempt_id, row.epoch = f"attempt-{next(self._attempts)}", self._epoch
        self._change(row, state=JobState.SENDING, attempt_count=row.job.attempt_count + 1, next_attempt_ms=0)
        return self._attempt(row)

    async def peek(self, job_id: str) -> Job | None:
        self._check()
        row = self._rows.get(job_id)
        if row is None or row.job.kind is not JobKind.JOB or row.job.state not in RUNNABLE:
            return None
        return None if row.job.expire_ms <= self._now_ms() else replace(row.job, request=copied(row.job.request))

    async def succeed(self, attempt: Attempt, response: chat_pb2.ChatResponse) -> bool:
        self._check()
        row = self._fenced(attempt)
        if row is None:
            return False
        self._end(row, JobState.SUCCEEDED, None, response=copied(response))
        return True

    async def give(self, job_id: str, response: chat_pb2.ChatResponse) -> bool:
        self._check()
        row = self._rows.get(job_id)
        if row is None or row.job.kind is not JobKind.JOB or row.job.state not in RUNNABLE:
            return False
        if row.job.expire_ms <= self._now_ms():
            self._expire(row)
            return False
        self._end(row, JobState.SUCCEEDED, None, response=copied(response))
        return True

    async def fail(self, attempt: Attempt, error: CallError, *, retry_in_s: float | None, counts: bool) -> Job | None:
        self._check()
        row = self._fenced(attempt)
        if row is None:
            return None
        told = error_of(error, billed_before=row.resent)
        if not counts:
            self._change(row, attempt_count=max(0, row.job.attempt_count - 1), told=False)
        if row.cancel_asked:
            self._totals["uncertain"] += error.possibly_billed
            self._end(row, JobState.CANCELLED, cancelled_error(possibly_billed=told.possibly_billed))
        elif error.possibly_billed or not isinstance(error, (*CERTAINLY_FREE, Blocked, Rejected)):
            self._uncertain(row, told, retry_in_s)
        elif isinstance(error, Rejected):
            self._end(row, JobState.FAILED, told)
        elif retry_in_s is None and not isinstance(error, Blocked):
            self._end(row, JobState.DEAD, told)
        else:
            state = JobState.QUEUED if isinstance(error, Blocked) else JobState.RETRY_WAIT
            self._change(row, state=state, error=told, next_attempt_ms=self._now_ms() + round((retry_in_s or 0) * 1000))
        return bare(row.job)

    async def forget(self, attempt: Attempt) -> None:
        self._check()
        row = self._rows.get(attempt.job.id)
        if row is not None and row.job.kind is JobKind.CALL and row.attempt_id == attempt.attempt_id:
            del self._rows[attempt.job.id]
            self._totals["purged"] += 1

    async def park(self, attempt: Attempt, *, ttl_s: float) -> Job | None:
        self._check()
        row = self._fenced(attempt)
        if row is None or row.job.kind is not JobKind.CALL:
            return None
        row.attempt_id = ""
        expire_ms = self._now_ms() + round(ttl_s * 1000)
        self._change(row, kind=JobKind.JOB, state=JobState.QUEUED, attempt_count=0, expire_ms=expire_ms)
        return bare(row.job)

    async def get(self, caller: str, job_id: str, *, content: bool = True) -> Job | None:
        self._check()
        row = self._own(caller, job_id)
        if row is None or row.job.kind is not JobKind.JOB:
            return None
        return replace(row.job, request=None) if content else bare(row.job)

    async def find(self, caller: str, idempotency_key: str) -> Job | None:
        self._check()
        row = self._by_key(caller, idempotency_key)
        return None if row is None else replace(row.job, request=None)

    async def list_jobs(
        self, caller: str, *, states: Sequence[JobState], before_seq: int | None, limit: int
    ) -> list[Job]:
        self._check()
        jobs = [job for job in self._jobs_of(caller) if not states or job.state in states]
        jobs = [job for job in jobs if before_seq is None or job.seq < before_seq]
        return [bare(job) for job in sorted(jobs, key=lambda job: -job.seq)[:limit]]

    async def changed_since(self, caller: str, revision: int, *, job_ids: Sequence[str], limit: int) -> list[Job]:
        self._check()
        jobs = [job for job in self._jobs_of(caller) if job.revision > revision and (not job_ids or job.id in job_ids)]
        return [replace(job, request=None) for job in sorted(jobs, key=lambda job: job.revision)[:limit]]

    async def cancel(self, caller: str, job_id: str) -> Job | None:
        self._check()
        row = self._own(caller, job_id)
        if row is None or row.job.kind is not JobKind.JOB:
            return None
        if row.job.state is JobState.SENDING:
            row.cancel_asked = True
        elif row.job.state not in TERMINAL:
            billed = row.job.error is not None and row.job.error.possibly_billed
            self._end(row, JobState.CANCELLED, cancelled_error(possibly_billed=billed))
        return replace(row.job, request=None)

    async def erase(self, caller: str, job_id: str) -> None:
        self._check()
        row = self._own(caller, job_id)
        if row is not None:
            self._erase(row)

    async def erase_caller(self, caller: str) -> int:
        self._check()
        rows = [row for row in self._rows.values() if row.job.caller == caller]
        rows = [row for row in rows if row.job.state is not JobState.ERASED]
        for row in rows:
            self._erase(row)
        return len(rows)

    async def waiting(self) -> list[Waiting]:
        self._check()
        jobs = [row.job for row in self._rows.values()]
        jobs = [job for job in jobs if job.kind is JobKind.JOB and job.state in RUNNABLE]
        return [
            Waiting(
                id=job.id,
                caller=job.caller,
                conversation_id=job.conversation_id,
                priority=job.priority,
                seq=job.seq,
                create_ms=job.create_ms,
                expire_ms=job.expire_ms,
                next_attempt_ms=job.next_attempt_ms,
            )
            for job in sorted(jobs, key=lambda job: job.seq)
        ]

    async def sweep(self) -> int:
        self._check()
        now_ms = self._now_ms()
        over = [row for row in self._rows.values() if row.job.state in RUNNABLE and row.job.expire_ms <= now_ms]
        for row in over:
            self._expire(row)
        gone = [job_id for job_id, row in self._rows.items() if 0 < row.job.purge_ms <= now_ms]
        for job_id in gone:
            del self._rows[job_id]
        self._totals["purged"] += len(gone)
        return len(over) + len(gone)

    def stats(self) -> SpoolStats:
        jobs = [row.job for row in self._rows.values()]
        by_state = Counter(job.state for job in jobs)
        own = Counter(job.state for job in jobs if job.kind is JobKind.JOB)
        used_bytes = self._used_bytes()
        return SpoolStats(
            by_state=dict(by_state),
            accepted_total=self._totals["accepted"],
            purged_total=self._totals["purged"],
            uncertain_total=self._totals["uncertain"],
            resent_total=self._totals["resent"],
            bytes_used=used_bytes,
            free_bytes=self._caps["max_bytes"] - used_bytes,
            pending_jobs=own[JobState.QUEUED] + own[JobState.RETRY_WAIT],
            running_jobs=own[JobState.SENDING] + own[JobState.SUBMITTED],
        )

    def changes(self) -> AsyncIterator[Job]:
        reader = Reader()
        self._readers.append(reader)
        return reader
