"""The installed daemon as a process of its own: started, read, signalled and ended as an init system does it.

Every line that it writes is kept, so a test can prove what is *not* in them.
"""

import asyncio
import contextlib
import json
import os
import signal
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc.aio
from fakes.command_line import Finished, environment

from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2_grpc, node_pb2_grpc

if TYPE_CHECKING:
    from edgeclient.v1.chat_pb2_grpc import ChatServiceAsyncStub
    from edgeclient.v1.node_pb2_grpc import NodeServiceAsyncStub

API_KEY = "sk-9f8e7d6c5b4a-acceptance"
GUARD_S = 20.0
_PROGRAM = Path(sysconfig.get_path("scripts")) / "edgeclient"
_LOOPBACK = {"ingress.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0", "upstream.proxy": "none"}


def for_cloud(sim: Simulator) -> dict[str, str]:
    """The settings that point at a simulated cloud."""
    return {"upstream.base_url": sim.base_url, "upstream.ca_file": str(sim.ca_file or "")}


class Daemon:
    """`async with Daemon(for_cloud(sim)) as daemon`; it is ended at the end, whatever happens.

    Args:
        settings: By path, as for `--set`.
        key: API key in its environment; "" for none.
        under: A command that runs it, such as one that takes its rights.
        file: Its configuration file.
        variables: More of its environment.

    Attributes:
        facts: The log, line by line, decoded.
        output: All that it wrote, as text.
        address: Of the port for devices.
        admin: Of the port for operators.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        key: str = API_KEY,
        under: Sequence[str] = (),
        file: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._under = under
        self._file = ("--config", str(file)) if file else ()
        self._settings = {**_LOOPBACK, **settings}
        self._environment = environment(**({"DASHSCOPE_API_KEY": key} if key else {}), **(variables or {}))
        self._changed = asyncio.Condition()
        self._process: asyncio.subprocess.Process
        self._readers: list[asyncio.Task[None]] = []
        self.facts: list[dict[str, Any]] = []
        self.output = ""
        self.address = ""
        self.admin = ""
        self.channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        await self._begin()
        try:
            started = await self.says("node_started")
        except BaseException:
            await self._end()
            raise
        self.address, self.admin = started["listen"], started["admin"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def fails(self) -> Finished:
        """Start what must not start; returns what it left behind."""
        await self._begin()
        try:
            code = await self.code()
        finally:
            await self._end()
        return Finished(code=code, out="", err=self.output)

    @property
    def chat(self) -> "ChatServiceAsyncStub":
        """The chat service, in plaintext."""
        return chat_pb2_grpc.ChatServiceStub(self._opened())

    @property
    def node(self) -> "NodeServiceAsyncStub":
        """The node service, in plaintext."""
        return node_pb2_grpc.NodeServiceStub(self._opened())

    async def says(self, word: str, condition: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The first line of the log with this word for which the condition holds; waits for it."""

        def found() -> dict[str, Any] | None:
            return next((fact for fact in self.facts if fact["event"] == word and condition(fact)), None)

        try:
            async with asyncio.timeout(GUARD_S), self._changed:
                await self._changed.wait_for(lambda: found() or all(reader.done() for reader in self._readers))
        except TimeoutError:
            raise AssertionError(f"it does not say {word}:\n{self.output}") from None
        fact = found()
        assert fact is not None, f"it ended without saying {word}:\n{self.output}"
        return fact

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def code(self) -> int:
        """The exit code, once it has ended by itself and all its output is read."""
        async with asyncio.timeout(GUARD_S):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def page(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the admin port."""
        host, _, port = self.admin.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(GUARD_S):
            answer = (await reader.read()).decode()
        writer.close()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split(" ")[1]), body

    def _opened(self) -> grpc.aio.Channel:
        if self.channel is None:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
            self.channel = grpc.aio.insecure_channel(self.address, options=options)
        return self.channel

    async def _begin(self) -> None:
        arguments = [part for path, value in self._settings.items() for part in ("--set", f"{path}={value}")]
        self._process = await asyncio.create_subprocess_exec(
            *self._under,
            _PROGRAM,
            "serve",
            *self._file,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=os.sep,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(stream), name="output of the daemon")
            for stream in (self._process.stdout, self._process.stderr)
        ]

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := (await stream.readline()).decode(errors="replace"):
            async with self._changed:
                self.output += line
                with contextlib.suppress(ValueError):
                    self.facts.append(json.loads(line))
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    async def _end(self) -> None:
        if self.channel is not None:
            await self.channel.close()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._readers)
