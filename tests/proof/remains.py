"""What the files of a dead node say, read from a copy: what it was doing, and what it had written of that."""

import shutil
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import apsw

from edgeclient.core.jobs import JobKind, JobState

_DATABASE = "spool.db"
_LOG_HEADER = struct.Struct(">IIIIIIII")  # magic, version, page size, checkpoint, two salts, two checksums
_FRAME_HEADER = struct.Struct(">IIIIII")  # page, size of the database after a commit or 0, two salts, two checksums


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that was under way.

    Attributes:
        key: Idempotency key of its request.
        id: Which attempt.
        epoch: Number of the life that began it.
        is_job: Of a job; else of a live call, which the next life leaves as it is.
    """

    key: str
    id: str
    epoch: int
    is_job: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left.

    Attributes:
        epoch: Number of the last life that opened the queue; 0: none has.
        sending: Attempts whose outcome is not on the disk.
        stored: Of the keys that were asked for, those that have a row.
        torn: The log ends in the middle of a transaction: it was in the middle of a commit.
    """

    epoch: int = 0
    sending: tuple[Attempt, ...] = ()
    stored: frozenset[str] = frozenset()
    torn: bool = False


def remains(spool: Path, *, keys: Iterable[str] = ()) -> Remains:
    """Look at the files of a queue whose node is dead.

    Args:
        spool: The folder.
        keys: Idempotency keys to look for.
    """
    log = spool / f"{_DATABASE}-wal"
    with tempfile.TemporaryDirectory() as folder:
        for file in (spool / _DATABASE, log):
            if file.exists():
                shutil.copy(file, folder)
        copy = Path(folder) / _DATABASE
        return _read(copy, keys, torn=_is_torn(copy.with_name(log.name))) if copy.exists() else Remains()


def _read(file: Path, keys: Iterable[str], *, torn: bool) -> Remains:
    connection = apsw.Connection(str(file))
    try:
        if not connection.pragma("user_version"):  # it was killed before it had made its tables
            return Remains()
        epoch, *_ = next(connection.execute("SELECT epoch FROM ledger"), (0,))
        sending = connection.execute(
            "SELECT idempotency_key, attempt_id, epoch, kind FROM job WHERE state = ?", (JobState.SENDING.value,)
        )
        return Remains(
            epoch=epoch,
            sending=tuple(
                Attempt(key=key, id=attempt_id, epoch=begun_in, is_job=kind == JobKind.JOB.value)
                for key, attempt_id, begun_in, kind in sending
            ),
            stored=frozenset(
                key
                for key in keys
                if connection.execute("SELECT 1 FROM job WHERE idempotency_key = ?", (key,)).fetchone()
            ),
            torn=torn,
        )
    finally:
        connection.close()


def _is_torn(log: Path) -> bool:
    """Whether frames of a transaction follow the last that was committed. Frames of an earlier log have other salts."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) < _LOG_HEADER.size:
        return False
    _, _, page_bytes, _, *salts, _, _ = _LOG_HEADER.unpack_from(data)
    torn = False
    for offset in range(_LOG_HEADER.size, len(data), _FRAME_HEADER.size + page_bytes):
        if offset + _FRAME_HEADER.size > len(data):
            return True
        _, size_after, *frame_salts, _, _ = _FRAME_HEADER.unpack_from(data, offset)
        if frame_salts != salts:
            return torn
        torn = not size_after or offset + _FRAME_HEADER.size + page_bytes > len(data)
    return torn
