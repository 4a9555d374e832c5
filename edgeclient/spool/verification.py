"""Is a queue sound: the file, every row, every byte of content, every key, and the law that no job is ever missing.

It reads everything and changes nothing. The law of conservation: accepted = rows of all states, tombstones included, +
purged ones + those that salvage has counted as lost.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError, Message

from edgeclient.core.jobs import JobState
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.desk import Desk
from edgeclient.spool.offline_files import operator_statements
from edgeclient.spool.rows import is_sound
from edgeclient.spool.sealing import SealError
from edgeclient.spool.statements import statements
from edgeclient.v1 import chat_pb2, error_pb2

_MOST_PROBLEMS = 1000  # of one kind of check; a file that is all wrong must not fill a terminal
_MESSAGES: dict[Part, type[Message]] = {
    Part.REQUEST: chat_pb2.ChatRequest,
    Part.RESPONSE: chat_pb2.ChatResponse,
    Part.ERROR: error_pb2.Error,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found.

    Attributes:
        problems: A sentence each, without content; none if the queue is sound.
        counts: What was looked at.
    """

    problems: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)


def verified(desk: Desk) -> Verification:
    """Look at everything."""
    stats, rows = desk.stats(), _row_count(desk)
    contents: Counter[str] = Counter()
    checks = (
        _file_problems(desk),
        _mark_problems(desk),
        _checksum_problems(desk),
        _key_problems(desk),
        _content_problems(desk, contents),
        _row_problems(desk),
        _conservation_problems(desk),
    )
    problems = [problem for check in checks for problem, _ in zip(check, range(_MOST_PROBLEMS), strict=False)]
    counts = {
        "rows": rows,
        "by_state": {state.name.lower(): count for state, count in stats.by_state.items() if count},
        "contents_checked": dict(contents),
        "accepted_total": stats.accepted_total,
        "purged_total": stats.purged_total,
        "lost_total": stats.lost_total,
        "uncertain_total": stats.uncertain_total,
        "resent_total": stats.resent_total,
    }
    return Verification(problems=problems, counts=counts)


def _file_problems(desk: Desk) -> Iterator[str]:
    connection = desk.session.connection
    for (found,) in connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
        if found != "ok":
            yield f"the file: {found}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"the file: row {row} of {table} belongs to no {parent}"


def _mark_problems(desk: Desk) -> Iterator[str]:
    missing = desk.session.missing
    if missing is not None:
        yield (
            f"the file is older than what was acknowledged: {missing.commits} commits are missing, and"
            f" {missing.accepts} requests with them; its log was lost, or an older copy put in place"
        )


def _checksum_problems(desk: Desk) -> Iterator[str]:
    for found in desk.session.connection.execute(statements()["every_row"]):
        if not is_sound(found):
            yield f"the row of job {found[1]!r} is not what was written; start the daemon, it ends the job as dead"


def _key_problems(desk: Desk) -> Iterator[str]:
    for caller, wrapped in desk.session.connection.execute(operator_statements()["operator_caller_keys"]):
        try:
            desk.session.contents.vault.unwrap(wrapped)
        except SealError as error:
            yield f"the key of caller {caller!r}: {error}"


def _content_problems(desk: Desk, counted: Counter[str]) -> Iterator[str]:
    contents = desk.session.contents
    rows = desk.session.connection.execute(operator_statements()["operator_contents"])
    for seq, job_id, caller, number, sealed, checksum in rows:
        part = Part(number)
        counted[part.name.lower()] += 1
        if job_id is None:
            yield f"the {part.name.lower()} with number {seq} belongs to no job"
            continue
        try:
            body = contents.checked(job_id, caller, part, sealed, checksum)
            if part in _MESSAGES:
                _MESSAGES[part].FromString(body)
        except DamagedError as error:
            yield str(error)
        except DecodeError:
            yield f"the stored {part.name.lower()} of job {job_id} is no message"


def _row_problems(desk: Desk) -> Iterator[str]:
    connection, sql = desk.session.connection, operator_statements()
    for name, sentence in (
        ("operator_sizes", "has another size than its content"),
        ("operator_without_request", "waits to be sent and has no request"),
        ("operator_without_response", "succeeded and has no response"),
        ("operator_request_left", "has ended, and its request is still there"),
        ("operator_erased_with_content", "was erased and has content"),
    ):
        for (job_id,) in connection.execute(sql[name]):
            yield f"job {job_id} {sentence}"
    ledger = desk.session.ledger
    for seq, revision, count, revisions in connection.execute(sql["operator_highest"]):
        if seq > ledger.last_seq or revision > ledger.last_revision:
            yield "rows are newer than the counts: a commit was torn"
        if revisions != count:
            yield f"{count - revisions} rows share a revision with another"


def _conservation_problems(desk: Desk) -> Iterator[str]:
    stats, rows = desk.stats(), _row_count(desk)
    missing = stats.accepted_total - rows - stats.purged_total - stats.lost_total
    # A job that was lost for its damaged request is still a row, in DEAD: it is counted twice then.
    if missing > 0 or -missing > min(stats.lost_total, stats.by_state.get(JobState.DEAD, 0)):
        yield (
            f"conservation: accepted {stats.accepted_total}, but {rows} rows + {stats.purged_total} purged"
            f" + {stats.lost_total} lost"
        )


def _row_count(desk: Desk) -> int:
    """All of them, those that do not check included."""
    ((_, _, count, _),) = desk.session.connection.execute(operator_statements()["operator_highest"])
    return int(count)
