"""Saving what can be saved of a damaged queue, row by row, into a fresh one.

A row is saved only if it reads, keeps the rules of its table, and its content passes its checksum. A job whose request
is damaged ends as DEAD, one whose answer is damaged as well: its caller is told the truth, and nobody gets altered
bytes. What could not be saved is counted. The damaged file is kept beside the new one for whoever wants to look, as
long as finished jobs are kept, and no longer than until something is erased: it may hold that too.

It must never be a loop and never lose by being killed: the new file is complete before the damaged one is moved, and a
start that finds only the new one puts it in place.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edgeclient.core.errors import Reason
from edgeclient.core.jobs import TERMINAL, JobState
from edgeclient.spool.contents import Contents, DamagedError, Part
from edgeclient.spool.database import NAME
from edgeclient.spool.rows import Row
from edgeclient.spool.sealing import Vault
from edgeclient.spool.statements import statements
from edgeclient.v1 import error_pb2

_SUFFIX = ".salvage"
_GAP = 20_000  # rows that one damaged page can hide are far fewer
_COLUMNS = ", ".join(f":{name}" for name in Row._fields)

Connect = Callable[[Path], apsw.Connection]


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What came of it.

    Attributes:
        saved, lost: Rows. `lost` is at least 1 if the file could not be read at all.
        moved_to: The damaged file.
    """

    saved: int
    lost: int
    moved_to: Path


def finish_interrupted(path: Path) -> None:
    """A salvage was killed: put its complete result in place, or throw its incomplete one away."""
    fresh = path.with_name(path.name + _SUFFIX)
    if not fresh.exists():
        return
    if path.exists():
        _remove(fresh)
    else:
        _replace(fresh, path)


def salvage(path: Path, *, connect: Connect, vault: Vault) -> Salvaged:
    """Make a sound queue of a damaged one, in its place.

    Raises:
        apsw.Error, OSError: The storage cannot be used; the damaged file is where it was.
    """
    fresh = path.with_name(path.name + _SUFFIX)
    _remove(fresh)
    target = connect(fresh)
    try:
        saved, lost = _copy(path, target, vault)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        target.close(force=True)
    moved_to = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
    for suffix in ("-wal", "-journal", "-shm"):  # the log first: without its file it is never replayed into another
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(moved_to.with_name(moved_to.name + suffix))
    path.rename(moved_to)
    _replace(fresh, path)
    return Salvaged(saved=saved, lost=lost, moved_to=moved_to)


