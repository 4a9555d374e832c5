"""A disk that loses power, fills up and fails, between SQLite and the real one.

It keeps apart what was synced and what was only written. A power cut leaves what was synced, any part of the rest, and
the last write of it torn at a sector. A failed sync drops what it should have made durable, as Linux does: the page
cache still shows it, the disk never gets it. A failed call says what the system's own would: SQLite takes a failed read
for a corrupt file, and a file whose status cannot be read for one that does not exist.

Every call is counted, in the order in which they come, so a fault can be put at each of them. What does not go by
SQLite (the lock, the ballast, the moves of a salvage) goes by `os`: see `SimulatedDisk.mounted`.
"""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

SECTOR_BYTES = 512
NEVER = 1 << 62
_SYSTEM = "unix"  # by name: the disk itself may be the default
Fault = Callable[[int, str], int | None]
"""Number and name of an I/O call → the errno that it fails with."""
_MEANINGS = {
    "open": (apsw.SQLITE_CANTOPEN, "unable to open database file"),
    "delete": (apsw.SQLITE_IOERR_DELETE, "disk I/O error"),
    "lock": (apsw.SQLITE_IOERR_LOCK, "disk I/O error"),
    "read": (apsw.SQLITE_CORRUPT, "database disk image is malformed"),
    "size": (apsw.SQLITE_IOERR_FSTAT, "disk I/O error"),
    "write": (apsw.SQLITE_IOERR_WRITE, "disk I/O error"),
    "truncate": (apsw.SQLITE_IOERR_TRUNCATE, "disk I/O error"),
    "sync": (apsw.SQLITE_IOERR_FSYNC, "disk I/O error"),
}
_FULL = (apsw.SQLITE_FULL, "database or disk is full")
_BY_NAME = {"rename": "rename", "replace": "rename", "unlink": "delete", "remove": "delete", "truncate": "truncate"}
_BY_DESCRIPTOR = {
    "ftruncate": "truncate",
    "posix_fallocate": "allocate",
    "pwrite": "write",
    "read": "read",
    "pread": "read",
    "fsync": "sync",
    "fdatasync": "sync",
}


@dataclass(slots=True)
class _State:
    durable: bytearray | None
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut to that size

    def settle(self) -> None:
        self.durable = _applied(self.durable, self.pending)
        self.pending.clear()


