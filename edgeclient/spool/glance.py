"""What can be told of a queue's files without its lock and without a write, for who only looks.

The lock is tried only if the note in its file says that somebody has it or had it: then a shared lock, given back at
once, tells a daemon that runs from one that was killed. SQLite opens the file as one that does not change, so it makes
no log and takes no lock of its own; what it reads beside a daemon that writes may be nonsense, and then nothing is
told.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import apsw

from edgeclient.spool import database, room
from edgeclient.spool.lock_file import NAME as LOCK_NAME

_NOTE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the files of a queue occupy, in bytes."""

    database_bytes: int = 0
    ballast_bytes: int = 0


def holder(directory: Path) -> str | None:
    """The pid of the process that has the queue; "" if nobody has it, None if this user may not know."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError:
        return None
    try:
        pid = os.pread(descriptor, _NOTE_BYTES, 0).decode("ascii", "replace").strip()
        if not pid:
            return ""
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    finally:
        os.close(descriptor)
    return ""


def sizes(directory: Path) -> Sizes:
    """The sizes; what is not there has none."""
    return Sizes(database_bytes=_size(directory / database.NAME), ballast_bytes=_size(directory / room.NAME))


def scheme(directory: Path) -> str | None:
    """How the queue is sealed, as in `Vault.scheme`; None: there is no queue, or it cannot be told."""
    path = directory / database.NAME
    if not os.path.isfile(path):  # noqa: PTH113  Path.is_file raises where a folder above may not be entered
        return None
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags)
    except apsw.Error:
        return None
    try:
        found = connection.execute("SELECT scheme FROM ledger").fetchone()
    except (apsw.Error, UnicodeDecodeError):
        return None
    finally:
        connection.close(force=True)
    return str(found[0]) if found else None


def schema(directory: Path) -> int | None:
    """Number of the schema of the queue, as it stands in the head of the file; None: there is no queue."""
    try:
        return database.version_of(directory / database.NAME)
    except OSError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
