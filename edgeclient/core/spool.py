"""The port of the durable queue: what it promises to those who use it, whoever keeps it."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from edgeclient.core.errors import CallError
from edgeclient.core.jobs import Accepted, Attempt, Job, JobState, NewJob, SpoolStats, Waiting
from edgeclient.v1 import chat_pb2


class Spool(Protocol):
    """The durable queue. Every method that changes something returns after its commit with fsync.

    Raises, from all methods: `Rejected(STORAGE_UNAVAILABLE)` if the storage cannot be used; nothing was changed then.
    From those that change something: `Unavailable(STORAGE_OUTCOME_UNKNOWN)` if a write failed and nobody can say
    whether it happened; to do it again is safe, except to accept what has no key.
    """

    async def accept(self, new: NewJob) -> Accepted:
        """Store, or find the one with the same caller and key.

        Raises:
            Rejected: IDEMPOTENCY_KEY_REUSED, the key was used with other content; REQUEST_TOO_LARGE.
            Throttled: QUEUE_FULL, a cap on rows, bytes or the caller's share is reached. Nothing was stored.
        """
        ...

    async def answered(self, new: NewJob, response: chat_pb2.ChatResponse) -> None:
        """Store a CALL together with its answer, for which nothing was sent; nothing is changed if its key is known.

        Raises:
            CallError: As `accept`.
        """
        ...

    async def begin(self, job_id: str) -> Attempt | None:
        """Commit the intent to send; None if the job is not runnable any more (expired ones are moved to EXPIRED)."""
        ...

    async def peek(self, job_id: str) -> Job | None:
        """A job that `begin` would begin, with its request, without beginning it; None: it would not."""
        ...

    async def succeed(self, attempt: Attempt, response: chat_pb2.ChatResponse) -> bool:
        """Commit the whole answer. False if the fence did not hold; then nothing was changed."""
        ...

    async def give(self, job_id: str, response: chat_pb2.ChatResponse) -> bool:
        """Commit an answer that was there already, for which nothing was sent: no attempt is counted.

        False: `begin` would not begin the job any more (an expired one is moved to EXPIRED).
        """
        ...

    async def fail(self, attempt: Attempt, error: CallError, *, retry_in_s: float | None, counts: bool) -> Job | None:
        """Commit that an attempt failed: the table decides the state from the class of the error.

        Args:
            attempt: Which one.
            error: Why. Unavailable, Throttled, Stopping: RETRY_WAIT. Rejected: FAILED. Blocked: back to QUEUED.
                Uncertain, any other, or possibly_billed: UNCERTAIN, and from there by the resend policy to RETRY_WAIT,
                or it stays. A job whose cancellation was asked for meanwhile: CANCELLED.
            retry_in_s: Earliest next attempt, also of one that goes back to QUEUED; None: attempts are used up, so it
                is DEAD instead of in RETRY_WAIT, and not sent again whatever the resend policy says.
            counts: The attempt counts; False while the uplink is offline.

        Returns:
            The job after it; None if the fence did not hold.
        """
        ...

    async def forget(self, attempt: Attempt) -> None:
        """Remove a CALL that failed: failures are not recorded, a repeat of its key is a new request."""
        ...

    async def park(self, attempt: Attempt, *, ttl_s: float) -> Job | None:
        """Turn a CALL that was certainly not sent into a QUEUED JOB under its id."""
        ...

    async def get(self, caller: str, job_id: str, *, content: bool = True) -> Job | None:
        """A job of this caller, with its response if `content`; None for another's and for unknown ones alike.

        A CALL that has SUCCEEDED is one, too: SubmitJob with its key returns it, and its id has to be good afterwards.
        """
        ...

    async def find(self, caller: str, idempotency_key: str) -> Job | None:
        """The row with this key, with its response and digest."""
        ...

    async def list_jobs(
        self, caller: str, *, states: Sequence[JobState], before_seq: int | None, limit: int
    ) -> list[Job]:
        """Jobs of kind JOB, newest first, without content."""
        ...

    async def changed_since(self, caller: str, revision: int, *, job_ids: Sequence[str], limit: int) -> list[Job]:
        """Jobs of kind JOB whose revision is above `revision`, oldest change first, with their responses."""
        ...

    async def cancel(self, caller: str, job_id: str) -> Job | None:
        """CANCELLED if it was runnable or uncertain; None for another's and for unknown ones.

        A SENDING one is left to its attempt, and the wish is committed: whatever becomes of that attempt but success,
        a crash included, it is CANCELLED then and not sent again; its error tells whether it was perhaps billed.
        Who has cancelled it and finds it in SENDING ends the attempt early with `Drainer.cancel`.
        """
        ...

    async def erase(self, caller: str, job_id: str) -> None:
        """Cancel if needed and destroy all content; a tombstone stays. Unknown ids are no error."""
        ...

    async def erase_caller(self, caller: str) -> int:
        """Erase all of a caller, and the key its content was encrypted with; returns how many."""
        ...

    async def waiting(self) -> list[Waiting]:
        """All runnable jobs in order of acceptance, for the drainer's start."""
        ...

    async def sweep(self) -> int:
        """Move to EXPIRED what is over and purge what has been kept long enough; returns how many rows changed."""
        ...

    def stats(self) -> SpoolStats:
        """Counts, from memory."""
        ...

    def changes(self) -> AsyncIterator[Job]:
        """Every committed change of every job from this call on, without content; slow readers get the newest only."""
        ...


def content_digest(request: chat_pb2.ChatRequest) -> bytes:
    """Hash of every field that shapes the answer: all but delivery and order (see ChatRequest.idempotency_key)."""
    shaping = chat_pb2.ChatRequest()
    shaping.CopyFrom(request)
    for name in DELIVERY:
        shaping.ClearField(name)  # type: ignore[arg-type]  # the stub wants literals
    return hashlib.sha256(shaping.SerializeToString(deterministic=True)).digest()


DELIVERY = (
    "idempotency_key",
    "priority",
    "cache_policy",
    "offline_policy",
    "timeout",
    "max_cache_age",
    "stream_flush_interval",
    "label",
    "conversation_id",
    "restart_stream",
)
