"""Facts about jobs and their storage; see `events.py` for what a fact is."""

from dataclasses import dataclass

from edgeclient.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    """The first attempt of a stored job begins.

    Attributes:
        job_id: Which job.
        priority: `high`, `normal` or `low`.
        wait_s: Time since it was accepted.
    """

    job_id: str
    priority: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(Event):
    """A stored job has ended.

    Attributes:
        job_id: Which job.
        caller: Whose.
        state: Name of the state in lower case, such as `succeeded`; `uncertain` if it is held because nobody knows
            what became of its last attempt.
        reason: Name of the error reason; "" if it succeeded or was erased.
        attempt_count: Attempts that counted.
        age_s: Time since it was accepted.
        possibly_billed: It did not succeed, and may have been billed all the same.
        model: Id of the model that its attempts asked; "" if none was made.
    """

    job_id: str
    caller: str
    state: str
    reason: str
    attempt_count: int
    age_s: float
    possibly_billed: bool
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolPaused(Event):
    """Stored jobs are not sent for now, for a reason that concerns all of them, or all of one model.

    Attributes:
        cause: Name of the error reason, such as UPSTREAM_CREDENTIALS or STORAGE_UNAVAILABLE.
        problem: What is wrong and what would be right.
        model: Which model; "": it concerns all.
    """

    cause: str
    problem: str
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolResumed(Event):
    """What kept stored jobs from being sent is over.

    Attributes:
        cause, model: As in the `SpoolPaused` before it.
        duration_s: How long it lasted.
    """

    cause: str
    duration_s: float
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFailed(Event):
    """The storage of the durable queue cannot be used; nothing is accepted until it can.

    Attributes:
        problem: What the storage said.
    """

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolRecovered(Event):
    """The storage of the durable queue works again, and was looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolDamaged(Event):
    """The durable queue was damaged; a new one was made from what could be saved.

    Attributes:
        saved, lost: Rows.
        spoilt: Rows of those saved that ended as DEAD, because something of them was damaged.
        moved_to: The damaged file.
    """

    saved: int
    lost: int
    spoilt: int
    moved_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFellBack(Event):
    """The database of the durable queue is older than what was acknowledged: its log was lost, or a copy put in place.

    What had been sent since may be sent once more.

    Attributes:
        commits: Commits that are missing.
        lost: Requests that were accepted in them, and are counted as lost.
    """

    commits: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDoorClosed(Event):
    """The socket through which operators reach the queue of a running node could not be made; all else works.

    Attributes:
        problem: What the system said.
    """

    problem: str
