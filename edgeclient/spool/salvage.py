"""Saving what can be saved of a damaged queue, row by row, into a fresh one.

What a row needs to be saved stands in `rescue`. The damaged file is kept beside the new one for whoever wants to look,
as long as finished jobs are kept, and no longer than until something is erased: it may hold that too.

It must never be a loop and never lose by being killed: the new file is complete before the damaged one is moved, and a
start that finds only the new one puts it in place. Nor may a disk that fails for a moment lose anything, which SQLite
cannot tell from damage: what does not read is looked at again from the beginning until two looks find the same, and of
a file that does not read at all nothing is taken for lost.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from edgeclient.core.errors import Reason, Rejected
from edgeclient.spool.database import NAME
from edgeclient.spool.rescue import Rescued, refuse_unreadable

_SUFFIX = ".salvage"
_LOGS = ("-wal", "-journal", "-shm")
_MOST_LOOKS = 5

Connect = Callable[[Path], apsw.Connection]
Save = Callable[[Path, apsw.Connection], Rescued]


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What came of it.

    Attributes:
        saved, lost: Rows. `lost` is at least 1 if the file could not be read at all.
        spoilt: Rows of those saved that ended because something of them was damaged.
        moved_to: The damaged file.
    """

    saved: int
    lost: int
    spoilt: int
    moved_to: Path


def finish_interrupted(path: Path) -> None:
    """A salvage was killed: put its complete result in place, or throw its incomplete one away."""
    fresh = path.with_name(path.name + _SUFFIX)
    if not fresh.exists():
        return
    if path.exists():
        _remove(fresh)
        return
    for suffix in _LOGS:  # of the damaged file, which was moved; its content is in the new one
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _replace(fresh, path)


def salvage(path: Path, *, connect: Connect, save: Save) -> Salvaged:
    """Make a sound queue of a damaged one, in its place.

    Args:
        path: The damaged file.
        connect: Makes and opens the fresh one.
        save: Copies what can be saved into it, see `rescue`.

    Raises:
        apsw.Error, OSError: The storage cannot be used; the damaged file is where it was.
    """
    fresh = path.with_name(path.name + _SUFFIX)
    found = _rescued(path, fresh, connect, save)
    for _ in range(_MOST_LOOKS - 1):
        if not found.flaws:
            break
        before, found = found, _rescued(path, fresh, connect, save)
        refuse_unreadable(path)
        if found == before:
            break
    _sync(path.parent)
    moved_to = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
    path.rename(moved_to)  # its log after it: the file without its log would be another file
    for suffix in _LOGS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(moved_to.with_name(moved_to.name + suffix))
    _replace(fresh, path)
    return Salvaged(saved=found.saved, lost=found.lost, spoilt=found.spoilt, moved_to=moved_to)


def drop_damaged(directory: Path, *, older_than_s: float = 0.0) -> None:
    """Delete damaged files that were moved aside.

    Raises:
        Rejected: The storage refuses; then one of them may still hold what was erased.
    """
    before_s = time.time() - older_than_s
    for path in directory.glob(f"{NAME}.damaged-*"):
        try:
            if path.stat().st_mtime <= before_s:
                path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            sentence = f"{path.name} cannot be deleted ({error.strerror}) and may hold what was erased; erase it again"
            raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, sentence) from None


def _rescued(path: Path, fresh: Path, connect: Connect, save: Save) -> Rescued:
    _remove(fresh)
    target = connect(fresh)
    try:
        found = save(path, target)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        target.close(force=True)
    return found


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _replace(fresh: Path, path: Path) -> None:
    fresh.rename(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
