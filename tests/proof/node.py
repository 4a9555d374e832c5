"""The node under proof: `edgeclient serve` with one life after another.

Its log goes into one file at debug level, over all its lives, to be searched for content at the end.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from proof.nursery import Nursery

from edgeclient.simulator import Simulator
from edgeclient.v1 import node_pb2, node_pb2_grpc

_START_S = 60.0
_FIRST_PORT, _CLIENT_PORTS = 20_000, 32_000
_END_S = 60.0
_USER_FIELD = 11  # of what follows the name of the program in /proc/*/stat; the system's part is the next
_CHANNEL = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
_CONFIG = """\
[ingress]
listen = "{listen}"
[upstream]
base_url = "{base_url}"
ca_file = "{ca_file}"
proxy = "none"
probe_interval_s = 1
[chat]
default_model = "sim-echo"
[models.sim-echo]
[spool]
directory = "{directory}"
resume_spread_s = 0
retry_initial_s = 0.05
retry_max_s = 0.5
{spool}
[admin]
listen = ""
[log]
format = "json"
level = "debug"
"""


@dataclass(slots=True, kw_only=True)
class Node:
    """A node with one life after another.

    Attributes:
        home: Folder for its configuration, log and queue.
        listen: Address for devices, the same in every life.
        nursery: Where its lives come from.
        life: Number of the present life, from 1 on.
        up: Set while it answers.
        pid: Of the present life; 0: it has none.
        ready_s: Time from the start of the process to the first answer, for each life that got there.
        ready_cpu_s: The processor's part of it, which does not depend on what else the machine does.
    """

    home: Path
    listen: str
    nursery: Nursery
    life: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)
    pid: int = 0
    ready_s: list[float] = field(default_factory=list)
    ready_cpu_s: list[float] = field(default_factory=list)
    _log: "asyncio.Task[None] | None" = None
    _started: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def prepared(cls, home: Path, cloud: Simulator, spool: Mapping[str, object]) -> AsyncIterator["Node"]:
        """A node with its configuration written, not yet started; killed at the end if it lives."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EDGECLIENT_")}
        async with Nursery.opened(environ | {"DASHSCOPE_API_KEY": "sk-proof"}) as nursery:
            node = cls(home=home, listen=f"127.0.0.1:{_free_port()}", nursery=nursery)
            text = _CONFIG.format(
                listen=node.listen,
                base_url=cloud.base_url,
                ca_file=cloud.ca_file,
                directory=node.spool,
                spool="\n".join(f"{name} = {json.dumps(value)}" for name, value in spool.items()),
            )
            node.config.write_text(text, encoding="utf-8")
            try:
                yield node
            finally:
                await node.kill()

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.home / "edgeclient.toml"

    @property
    def spool(self) -> Path:
        """Folder of its queue."""
        return self.home / "spool"

    @property
    def log(self) -> Path:
        """Everything that it said."""
        return self.home / "node.log"

    def channel(self) -> grpc.aio.Channel:
        """A connection as a device has it."""
        return grpc.aio.insecure_channel(self.listen, options=_CHANNEL)

    async def begin(self, *, execute: bool, kill_after_s: float | None = None) -> bool:
        """Begin a life; returns True when it answers, False if it has ended before.

        Args:
            execute: As a new interpreter, not by a fork.
            kill_after_s: Kill it so long after its process has begun, whatever it is doing.
        """
        begun_s = time.monotonic()
        self._started = asyncio.Event()
        reading, writing = os.pipe()
        self._log = asyncio.create_task(self._follow(reading), name="log of the node")
        arguments = ["serve", "--config", str(self.config)]
        self.pid = await self.nursery.start(arguments, stderr=writing, execute=execute, kill_after_s=kill_after_s)
        self.life += 1
        if not await self._answers(self._log):
            return False
        self.ready_s.append(time.monotonic() - begun_s)
        self.ready_cpu_s.append(_cpu_s(self.pid))
        self.up.set()
        return True

    async def start(self, *, execute: bool = True) -> None:
        """Begin a life that has no reason to end."""
        if not await self.begin(execute=execute):
            await self.ended()
            raise RuntimeError(f"the node did not start, see {self.log}:\n{self.log.read_text()[-2000:]}")

    async def kill(self, *, after_s: float = 0.0) -> None:
        """End this life as a power cut would; returns when it has ended."""
        if self.pid:
            self.nursery.signal(signal.SIGKILL, after_s=after_s)
        await self.ended()

    async def stop(self) -> int:
        """End this life politely; returns the exit code."""
        self.nursery.signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Return the exit code when this life has ended."""
        if not self.pid or self._log is None:
            return 0
        async with asyncio.timeout(_END_S):
            await self._log
            self.up.clear()
            code = await self.nursery.reap()
        self.pid = 0
        return code

    async def _answers(self, log: "asyncio.Task[None]") -> bool:
        async with asyncio.timeout(_START_S):
            await self._started.wait()
            if log.done():
                return False
            async with self.channel() as channel:
                stub: node_pb2_grpc.NodeServiceAsyncStub = node_pb2_grpc.NodeServiceStub(channel)
                call = stub.GetNodeStatus(node_pb2.GetNodeStatusRequest(), wait_for_ready=True)
                first = asyncio.ensure_future(call.code())
                await asyncio.wait([first, log], return_when=asyncio.FIRST_COMPLETED)
                call.cancel()
                return await first is grpc.StatusCode.OK

    async def _follow(self, reading: int) -> None:
        """Keep what it says, until the last process that could say something has ended."""
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb"))
        with contextlib.closing(pipe), self.log.open("ab") as log:
            async for line in reader:
                log.write(line)
                if b'"node_started"' in line:
                    self._started.set()
        self._started.set()  # or it never will


def _cpu_s(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:  # it was killed in the meantime
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[_USER_FIELD : _USER_FIELD + 2])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    """Below those that the system gives to clients, or one of them has it when the node comes back."""
    for port in random.SystemRandom().sample(range(_FIRST_PORT, _CLIENT_PORTS), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")
