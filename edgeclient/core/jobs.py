"""Durable requests: what a job is, what can become of it, and what the queue promises to those who use it.

*Accepted* is not a state: it is the commit. When `Spool.accept` returns, the row is on the disk with an fsync, or the
storage lied. A *call* is a live Chat with an idempotency key: the same kind of row, written for the same reasons, but
run by the caller's own RPC and not by the drainer.
"""

from dataclasses import dataclass, field
from enum import Enum

from edgeclient.v1 import chat_pb2, error_pb2


class JobState(Enum):
    """Where a job stands. The value is what is stored; never renumber."""

    QUEUED = 1
    """Stored; nothing was sent."""
    SENDING = 2
    """An attempt may be under way: committed before its first byte leaves."""
    RETRY_WAIT = 3
    """The last attempt was certainly not billed; another one follows."""
    SUBMITTED = 4
    """A batch of the provider holds it, or one whose order may be under way will: collect, never send again."""
    UNCERTAIN = 5
    """The last attempt was perhaps billed, and nobody knows what became of it."""
    SUCCEEDED = 6
    FAILED = 7
    EXPIRED = 8
    CANCELLED = 9
    DEAD = 10
    """Attempts are used up, or the job has crashed the daemon twice."""
    ERASED = 11
    """A tombstone without content."""


TERMINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.EXPIRED,
        JobState.CANCELLED,
        JobState.DEAD,
        JobState.ERASED,
    }
)
RUNNABLE = frozenset({JobState.QUEUED, JobState.RETRY_WAIT})


class JobKind(Enum):
    """Who runs it."""

    JOB = 1
    """The drainer."""
    CALL = 2
    """The caller's own RPC; not listed as a job."""


class ResendPolicy(Enum):
    """What to do about UNCERTAIN."""

    HOLD = 1
    """Never send again by itself."""
    RESEND_ONCE = 2
    """Send once more at most; may be billed twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is to be accepted.

    Attributes:
        id: Identifier, made by the node.
        caller: Who asks; the partition of ids, keys and encryption.
        kind: Who will run it. A CALL is accepted in SENDING, because its turn has come; a JOB in QUEUED.
        request: The request as validated.
        digest: Hash of its content, see `content_digest`; tells a repeat from another request with the same key.
        idempotency_key: "" for none.
        conversation_id: "" for none; jobs of one conversation run one after the other, in order of acceptance.
        priority: v1 Priority number, never UNSPECIFIED.
        label: The caller's own text.
        resend_policy: What to do if an attempt's outcome is not known.
        ttl_s: How long attempts make sense.
        deferred: It waits for the provider's half-price interfaces.
    """

    id: str
    caller: str
    kind: JobKind
    request: chat_pb2.ChatRequest
    digest: bytes
    idempotency_key: str = ""
    conversation_id: str = ""
    priority: int = chat_pb2.PRIORITY_NORMAL
    label: str = ""
    resend_policy: ResendPolicy = ResendPolicy.HOLD
    ttl_s: float = 86_400.0
    deferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row, as far as it was asked for. Times are milliseconds since the Unix epoch; 0: does not apply.

    Attributes:
        id, caller, kind, state, priority, idempotency_key, conversation_id, label, resend_policy: As accepted.
        seq: Order of acceptance on this node.
        revision: Grows with every change of any job of the node.
        attempt_count: Attempts begun.
        create_ms, expire_ms, next_attempt_ms, end_ms, purge_ms: When.
        digest: Content hash.
        request: Only where asked for and not yet dropped.
        response: Only with SUCCEEDED, where asked for.
        error: Why it ended, or why the last attempt failed. `code` is left 0: the ingress knows codes.
        batch_id: The provider's id of the batch that holds it, for operators only; "" if there is none or not yet.
    """

    id: str
    caller: str
    kind: JobKind
    state: JobState
    priority: int
    seq: int
    revision: int
    attempt_count: int = 0
    idempotency_key: str = ""
    conversation_id: str = ""
    label: str = ""
    resend_policy: ResendPolicy = ResendPolicy.HOLD
    create_ms: int = 0
    expire_ms: int = 0
    next_attempt_ms: int = 0
    end_ms: int = 0
    purge_ms: int = 0
    digest: bytes = b""
    request: chat_pb2.ChatRequest | None = None
    response: chat_pb2.ChatResponse | None = None
    error: error_pb2.Error | None = None
    batch_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The outcome of an accept.

    Attributes:
        job: The job, new or, with a known key and the same content, the existing one (with response if it succeeded).
        duplicate: It existed; nothing was stored.
        attempt: Of a CALL that was stored: the permission to send it.
    """

    job: Job
    duplicate: bool
    attempt: "Attempt | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Permission to send a job once. The fence: only who holds it can finish that attempt.

    Attributes:
        job: The job in SENDING; that of the drainer's with its request.
        attempt_id: Unique for this attempt.
        epoch: Number of the daemon's start.
    """

    job: Job
    attempt_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What scheduling has to know of a runnable job; small, because ten thousand of them stay in memory."""

    id: str
    caller: str
    conversation_id: str
    priority: int
    seq: int
    create_ms: int
    expire_ms: int
    next_attempt_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStats:
    """Counts for status, metrics and the conservation law: accepted = sum of all states, tombstones and purged ones.

    Attributes:
        by_state: Rows by state, kind JOB and CALL together.
        accepted_total, purged_total: Since the spool was created.
        uncertain_total, resent_total: Attempts of unknown outcome, and repeats of such.
        lost_total: Rows that salvage could not save, and those accepted in commits that are missing.
        bytes_used: Size of the content kept.
        free_bytes: Room left under the caps and on the disk.
        pending_jobs, running_jobs: Of kind JOB, for NodeStatus.
    """

    by_state: dict[JobState, int] = field(default_factory=dict)
    accepted_total: int = 0
    purged_total: int = 0
    uncertain_total: int = 0
    resent_total: int = 0
    lost_total: int = 0
    bytes_used: int = 0
    free_bytes: int = 0
    pending_jobs: int = 0
    running_jobs: int = 0
