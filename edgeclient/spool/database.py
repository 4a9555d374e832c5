"""The file: how it is opened, what it promises to survive, and when it is refused.

WAL with synchronous=FULL: a commit has returned only after its fsync. locking_mode=EXCLUSIVE: one process, one
connection, no shared memory, and none of the races that come with several. secure_delete: what is deleted is
overwritten. Numbers: a cache of 4 MiB keeps the indexes of 100,000 rows warm; the log goes into the file whenever it
has come to 8 MiB (each time a page that was written again and again is written once), and is cut to that size, so that
a burst does not hold disk space for ever.

A file of a newer version is refused, because this one does not know what its rows promise; unless the newer one has
written into it that this one does (`statements.oldest_reader`). Then a rollback keeps the queue: it is used as it is,
and its number stays, so that the newer daemon finds it as its own again. Only damage is left to that one. A schema is
changed in one transaction, together with its number: a process that is killed on the way leaves the old one or the new
one.

What finds damage, layer by layer:

* SQLite's own log: each frame has a checksum. A torn or cut log loses its end, silently; the mark (`mark.py`) tells.
* `cell_size_check`, and what SQLite meets on its way: a page that is no page. Nothing of what stands in the cells.
* `integrity_check`, after an end that was not clean: trees, lists of pages, types and rules of columns, and whether
  every index names the rows that there are. A key that is altered in an index alone would let a repeat in as new.
* The checksum of each row (`rows.py`), at every start and whenever a row is read: a page is sound to SQLite and a bit
  of a column is not what was written. SQLite computes it with each write; a trigger keeps a row that does not check
  from being written again, for that would vouch for what is wrong.
* The checksum of each part of the content over its place and bytes (`contents.py`), whenever it is read.

What nothing here finds: a page that is whole and old, because the disk dropped a write that it had acknowledged.
"""

import contextlib
import stat
import zlib
from pathlib import Path

import apsw

from edgeclient.config.setting import SettingError
from edgeclient.spool.diagnosis import cause, obstacle
from edgeclient.spool.statements import migrations, oldest_reader

NAME = "spool.db"
PAGE_BYTES = 4096
_CACHE_KIB = 2048
_LOG_BYTES = 8 * 1024 * 1024
LOG_PAGES = _LOG_BYTES // PAGE_BYTES
_APPLICATION_ID = 0x45444745  # "EDGE"
_MAGIC = b"SQLite format 3\0"
_VERSION_AT, _VERSION_BYTES = 60, 4  # of user_version in the head of the file, big-endian
_MOST_VERSIONS = 1000  # what is more is damage
_WHILE_MIGRATING = 2  # a full queue, of which a table stands there twice


class DamagedDatabaseError(Exception):
    """The file holds no sound database."""


DAMAGE = (apsw.CorruptError, apsw.NotADBError, DamagedDatabaseError)
FAULTS = (
    *DAMAGE,
    apsw.IOError,
    apsw.FullError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ProtocolError,
    apsw.ConnectionClosedError,
)
"""What SQLite raises because of the storage, not because of us."""


