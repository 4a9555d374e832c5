"""A small disk of its own for a test: a tmpfs in a mount namespace, which the kernel has to permit."""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_UNSHARE = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
_HOLD = """
mount -t tmpfs -o mode=700,"$2" edgeclient "$1" && echo mounted && exec cat
"""


class Volume:
    """A disk below a folder, seen by those who run under `inside`. Skips the test where the kernel forbids it.

    Args:
        folder: Where it is mounted; it exists.
        options: Such as `size=8m`, as for mount(8).

    Attributes:
        folder: Its path for who is inside.
        inside: The command that runs another one inside.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder
        self.inside: tuple[str, ...] = ()
        self._options = options
        self._holder: asyncio.subprocess.Process

    @property
    def seen(self) -> Path:
        """Its path for the test."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    @property
    def free_bytes(self) -> int:
        """What is left for files."""
        disk = os.statvfs(self.seen)
        return disk.f_bavail * disk.f_frsize

    def fill(self) -> None:
        """Somebody else takes all that is left."""
        with (self.seen / "somebody else").open("ab", buffering=0) as file:
            while self.free_bytes:
                file.write(bytes(min(self.free_bytes, 65536)))

    def clear(self) -> None:
        """Somebody else gives it back."""
        (self.seen / "somebody else").unlink()

    async def turn_read_only(self) -> None:
        """From now on nobody writes; nobody may have a file open for writing."""
        process = await asyncio.create_subprocess_exec(*self.inside, "mount", "-o", "remount,ro", self.folder)
        assert 0 == await process.wait()

    async def __aenter__(self) -> Self:
        try:
            self._holder = await asyncio.create_subprocess_exec(
                *_UNSHARE, "sh", "-c", _HOLD, "sh", self.folder, self._options,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except FileNotFoundError:
            pytest.skip("there is no unshare(1) here")
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if await self._holder.stdout.readline() != b"mounted\n":
            problem = (await self._holder.stderr.read()).decode().strip()
            await self._holder.wait()
            pytest.skip(f"no disk can be mounted here: {problem}")
        users = () if os.geteuid() == 0 else ("-U", "--preserve-credentials")
        self.inside = ("nsenter", "-t", str(self._holder.pid), "-m", *users)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._holder.communicate(b"")  # its input ends, so it ends
