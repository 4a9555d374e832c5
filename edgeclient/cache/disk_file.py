"""The cache's file: one SQLite database that may be thrown away at any time, and is, when anything is wrong with it.

WAL with synchronous=NORMAL: a power cut loses the newest answers, never the file; nobody was promised them.
secure_delete: what is removed is overwritten, so that what was forgotten for a caller is not in the file any more, and
after the checkpoint not in its log. One process, one connection, locking_mode=EXCLUSIVE, as for the queue.

Room is counted row by row, in the pages that a row takes, and made before it is needed: the oldest insertions go. The
limit is SQLite's own as well (`max_page_count`), for what the count does not see.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

import apsw

NAME = "edgeclient-cache.db"
SCHEMA = 1
_APPLICATION_ID = 0x45444743  # "EDGC"
_PAGE_BYTES = 4096
_ROW_BYTES = 160  # keys and indexes of a row
_SMALL_ROW_BYTES = 1000  # below it a row shares its page with others, above it takes pages of its own
_CACHE_KIB = 1024
_LOG_BYTES = 2 * 1024**2
_GIVE_WAY = 10  # of all rows, one in so many goes when SQLite says that the file is full
_STATEMENT = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)

FAULTS = (apsw.Error,)


class UnusableFileError(Exception):
    """The file is none of this version and key, or damaged; it has to be begun anew."""


class ForeignFileError(Exception):
    """The file is a database of another program, or another process has it; it has to be left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kept answer as it stands in the file."""

    name: bytes
    owner: bytes
    born_ms: int
    body: bytes

    @property
    def room_bytes(self) -> int:
        """What it takes, rounded up."""
        size = len(self.body) + _ROW_BYTES
        return size if size < _SMALL_ROW_BYTES else -(-size // _PAGE_BYTES) * _PAGE_BYTES


class DiskFile:
    """The open file. Used in one thread.

    Args:
        path: Where it is; made if it is not there.
        scheme: How bodies are sealed.
        max_bytes: It never grows beyond.

    Attributes:
        count: Answers in it.
        room_bytes: What they take.

    Raises:
        UnusableFileError, ForeignFileError: See there.
        apsw.Error: The storage cannot be used.
    """

    def __init__(self, path: Path, *, scheme: str, max_bytes: int) -> None:
        if not path.exists():
            path.touch(0o600)
        self._sql = _statements()
        self._max_bytes = max_bytes
        self.connection = apsw.Connection(str(path))
        try:
            self._open(scheme)
        except BaseException as error:
            self.connection.close(force=True)
            if isinstance(error, apsw.BusyError):
                raise ForeignFileError("another process has it open") from None
            if isinstance(error, apsw.CorruptError | apsw.NotADBError):
                raise UnusableFileError(str(error)) from None
            raise

    def put(self, rows: Sequence[Row]) -> int:
        """Store answers, each in place of the one before, all in one transaction; returns how many others had to go."""
        gone = self._make_room(sum(row.room_bytes for row in rows))
        try:
            self._put(rows)
        except apsw.FullError:
            gone += self._give_way(max(len(rows), self.count // _GIVE_WAY))
            self._put(rows)
        return gone

    def get(self, name: bytes) -> Row | None:
        """The answer with this name."""
        found = self.connection.execute(self._sql["get"], {"name": name}).fetchone()
        return None if found is None else Row(name=name, owner=found[0], born_ms=found[1], body=found[2])

    def drop(self, name: bytes) -> None:
        """Remove one."""
        self._remove("drop", name=name)

    def drop_old(self, *, before_ms: int) -> int:
        """Remove what came from the provider before; returns how many."""
        return self._remove("drop_old", before_ms=before_ms)

    def forget(self, owner: bytes) -> int:
        """Remove all of an owner, from the log of the file as well; returns how many."""
        count = self._remove("drop_owner", owner=owner)
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count

    def close(self) -> None:
        """Close it; the log goes into the file."""
        self.connection.close(force=True)

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _open(self, scheme: str) -> None:
        self.connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()  # before any read: no shared memory
        version = self.connection.pragma("user_version")
        mark = self.connection.pragma("application_id")
        is_new = not version and not mark and not self.connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        if not is_new and mark != _APPLICATION_ID:
            raise ForeignFileError("it is a database of another program")
        if not is_new and version != SCHEMA:
            raise UnusableFileError(f"it has schema {version}, this version of edgeclient writes {SCHEMA}")
        for pragma in (
            f"page_size = {_PAGE_BYTES}",
            "auto_vacuum = INCREMENTAL",  # both before the first table
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "secure_delete = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            "cell_size_check = ON",
            f"cache_size = -{_CACHE_KIB}",
            f"journal_size_limit = {_LOG_BYTES}",
            f"max_page_count = {self._max_bytes // _PAGE_BYTES}",
        ):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        if is_new:
            self._create(scheme)
        elif self._one("scheme")[0] != scheme:
            raise UnusableFileError("it was sealed in another way, or with another key")
        self.count, self.room_bytes = self._one("count")
        if self._make_room(0):
            self.connection.execute("PRAGMA incremental_vacuum").fetchall()

    def _create(self, scheme: str) -> None:
        with self.connection:
            self.connection.execute((resources.files("edgeclient.cache") / "sql" / "schema.sql").read_text("utf-8"))
            self.connection.execute(self._sql["set_scheme"], {"scheme": scheme})
            self.connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self.connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def _put(self, rows: Sequence[Row]) -> None:
        with self._counted():
            for row in rows:
                self._dropped("drop", name=row.name)
                values = {
                    "name": row.name,
                    "owner": row.owner,
                    "born_ms": row.born_ms,
                    "room": row.room_bytes,
                    "body": row.body,
                }
                self.connection.execute(self._sql["put"], values)
                self.count += 1
                self.room_bytes += row.room_bytes

    def _make_room(self, needed_bytes: int) -> int:
        """Remove the oldest insertions until there is room; a few at a time, because their sizes are not known."""
        gone = 0
        limit_bytes = self._max_bytes - self._max_bytes // _GIVE_WAY
        while self.count and self.room_bytes + needed_bytes > limit_bytes:
            average_bytes = max(1, self.room_bytes // self.count)
            gone += self._give_way(max(1, (self.room_bytes + needed_bytes - limit_bytes) // average_bytes))
        return gone

    def _give_way(self, count: int) -> int:
        return self._remove("drop_first", count=count)

    def _remove(self, statement: str, **values: Any) -> int:
        with self._counted():
            return self._dropped(statement, **values)

    def _dropped(self, statement: str, **values: Any) -> int:
        """Run a statement that removes rows; returns how many."""
        rooms = [room for (room,) in self.connection.execute(self._sql[statement], values)]
        self.count -= len(rooms)
        self.room_bytes -= sum(rooms)
        return len(rooms)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """A transaction that the counts belong to."""
        before = self.count, self.room_bytes
        try:
            with self.connection:
                yield
        except BaseException:
            self.count, self.room_bytes = before
            raise

    def _one(self, statement: str) -> Any:
        return self.connection.execute(self._sql[statement]).fetchone()


def discard(path: Path) -> None:
    """Throw the file and its companions away.

    Raises:
        OSError: They cannot be removed.
    """
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@cache
def _statements() -> dict[str, str]:
    text = (resources.files("edgeclient.cache") / "sql" / "queries.sql").read_text("utf-8")
    _, *parts = _STATEMENT.split(text)
    return dict(zip(parts[::2], (part.strip().removesuffix(";") for part in parts[1::2]), strict=True))
