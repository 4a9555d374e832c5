"""What the queue should be, without any of what makes it durable: rows in a dictionary, and two clocks.

How long something took nobody knows for certain once the machine was off: `Moment` has the time that has really passed,
and the time that has certainly passed, which is what the node's own clocks can prove. What is over by the second is
over; what is not over by the first is not; between them both are right, and the system is asked.
"""

from dataclasses import dataclass, field

from edgeclient.core.errors import Blocked, Reason, Rejected, Unavailable, Uncertain
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Attempt, JobKind, JobState, ResendPolicy

TTL_S = 100.0
KEPT_S = 300.0
ERRORS = {
    JobState.RETRY_WAIT: Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "offline"),
    JobState.FAILED: Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"),
    JobState.QUEUED: Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "key"),
    JobState.UNCERTAIN: Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"),
}
"""What fails an attempt, by where the job goes then if nothing is in the way."""

_WITH_REQUEST = frozenset(set(JobState) - TERMINAL)
_RETRYABLE = frozenset({JobState.UNCERTAIN, JobState.FAILED, JobState.DEAD, JobState.EXPIRED})


@dataclass(frozen=True)
class Moment:
    """Really, and certainly."""

    real_s: float
    certain_s: float


@dataclass
class Row:
    """A job or a call.

    Attributes:
        prompt: What it asks.
        key: Under which name; "" for none.
        state: As stored: a call whose process is gone is in SENDING still.
        holder: Attempt and epoch of whoever may end its attempt.
        ttl_from: Since when its time runs.
        kept_from: Since when it is kept, once it has ended; None: it is not known.
    """

    kind: JobKind
    resend: ResendPolicy
    prompt: str
    key: str
    state: JobState
    born: Moment
    ttl_from: Moment
    kept_from: Moment | None = None
    holder: tuple[str, int] = ("", 0)
    resent: int = 0
    crashes: int = 0
    is_cancelling: bool = False
    has_request: bool = True
    answer: str = ""

    def ends(self, state: JobState, now: Moment | None) -> None:
        self.state = state
        self.kept_from = self.born if self.kind is JobKind.CALL else now
        self.has_request = self.has_request and state not in (JobState.SUCCEEDED, JobState.CANCELLED, JobState.ERASED)

    def waits(self, state: JobState, *, resent: bool = False) -> None:
        self.state = state
        self.resent += resent


@dataclass
class Model:
    """All rows, also those that are gone, which are None."""

    rows: dict[str, Row | None] = field(default_factory=dict)
    now: Moment = field(default_factory=lambda: Moment(0.0, 0.0))
    epoch: int = 1
    accepted: int = 0

    def time_passes(self, real_s: float, *, certain_s: float) -> None:
        self.now = Moment(self.now.real_s + real_s, self.now.certain_s + certain_s)

    def is_over(self, since: Moment | None, duration_s: float) -> bool | None:
        """None: nobody knows."""
        if since is None or self.now.certain_s - since.certain_s >= duration_s:
            return since is not None or None
        return None if self.now.real_s - since.real_s >= duration_s else False

    def accept(self, job_id: str, kind: JobKind, resend: ResendPolicy, *, prompt: str, key: str) -> Row:
        state = JobState.SENDING if kind is JobKind.CALL else JobState.QUEUED
        kept_from = self.now if kind is JobKind.CALL else None
        row = Row(kind, resend, prompt, key, state, born=self.now, ttl_from=self.now, kept_from=kept_from)
        self.rows[job_id] = row
        self.accepted += 1
        return row

    def shown(self, row: Row) -> JobState:
        is_orphan = row.state is JobState.SENDING and row.holder[1] < self.epoch
        return JobState.UNCERTAIN if is_orphan else row.state

    def held(self, attempt: Attempt, *states: JobState) -> Row | None:
        """The row, if this attempt is its."""
        row = self.rows[attempt.job.id]
        is_its = row is not None and row.state in states and row.holder == (attempt.attempt_id, attempt.epoch)
        return row if is_its else None

    def fail(self, row: Row, to: JobState, *, left: bool) -> None:
        row.holder = ("", row.holder[1])
        may_resend = left and row.resend is ResendPolicy.RESEND_ONCE and not row.resent
        if row.is_cancelling:
            row.ends(JobState.CANCELLED, self.now)
        elif to is JobState.UNCERTAIN and may_resend:
            row.waits(JobState.RETRY_WAIT, resent=True)
        elif to is JobState.QUEUED or (to is JobState.RETRY_WAIT and left):
            row.waits(to)
        else:
            row.ends(JobState.DEAD if to is JobState.RETRY_WAIT else to, self.now)

    def park(self, row: Row) -> None:
        row.kind, row.state, row.ttl_from, row.kept_from = JobKind.JOB, JobState.QUEUED, self.now, None

    def cancel(self, row: Row) -> None:
        if row.state in {*RUNNABLE, JobState.UNCERTAIN}:
            row.ends(JobState.CANCELLED, self.now)
        elif row.state is JobState.SENDING and row.kind is JobKind.JOB:
            row.is_cancelling = True

    def erase(self, row: Row) -> None:
        if row.state is not JobState.ERASED:
            row.ends(JobState.ERASED, self.now)
            row.kept_from, row.key = self.now, ""

    def starts_again(self) -> None:
        """A new process settles what the one before has left."""
        self.epoch += 1
        for row in self.rows.values():
            if row is None or row.state is not JobState.SENDING or row.kind is JobKind.CALL:
                continue
            row.crashes += 1
            if row.is_cancelling:
                row.ends(JobState.CANCELLED, self.now)
            elif row.crashes > 1:
                row.ends(JobState.DEAD, self.now)
            elif row.resend is ResendPolicy.RESEND_ONCE and not row.resent:
                row.waits(JobState.RETRY_WAIT, resent=True)
            else:
                row.ends(JobState.UNCERTAIN, self.now)

    def loses_request(self, row: Row) -> None:
        """A damage, found by a salvage: who needs it is dead."""
        if row.state in _WITH_REQUEST:
            row.ends(JobState.DEAD, None)
            row.kept_from = None
        row.has_request = False

    def may_retry(self, row: Row) -> bool:
        return row.kind is JobKind.JOB and row.has_request and row.state in _RETRYABLE

    def retry(self, row: Row, new_id: str) -> None:
        """An operator sends it again: itself if nobody knows what became of it, else as a new one."""
        if row.state is JobState.UNCERTAIN:
            row.crashes, row.is_cancelling, row.ttl_from, row.kept_from = 0, False, self.now, None
            row.waits(JobState.QUEUED)
        else:
            row.has_request = False
            self.accept(new_id, JobKind.JOB, row.resend, prompt=row.prompt, key="")

    def is_purged(self, row: Row) -> bool | None:
        """Whether a sweep deletes it."""
        is_running = row.state is JobState.SENDING and (row.kind is JobKind.JOB or row.holder[1] == self.epoch)
        if is_running or row.state in RUNNABLE:
            return False
        return self.is_over(row.kept_from, KEPT_S)