def prepare_directory(directory: Path) -> None:
    """Make the folder, for its owner only.

    Raises:
        SettingError: It cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(directory.stat().st_mode) & 0o077:
            with contextlib.suppress(OSError):  # a mounted volume may belong to somebody else: the files are 0600
                directory.chmod(0o700)
    except (FileExistsError, NotADirectoryError):  # mkdir tells both apart from a folder
        raise SettingError([f"spool.directory: {directory} is not a folder"]) from None
    except OSError as error:
        raise refused(directory, error.strerror or str(error)) from None
    if obstacle(directory):
        raise refused(directory, "")


def refused(directory: Path, why: str) -> SettingError:
    """The folder cannot be used; says why and what would be right."""
    return SettingError([f"spool.directory: {directory} cannot be used: {cause(directory, why)}"])


def connect(
    path: Path, *, max_bytes: int, vfs: str | None = None, synchronous: str = "FULL", check: bool
) -> apsw.Connection:
    """Open the database, make it if there is none, and bring its schema up to date.

    Args:
        path: The file.
        max_bytes: It never grows beyond.
        vfs: SQLite's way to the disk, for tests of faults.
        synchronous: FULL; anything else is for the test that shows that FULL is needed.
        check: Look through the whole file first, because its last end was not clean.

    Raises:
        DamagedDatabaseError: It has to be salvaged.
        SettingError: It is of a newer version.
        apsw.Error: The storage cannot be used.
    """
    if vfs is None and not path.exists():
        path.touch(0o600)
    connection = apsw.Connection(str(path), vfs=vfs)
    try:
        add_functions(connection)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()  # before any read: no shared memory, ever
        _refuse_foreign(connection, path)
        _configure(connection, max_bytes=max_bytes, synchronous=synchronous)
        if check:
            _check(connection)
        _migrate(connection, max_bytes=max_bytes)
    except DAMAGE as error:
        connection.close(force=True)
        raise DamagedDatabaseError(str(error)) from None
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def add_functions(connection: apsw.Connection) -> None:
    """What the schema calls when a row is written. It is pure: a schema that was tampered with could not abuse it."""
    connection.create_scalar_function("crc32", zlib.crc32, 1, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)  # type: ignore[arg-type]  # the schema gives it bytes


def set_most_bytes(connection: apsw.Connection, most_bytes: int) -> None:
    """The file never grows beyond; one that is larger already stays so."""
    connection.execute(f"PRAGMA max_page_count = {max(1, most_bytes // PAGE_BYTES)}").fetchall()


def _configure(connection: apsw.Connection, *, max_bytes: int, synchronous: str) -> None:
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "auto_vacuum = INCREMENTAL",  # both before the first table
        "journal_mode = WAL",
        f"synchronous = {synchronous}",
        "foreign_keys = ON",
        "secure_delete = ON",
        "trusted_schema = OFF",
        "temp_store = MEMORY",
        "cell_size_check = ON",
        f"cache_size = -{_CACHE_KIB}",
        f"journal_size_limit = {_LOG_BYTES}",
        f"wal_autocheckpoint = {LOG_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    set_most_bytes(connection, max_bytes)


def _check(connection: apsw.Connection) -> None:
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != ("ok",):
        raise DamagedDatabaseError(str(found[0]) if found else "no answer from the check")


def _refuse_foreign(connection: apsw.Connection, path: Path) -> None:
    """Before anything is written: what this version does not know it does not touch."""
    version = connection.pragma("user_version")
    if version > len(migrations()) and _oldest_reader(connection, version) > len(migrations()):
        raise _newer(path, version)
    if version and connection.pragma("application_id") != _APPLICATION_ID:
        raise SettingError([f"spool.directory: {path} is a database of another program"])


def refuse_to_salvage(path: Path) -> None:
    """A damaged file of a newer version has more to be saved than this one knows.

    Raises:
        SettingError: It is one.
    """
    version = version_of(path)
    if len(migrations()) < version <= _MOST_VERSIONS:
        raise _newer(path, version, "is damaged, and ")


def version_of(path: Path) -> int:
    """The number of the schema, from the head of the file alone; 0: it has none, or it is no database.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_VERSION_AT + _VERSION_BYTES)
    return int.from_bytes(head[_VERSION_AT:]) if head.startswith(_MAGIC) else 0


def _newer(path: Path, version: int, state: str = "") -> SettingError:
    problem = (
        f"spool.directory: {path} {state}was written by a newer edgeclient (schema {version}, this one knows"
        f" {len(migrations())}); install that version again, or give another folder"
    )
    return SettingError([problem])


def _oldest_reader(connection: apsw.Connection, version: int) -> int:
    """The oldest version that can go on with the file, as the one says that wrote it."""
    try:
        (found,) = connection.execute("SELECT oldest_reader FROM compatibility")
    except (apsw.SQLError, ValueError, *DAMAGE):  # it says nothing, or nothing that can be read
        return version
    return int(found[0])


def _declare(connection: apsw.Connection, version: int) -> None:
    """Write down for older daemons whether they can go on with the file. The latest script's word is the one."""
    connection.execute("DROP TABLE IF EXISTS compatibility")
    if oldest_reader(version) < version:
        connection.execute("CREATE TABLE compatibility (oldest_reader INTEGER NOT NULL) STRICT")
        connection.execute("INSERT INTO compatibility VALUES (?)", (oldest_reader(version),))


def _migrate(connection: apsw.Connection, *, max_bytes: int) -> None:
    version = connection.pragma("user_version")
    scripts = migrations()[version:]
    if not scripts:
        return
    connection.execute("PRAGMA foreign_keys = OFF").fetchall()  # else a table that is made anew takes its content along
    set_most_bytes(connection, _WHILE_MIGRATING * max_bytes)
    for number, script in enumerate(scripts, start=version + 1):
        with connection:
            connection.execute(script)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            _declare(connection, number)
    connection.execute("PRAGMA foreign_keys = ON").fetchall()
    set_most_bytes(connection, max_bytes)
