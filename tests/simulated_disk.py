"""A disk that loses power, fills up and fails, between SQLite and the real one.

It keeps apart what was synced and what was only written. A power cut leaves what was synced, any part of the rest, and
the last write of it torn at a sector. A failed sync drops what it should have made durable, as Linux does: the page
cache still shows it, the disk never gets it.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

SECTOR_BYTES = 512
NEVER = 1 << 62
Fault = Callable[[int, str], Exception | None]
"""Number and name of an I/O call → what it raises."""


@dataclass(slots=True)
class _State:
    durable: bytearray | None
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut to that size

    def settle(self) -> None:
        self.durable = _applied(self.durable, self.pending)
        self.pending.clear()


class SimulatedDisk(apsw.VFS):
    def __init__(self, name: str) -> None:
        self.name = name
        self.states: dict[str, _State] = {}
        self.calls = 0
        self.fault: Fault = lambda _number, _call: None
        self.power_ends_at = NEVER
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  SQLite's word
        return _File(self, name, flags)

    def xDelete(self, name: str, sync_directory: bool) -> None:  # noqa: N802, FBT001  SQLite's words
        self.happen("delete")
        self.states.pop(name, None)
        super().xDelete(name, sync_directory)

    def excepthook(self, *_: Any) -> bool:
        """A fault that SQLite ignores is not one."""
        return True

    def happen(self, call: str) -> None:
        self.calls += 1
        if not self.has_power:
            raise apsw.IOError("no power")
        error = self.fault(self.calls, call)
        if error is not None:
            raise error

    @property
    def has_power(self) -> bool:
        return self.calls < self.power_ends_at

    def leave(self, directory: Path, rng: random.Random) -> None:
        """Write what a power cut leaves into a folder."""
        directory.mkdir()
        for name, state in self.states.items():
            chance = rng.choice((0.0, 0.5, 0.9, 1.0))
            kept = [each for each in state.pending if rng.random() < chance]
            offset, data = kept[-1] if kept else (0, None)
            if data:
                kept[-1] = (offset, data[: rng.randrange(0, len(data) + 1, SECTOR_BYTES)])
            if state.durable is not None or kept:
                (directory / Path(name).name).write_bytes(_applied(state.durable, kept))


class _File(apsw.VFSFile):
    def __init__(self, disk: SimulatedDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        exists = Path(path).exists()
        super().__init__("", name, flags)
        before = bytearray(Path(path).read_bytes()) if exists else None
        self._state = disk.states.setdefault(path, _State(before))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.happen("write")
        self._state.pending.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.happen("truncate")
        self._state.pending.append((size, None))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        try:
            self._disk.happen("sync")
        except Exception:
            if self._disk.has_power:  # else nothing happens any more, and what was written is as uncertain as it was
                self._state.pending.clear()
            raise
        self._state.settle()
        super().xSync(flags)


@contextmanager
def simulated_disk(name: str) -> Iterator[SimulatedDisk]:
    disk = SimulatedDisk(name)
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