class SimulatedDisk(apsw.VFS):
    """SQLite's way to the disk.

    Args:
        name: For SQLite.
        everywhere: Every connection of this process goes this way, the one that a salvage reads with included.

    Attributes:
        calls: How many there were.
        trace: Their names.
        fault: Which of them fail.
        free_bytes: What it says is left, where it is mounted; None: as much as there is.
        unreadable: Path of a file that no read of works.
        power_ends_at: The number of the call from which on nothing happens any more.
    """

    def __init__(self, name: str, *, everywhere: bool = False) -> None:
        self.name = name
        self.states: dict[str, _State] = {}
        self.calls = 0
        self.trace: list[str] = []
        self.fault: Fault = lambda _number, _call: None
        self.free_bytes: int | None = None
        self.unreadable = ""
        self.power_ends_at = NEVER
        self._is_aside = False
        super().__init__(name, _SYSTEM, everywhere)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  SQLite's word
        self.happen("open")
        return _File(self, name, flags)

    def xDelete(self, name: str, sync_directory: bool) -> None:  # noqa: N802, FBT001  SQLite's words
        self.happen("delete")
        self.states.pop(name, None)
        super().xDelete(name, sync_directory)

    def xAccess(self, name: str, flags: int) -> bool:  # noqa: N802
        return not self.failure("access") and super().xAccess(name, flags)

    def excepthook(self, *_: Any) -> bool:
        """A fault that SQLite ignores is not one."""
        return True

    def failure(self, call: str, path: str = "") -> int:
        """A call comes; returns the errno that it fails with, or 0."""
        if self._is_aside:
            return 0
        self.calls += 1
        self.trace.append(call)
        if not self.has_power or (path and path == self.unreadable and call == "read"):
            return errno.EIO
        return self.fault(self.calls, call) or 0

    def happen(self, call: str, path: str = "") -> None:
        """A call of SQLite comes."""
        number = self.failure(call, path)
        if number:
            code, words = _FULL if number == errno.ENOSPC and call == "write" else _MEANINGS[call]
            error = apsw.exception_for(code)
            error.args = (words,)
            raise error

    @property
    def has_power(self) -> bool:
        return self.calls < self.power_ends_at

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What a test does itself meanwhile is not counted and does not fail."""
        self._is_aside = True
        try:
            yield
        finally:
            self._is_aside = False

    def holds(self, directory: Path) -> None:
        """All of a folder was written and synced long ago."""
        for path in directory.iterdir():
            self.states[str(path)] = _State(bytearray(path.read_bytes()))

    def copied(self, old: Path, new: Path) -> None:
        """The files of a folder have been copied: as little of them is synced as there."""
        for name, state in list(self.states.items()):
            if Path(name).parent == old:
                self.states[str(new / Path(name).name)] = _State(state.durable, list(state.pending))

    def leave(self, directory: Path, rng: random.Random, *, of: Path | None = None) -> None:
        """Write what a power cut leaves into a folder; `of`: from which one, if there are several."""
        directory.mkdir()
        for name, state in self.states.items():
            if of is not None and Path(name).parent != of:
                continue
            chance = rng.choice((0.0, 0.5, 0.9, 1.0))
            kept = [each for each in state.pending if rng.random() < chance]
            offset, data = kept[-1] if kept else (0, None)
            if data:
                kept[-1] = (offset, data[: rng.randrange(0, len(data) + 1, SECTOR_BYTES)])
            if state.durable is not None or kept:
                (directory / Path(name).name).write_bytes(_applied(state.durable, kept))

    @contextmanager
    def mounted(self, root: Path) -> Iterator[None]:
        """For now, what is done to files below a folder with `os` passes here, too."""
        with pytest.MonkeyPatch.context() as patch:
            for name, call in _BY_NAME.items():
                patch.setattr(os, name, partial(self._by_name, getattr(os, name), call, f"{root}{os.sep}"))
            for name, call in _BY_DESCRIPTOR.items():
                patch.setattr(os, name, partial(self._by_descriptor, getattr(os, name), call, f"{root}{os.sep}"))
            patch.setattr(os, "statvfs", partial(self._status, os.statvfs, str(root)))
            for name in ("open", "mkdir"):
                patch.setattr(os, name, partial(self._by_name, getattr(os, name), "open", f"{root}{os.sep}"))
            yield

    def _by_name(self, real: Callable[..., Any], call: str, root: str, path: Any, *more: Any, **named: Any) -> Any:
        if os.fspath(path).startswith(root):
            self._happen_to(path, call)
            if call == "rename":
                self._rename(os.fspath(path), os.fspath(more[0]))
            elif call == "delete":
                self.states.pop(os.fspath(path), None)
        return real(path, *more, **named)

    def _by_descriptor(self, real: Callable[..., Any], call: str, root: str, descriptor: int, *more: Any) -> Any:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if path.startswith(root):
            in_place = call == "write" and os.fstat(descriptor).st_size >= sum(map(len, more[:1])) + sum(more[1:])
            self._happen_to(path, "overwrite" if in_place else call)
        return real(descriptor, *more)

    def _status(self, real: Callable[[Any], os.statvfs_result], root: str, path: Any) -> os.statvfs_result:
        status = real(path)
        if self.free_bytes is None or not str(path).startswith(root):
            return status
        values = list(status)
        values[1], values[4] = 1, self.free_bytes  # f_frsize, f_bavail
        return os.statvfs_result(values)

    def _happen_to(self, path: Any, call: str) -> None:
        number = self.failure(call, os.fspath(path))
        if number:
            raise OSError(number, os.strerror(number), os.fspath(path))

    def _rename(self, old: str, new: str) -> None:
        state = self.states.pop(old, None)
        if state is not None:
            self.states[new] = state


class _File(apsw.VFSFile):
    def __init__(self, disk: SimulatedDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = path = name.filename() if isinstance(name, apsw.URIFilename) else name
        exists = Path(path).exists()
        super().__init__(_SYSTEM, name, flags)
        before = bytearray(Path(path).read_bytes()) if exists else None
        self._state = disk.states.setdefault(path, _State(before))

    def excepthook(self, *_: Any) -> bool:
        """As that of the disk."""
        return True

    def xLock(self, level: int) -> None:  # noqa: N802  SQLite's words
        self._disk.happen("lock")
        super().xLock(level)

    def xFileSize(self) -> int:  # noqa: N802
        self._disk.happen("size")
        return super().xFileSize()

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.happen("read", self._path)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        try:
            self._disk.happen("write")
        except apsw.FullError:  # there was room for a part of it
            self._write(data[: len(data) // 2], offset)
            raise
        self._write(data, offset)

    def _write(self, data: bytes, offset: int) -> None:
        self._state.pending.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.happen("truncate")
        self._state.pending.append((size, None))
        super().xTruncate(size)

    def xSync(self, _flags: int) -> None:  # noqa: N802
        try:
            self._disk.happen("sync")
        except Exception:
            if self._disk.has_power:  # else nothing happens any more, and what was written is as uncertain as it was
                self._state.pending.clear()
            raise
        self._state.settle()  # the real disk need not wait: what is durable here is in memory


@contextmanager
def simulated_disk(name: str, *, everywhere: bool = False) -> Iterator[SimulatedDisk]:
    disk = SimulatedDisk(name, everywhere=everywhere)
    try:
        yield disk
    finally:
        disk.unregister()


def _applied(durable: bytearray | None, changes: list[tuple[int, bytes | None]]) -> bytearray:
    image = bytearray(durable or b"")
    for offset, data in changes:
        if data is None:
            del image[offset:]
            continue
        if len(image) < offset:
            image.extend(bytes(offset - len(image)))
        image[offset : offset + len(data)] = data
    return image