def drop_damaged(directory: Path, *, older_than_s: float = 0.0) -> None:
    """Delete damaged files that were moved aside."""
    before_s = time.time() - older_than_s
    for path in directory.glob(f"{NAME}.damaged-*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime <= before_s:
                path.unlink()


def _copy(path: Path, target: apsw.Connection, vault: Vault) -> tuple[int, int]:
    source = _open_damaged(path)
    if source is None:
        _save_ledger(target, vault, {"accepted_total": 1}, lost=1)
        return 0, 1
    try:
        ledger = _ledger(source)
        contents = _Copier(source, target, vault)
        with target:
            contents.copy_keys()
            for row in _rows(source, int(ledger.get("last_seq", 0))):
                contents.copy(row)
            gone = int(ledger.get("purged_total", 0)) + int(ledger.get("lost_total", 0))
            expected = max(int(ledger.get("accepted_total", 0)) - gone, contents.seen)
            lost = expected - contents.saved
            _save_ledger(target, vault, {**contents.floor(ledger), "accepted_total": expected + gone}, lost=lost)
    finally:
        with contextlib.suppress(apsw.Error):
            source.close(force=True)
    return contents.saved, lost


def _open_damaged(path: Path) -> apsw.Connection | None:
    try:
        source = apsw.Connection(str(path))
        source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # leave it as it is
        source.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        source.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        source.execute("PRAGMA trusted_schema = OFF").fetchall()
        source.execute("SELECT seq FROM job LIMIT 0").fetchall()
    except apsw.Error:
        return None
    return source


def _ledger(source: apsw.Connection) -> dict[str, int | str]:
    names = [part.strip() for part in statements()["load_ledger"].removeprefix("SELECT").split("FROM")[0].split(",")]
    try:
        found = source.execute(statements()["load_ledger"]).fetchone()
    except apsw.Error:
        return {}
    return {} if found is None else dict(zip(names, found, strict=True))


def _rows(source: apsw.Connection, last_seq: int) -> Iterator[Row]:
    """Every row that can be read: in order, and past a damaged page one by one."""
    position = -1
    end = last_seq or None
    while True:
        try:
            for found in source.execute("SELECT * FROM job WHERE seq > ? ORDER BY seq", (position,)):
                row = Row._make(found)
                position = row.seq
                yield row
        except (apsw.Error, UnicodeDecodeError):
            following = _next_readable(source, position + 1, end if end is not None else position + _GAP)
            if following is None:
                return
            position = following.seq
            yield following
        else:
            return


def _next_readable(source: apsw.Connection, start: int, end: int) -> Row | None:
    for seq in range(start, end + 1):
        with contextlib.suppress(apsw.Error, UnicodeDecodeError):
            found = source.execute("SELECT * FROM job WHERE seq = ?", (seq,)).fetchone()
            if found is not None:
                return Row._make(found)
    return None


class _Copier:
    """Copies row by row; a row that breaks a rule of the table is left out."""

    def __init__(self, source: apsw.Connection, target: apsw.Connection, vault: Vault) -> None:
        self._source = source
        self._target = target
        self._contents = Contents(target, vault)
        self.seen = 0
        self.saved = 0
        self.spoilt = 0
        self._most: dict[str, int] = {"epoch": 0, "last_seq": 0, "last_revision": 0}

    def copy_keys(self) -> None:
        with contextlib.suppress(apsw.Error, UnicodeDecodeError):
            for caller, wrapped in self._source.execute("SELECT caller, wrapped FROM caller_key"):
                with contextlib.suppress(apsw.Error):
                    self._target.execute(statements()["put_caller_key"], {"caller": caller, "wrapped": wrapped})

    def copy(self, row: Row) -> None:
        self.seen += 1
        try:
            with self._target:
                self._target.execute(f"INSERT INTO job VALUES ({_COLUMNS})", row._asdict())  # noqa: S608  our names
                size_bytes = self._copy_content(row)
                self._target.execute("UPDATE job SET size_bytes = ? WHERE seq = ?", (size_bytes, row.seq))
        except (apsw.Error, TypeError, ValueError):
            return
        self.saved += 1
        for name, value in (("epoch", row.epoch), ("last_seq", row.seq), ("last_revision", row.revision)):
            self._most[name] = max(self._most[name], value)

    def floor(self, ledger: dict[str, int | str]) -> dict[str, int | str]:
        """The stored counts, at least as high as what the rows show: no number is given twice."""
        numbers = {name: max(int(ledger.get(name, 0)), value) for name, value in self._most.items()}
        return {**ledger, **numbers}

    def _copy_content(self, row: Row) -> int:
        intact: dict[Part, int] = {}
        for part in Part:
            found = self._content(row, part)
            if found is not None:
                values = {"seq": row.seq, "part": part.value, "sealed": found[0], "checksum": found[1]}
                self._target.execute(statements()["put_content"], values)
                intact[part] = len(found[0])
        if not _needed(JobState(row.state)) <= intact.keys():
            self.spoilt += 1
            intact[Part.ERROR] = self._spoil(row)
        return sum(intact.values())

    def _content(self, row: Row, part: Part) -> tuple[bytes, bytes] | None:
        try:
            found = self._source.execute(statements()["get_content"], {"seq": row.seq, "part": part.value}).fetchone()
            if found is None:
                return None
            self._contents.checked(row.id, row.caller, part, found[0], found[1])
        except (apsw.Error, DamagedError, TypeError, UnicodeDecodeError):
            return None
        return found[0], found[1]

    def _spoil(self, row: Row) -> int:
        """End it: what it needs is gone."""
        answered = row.state == JobState.SUCCEEDED.value
        error = error_pb2.Error(
            reason=Reason.ERROR_REASON_STORAGE_UNAVAILABLE,
            message=f"its stored {'answer' if answered else 'request'} was damaged",
            possibly_billed=row.attempt_count > 0,
        )
        sealed = self._contents.seal(row.id, row.caller, Part.ERROR, error.SerializeToString())
        self._contents.store(row.seq, sealed)
        self._target.execute(
            "UPDATE job SET state = ?, purge_due = max(purge_due, expire_due, 1), end_ms = max(end_ms, create_ms)"
            " WHERE seq = ?",
            (JobState.DEAD.value, row.seq),
        )
        return len(sealed.sealed)


def _needed(state: JobState) -> frozenset[Part]:
    if state is JobState.SUCCEEDED:
        return frozenset({Part.RESPONSE})
    return frozenset() if state in TERMINAL else frozenset({Part.REQUEST})


def _save_ledger(target: apsw.Connection, vault: Vault, values: dict[str, Any], *, lost: int) -> None:
    target.execute(statements()["create_ledger"], {"scheme": values.get("scheme", vault.scheme)})
    for name, value in values.items():
        target.execute(f"UPDATE ledger SET {name} = ?", (value,))  # noqa: S608  names of our own statement
    target.execute("UPDATE ledger SET lost_total = lost_total + ?", (lost,))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _replace(fresh: Path, path: Path) -> None:
    fresh.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
