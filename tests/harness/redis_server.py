"""A real Redis of this test's own, which can be stopped in every way there is."""

import asyncio
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
_GUARD_S = 20.0


class RedisServer:
    """`async with RedisServer(directory, "--requirepass", "x") as server`.

    Attributes:
        url: Its Unix socket.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on()
        self.kill()

    async def start(self) -> None:
        """Start it, and return when it answers."""
        self._directory.mkdir(exist_ok=True)
        self._process = subprocess.Popen(  # noqa: ASYNC220  a fork is quick, and `kill` is none of a coroutine
            [
                *("redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._directory)),
                *("--save", "", "--appendonly", "no", "--loglevel", "warning", "--logfile", "redis.log"),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(_GUARD_S):
            while not await self._answers():  # noqa: ASYNC110  nobody tells when another process listens
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        """As if the power had gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """It is there and does nothing: connections are taken, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `stop`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.write(b"PING\r\n")
        line = await reader.readline()
        writer.close()
        return line.startswith((b"+PONG", b"-NOAUTH"))
