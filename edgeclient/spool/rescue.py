"""Reading what can be read of a damaged queue, row by row, into a sound one.

What becomes of a row is decided in `copier.py`. What could not be saved is counted, and so is each flaw, for whoever
wants to look twice; if the counts of the queue are themselves damaged, the mark has them too.

Only the source may fail: what the disk refuses to write is no flaw of a row, and ends it all.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edgeclient.spool import account_rows
from edgeclient.spool.copier import Copier
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.half_price import batch_rows
from edgeclient.spool.ledger import ledger_of
from edgeclient.spool.sealing import Vault
from edgeclient.spool.statements import statements

_GAP = 20_000  # rows that one damaged page can hide are far fewer
_SAMPLES = 16  # a disk that is gone may take seconds to refuse each
_SAMPLE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescued:
    """What was found.

    Attributes:
        saved, lost: Rows.
        spoilt: Rows of those saved that ended because something of them is damaged.
        flaws: Reads that failed or found something else than was written.
    """

    saved: int
    lost: int
    spoilt: int
    flaws: int


def rescue(
    path: Path, target: apsw.Connection, *, vault: Vault, reached: Mapping[str, int | str], retention_s: float
) -> Rescued:
    """Copy it all.

    Args:
        path: The damaged file.
        target: The sound queue.
        vault: How content is sealed.
        reached: The counts as the mark has them.
        retention_s: How long a job is kept that ends here.

    Raises:
        apsw.Error: The target cannot be written.
        OSError: Nothing can be read at all for now.
    """
    source = _open_damaged(path)
    if source is None:
        refuse_unreadable(path)
        lost = max(_expected(reached), 1)
        _save_ledger(target, vault, {**reached, "accepted_total": lost + _gone(reached)}, lost=lost)
        return Rescued(saved=0, lost=lost, spoilt=0, flaws=1)
    try:
        found = _ledger(source)
        ledger = found or dict(reached)
        kept_until = int(ledger.get("queue_ms", 0)) + int(retention_s * 1000)
        copier = Copier(source, target, vault, kept_until=kept_until)
        with target:
            copier.flaws += not found
            copier.copy_keys()
            account_rows.rescue(source, target)
            for row in _rows(source, int(ledger.get("last_seq", 0)), copier.flawed):
                copier.copy(row)
            copier.finish(ledger)
            batch_rows.rescue(source, target)
            expected = max(_expected(ledger), copier.seen)
            lost = expected - copier.saved
            totals = {"accepted_total": expected + _gone(ledger)}
            _save_ledger(target, vault, {**ledger, **copier.numbers, **totals}, lost=lost)
    finally:
        with contextlib.suppress(apsw.Error):
            source.close(force=True)
    return Rescued(saved=copier.saved, lost=lost, spoilt=copier.spoilt, flaws=copier.flaws)


def refuse_unreadable(path: Path) -> None:
    """Nothing at all can be read: the disk is gone, perhaps for a moment only, and the file may be sound.

    Raises:
        OSError: So it is.
    """
    problem: OSError | None = None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size_bytes = os.fstat(descriptor).st_size
        for number in range(_SAMPLES):
            try:
                os.pread(descriptor, _SAMPLE_BYTES, size_bytes * number // _SAMPLES)
            except OSError as error:
                problem = error
            else:
                return
    finally:
        os.close(descriptor)
    if problem is not None:
        raise problem


def _open_damaged(path: Path) -> apsw.Connection | None:
    try:
        source = apsw.Connection(str(path))
    except apsw.Error:
        return None
    try:
        source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # leave it as it is
        source.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        source.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        source.execute("PRAGMA trusted_schema = OFF").fetchall()
        source.execute("PRAGMA writable_schema = ON").fetchall()  # else a file that was cut is not read at all
        source.execute("SELECT seq FROM job LIMIT 0").fetchall()
    except apsw.Error:
        with contextlib.suppress(apsw.Error):
            source.close(force=True)
        return None
    return source


def _ledger(source: apsw.Connection) -> dict[str, int | str]:
    """The stored counts; {} if they are not what was written."""
    try:
        cursor = source.execute("SELECT * FROM ledger")
        _, *names = [column[0] for column in cursor.get_description()]
        found = cursor.fetchone()
        if found is None:
            return {}
        if names[-1] != "checksum":  # from before there were any
            return dict(zip(names, found[1:], strict=True))
        return ledger_of(found[1:]).values()
    except (apsw.Error, UnicodeDecodeError, DamagedDatabaseError, TypeError, ValueError):
        return {}


def _expected(ledger: Mapping[str, int | str]) -> int:
    """How many rows there ought to be."""
    return int(ledger.get("accepted_total", 0)) - _gone(ledger)


def _gone(ledger: Mapping[str, int | str]) -> int:
    return int(ledger.get("purged_total", 0)) + int(ledger.get("lost_total", 0))


def _rows(source: apsw.Connection, last_seq: int, flawed: Callable[[], None]) -> Iterator[tuple[Any, ...]]:
    """Every row that can be read: in order, and past a damaged page one by one."""
    position = -1
    end = last_seq or None
    while True:
        try:
            for found in source.execute("SELECT * FROM job WHERE seq > ? ORDER BY seq", (position,)):
                if found[0] > position:  # a damaged tree may lead back
                    position = found[0]
                    yield found
        except (apsw.Error, UnicodeDecodeError):
            flawed()
            following = _next_readable(source, position + 1, end if end is not None else position + _GAP)
            if following is None:
                return
            position = following[0]
            yield following
        else:
            return


def _next_readable(source: apsw.Connection, start: int, end: int) -> tuple[Any, ...] | None:
    for seq in range(start, end + 1):
        with contextlib.suppress(apsw.Error, UnicodeDecodeError):
            found = source.execute("SELECT * FROM job WHERE seq = ?", (seq,)).fetchone()
            if found is not None:
                return tuple(found)
    return None


def _save_ledger(target: apsw.Connection, vault: Vault, values: Mapping[str, Any], *, lost: int) -> None:
    target.execute(statements()["create_ledger"], {"scheme": values.get("scheme", vault.scheme)})
    for name, value in values.items():
        target.execute(f"UPDATE ledger SET {name} = ?", (value,))  # noqa: S608  names of our own statement
    target.execute("UPDATE ledger SET lost_total = lost_total + ?", (lost,))
