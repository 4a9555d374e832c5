"""The command line as a user meets it: a process of its own with pipes, or with a terminal."""

import asyncio
import fcntl
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 30
_KEY_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Nothing of the user's own settings, so that a test means the same everywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EDGECLIENT_", "LC_", "PYTHON"))}
    return kept | {"LANG": "C.UTF-8", "TERM": "xterm", **more}


async def command(*arguments: str | Path, stdin: bytes = b"", **variables: str) -> Finished:
    """Run to the end."""
    process = await started(*arguments, **variables)
    async with asyncio.timeout(_TIMEOUT_S):
        out, err = await process.communicate(stdin)
    return Finished(code=process.returncode or 0, out=out.decode(), err=err.decode())


async def started(*arguments: str | Path, **variables: str) -> asyncio.subprocess.Process:
    """Begin, with pipes."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edgeclient",
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**variables),
    )


class Terminal:
    """The person's end of a terminal."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, fd: int) -> None:
        self.process = process
        self.seen = ""
        self._reader = reader
        self._fd = fd

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._fd, text.encode())

    async def shows(self, expected: str) -> None:
        """Wait until the text appears after what was waited for before."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while expected not in self.seen:
                    self.seen += (await self._reader.read(4096)).decode("utf-8", "replace")
        except TimeoutError:
            raise AssertionError(f"{expected!r} is not in {self.seen!r}") from None
        self.seen = self.seen.partition(expected)[2]

    async def interrupted_code(self) -> int:
        """Press Ctrl-C until the end; once is not always enough.

        A signal that comes after readline drew the prompt and before it waits for keys is noticed with the next one
        only; people are not as quick as a test.
        """
        async with asyncio.timeout(_TIMEOUT_S):
            while self.process.returncode is None:
                self.type("\x03")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_KEY_INTERVAL_S):
                        await self.process.wait()
        return self.process.returncode or 0

    async def code(self) -> int:
        """Wait for the end."""
        async with asyncio.timeout(_TIMEOUT_S):
            return await self.process.wait()


@asynccontextmanager
async def terminal(*arguments: str | Path) -> AsyncIterator[Terminal]:
    """Begin at a terminal that is the controlling one, so that Ctrl-C is a signal."""
    ours, theirs = pty.openpty()
    process = await _at_terminal(arguments, theirs)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(ours), "rb", buffering=0)
    )
    try:
        yield Terminal(process, reader, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(theirs)
        transport.close()
        os.close(ours)


async def _at_terminal(arguments: Sequence[str | Path], theirs: int) -> asyncio.subprocess.Process:
    # The child takes the terminal itself: a preexec_fn would fork in a process that runs gRPC.
    take = (
        f"import fcntl, runpy, sys; fcntl.ioctl(0, {termios.TIOCSCTTY}, 0);"
        "sys.argv[0] = 'edgeclient'; runpy.run_module('edgeclient', run_name='__main__')"
    )
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        take,
        *map(str, arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(),
        start_new_session=True,
    )


def is_locked(path: Path) -> bool:
    """Another process holds the file."""
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
