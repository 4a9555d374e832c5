"""A row of the table `job`: read only if it checks; and the way from there to the words of the port.

Each row has a checksum over all of its columns, which SQLite computes whenever it writes one (`0003_checksums.sql`).
Here it is computed once more. A bit that has turned on the disk must never make a request be sent twice, or make it
somebody else's: a row that does not check is no row, but damage, like a page that cannot be read.
"""

from collections.abc import Iterable, Sequence
from sys import intern
from typing import Any, NamedTuple
from zlib import crc32

from edgeclient.core.jobs import Job, JobKind, JobState, ResendPolicy, Waiting
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.ttl_clock import QueueClock


class Row(NamedTuple):
    """The columns in the order of the table. What each means stands in the schema."""

    seq: int
    id: str
    caller: str
    kind: int
    state: int
    priority: int
    revision: int
    idempotency_key: str
    conversation_id: str
    label: str
    resend_policy: int
    attempt_count: int
    attempt_id: str
    epoch: int
    resent_count: int
    crash_count: int
    cancel_requested: int
    size_bytes: int
    create_ms: int
    end_ms: int
    expire_due: int
    attempt_due: int
    purge_due: int
    key_due: int
    checksum: int = 0


COLUMNS = Row._fields[:-1]
"""What is written; the checksum is SQLite's to write."""

# A call of an enum costs ten times a look into a dictionary, and each accept wants three.
_STATES = {state.value: state for state in JobState}
_KINDS = {kind.value: kind for kind in JobKind}
_POLICIES = {policy.value: policy for policy in ResendPolicy}
_SEPARATOR = "\x1f"  # as in the schema
_CHECKED = _SEPARATOR.join("%d" if Row.__annotations__[name] is int else "%s" for name in COLUMNS)


def checksum(values: Iterable[int | str]) -> int:
    """Of a row with these columns, as the schema computes it."""
    return crc32(_SEPARATOR.join(map(str, values)).encode())


def is_sound(found: Sequence[Any]) -> bool:
    """Whether the columns of a row are those that were written."""
    try:
        return bool(crc32((_CHECKED % tuple(found[:-1])).encode()) == found[-1])
    except TypeError:  # a column too few, or of another type
        return False


def sound(found: Sequence[Any]) -> Row:
    """The row of these columns.

    Raises:
        DamagedDatabaseError: They are not what was written.
    """
    if not is_sound(found):
        raise DamagedDatabaseError(f"the row of the job with number {found[0]!r} is not what was written")
    return Row._make(found)


def to_job(row: Row, *, wall_offset_ms: int, epoch: int, digest: bytes = b"") -> Job:
    """The job, without content.

    A live call whose attempt belongs to an earlier daemon is shown as UNCERTAIN: nobody runs it any more.

    Args:
        row: Its columns.
        wall_offset_ms: Wall time minus queue time, now.
        epoch: Number of the daemon's start.
        digest: Content hash, where asked for.
    """
    state = _STATES[row.state]
    if state is JobState.SENDING and row.epoch < epoch:
        state = JobState.UNCERTAIN
    return Job(
        id=row.id,
        caller=row.caller,
        kind=_KINDS[row.kind],
        state=state,
        priority=row.priority,
        seq=row.seq,
        revision=row.revision,
        attempt_count=row.attempt_count,
        idempotency_key=row.idempotency_key,
        conversation_id=row.conversation_id,
        label=row.label,
        resend_policy=_POLICIES[row.resend_policy],
        create_ms=row.create_ms,
        expire_ms=max(1, row.expire_due + wall_offset_ms) if row.expire_due else 0,
        next_attempt_ms=max(1, row.attempt_due + wall_offset_ms) if row.attempt_due else 0,
        end_ms=row.end_ms,
        purge_ms=max(1, row.purge_due + wall_offset_ms) if row.purge_due else 0,
        digest=digest,
    )


def to_waiting(columns: tuple[str, str, str, int, int, int, int, int], clock: QueueClock) -> Waiting:
    """What scheduling needs, from the columns of the statement `waiting`."""
    job_id, caller, conversation_id, priority, seq, create_ms, expire_due, attempt_due = columns
    return Waiting(
        id=job_id,
        caller=intern(caller),  # few callers have ten thousand jobs
        conversation_id=conversation_id,
        priority=priority,
        seq=seq,
        create_ms=create_ms,
        expire_ms=clock.to_wall_ms(expire_due),
        next_attempt_ms=clock.to_wall_ms(attempt_due),
    )
