"""The node under proof: `edgeclient serve` as a process that is killed and started again.

Its log goes into one file at debug level, over all its lives, to be searched for content at the end.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import grpc.aio

from edgeclient.core.jobs import JobKind, JobState, ResendPolicy
from edgeclient.simulator import Simulator
from edgeclient.v1 import node_pb2, node_pb2_grpc

_START_S = 60.0
_FIRST_PORT, _CLIENT_PORTS = 20_000, 32_000
_END_S = 60.0
_USER_FIELD = 11  # of what follows the name of the program in /proc/*/stat; the system's part is the next
# A device's own patience is not what is proved: it comes back at once.
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """Attempts in flight at a kill.

    Attributes:
        count: Jobs and calls.
        resendable: Jobs that may be sent once more; each can cost one bill more, no other can.
    """

    count: int
    resendable: int


@dataclass(slots=True, kw_only=True)
class Node:
    """A node with one life after another.

    Attributes:
        home: Folder for its configuration, log and queue.
        listen: Address for devices, the same in every life.
        up: Set while it answers.
        ready_s: Time from the start of the process to the first answer, for each life that got there.
        ready_cpu_s: The processor's part of it, which does not depend on what else the machine does.
    """

    home: Path
    listen: str
    up: asyncio.Event = field(default_factory=asyncio.Event)
    ready_s: list[float] = field(default_factory=list)
    ready_cpu_s: list[float] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None
    _log: "asyncio.Task[None] | None" = None
    _started: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def prepared(cls, home: Path, cloud: Simulator, spool: Mapping[str, object]) -> "Node":
        """A node with its configuration written, not yet started."""
        node = cls(home=home, listen=f"127.0.0.1:{_free_port()}")
        text = _CONFIG.format(
            listen=node.listen,
            base_url=cloud.base_url,
            ca_file=cloud.ca_file,
            directory=node.spool,
            spool="\n".join(f"{name} = {json.dumps(value)}" for name, value in spool.items()),
        )
        node.config.write_text(text, encoding="utf-8")
        return node

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

    async def spawn(self) -> None:
        """Begin a life; returns at once."""
        self._started = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgeclient", "serve", "--config", self.config),
            env={name: value for name, value in os.environ.items() if not name.startswith("EDGECLIENT_")}
            | {"DASHSCOPE_API_KEY": "sk-proof"},
            stderr=asyncio.subprocess.PIPE,
        )
        self._log = asyncio.create_task(self._follow(self._process), name="log of the node")

    async def start(self) -> float:
        """Begin a life and wait until it answers; returns how long that took."""
        begun_s = time.monotonic()
        await self.spawn()
        async with asyncio.timeout(_START_S), self.channel() as channel:
            await self._started.wait()
            if self._process is None or self._process.returncode is not None:
                raise RuntimeError(f"the node did not start, see {self.log}:\n{self.log.read_text()[-2000:]}")
            stub: node_pb2_grpc.NodeServiceAsyncStub = node_pb2_grpc.NodeServiceStub(channel)
            await stub.GetNodeStatus(node_pb2.GetNodeStatusRequest(), wait_for_ready=True)
        self.ready_s.append(time.monotonic() - begun_s)
        self.ready_cpu_s.append(_cpu_s(self._process.pid))
        self.up.set()
        return self.ready_s[-1]

    async def kill(self) -> None:
        """End this life as a power cut would."""
        self.up.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._ended()

    async def stop(self) -> int:
        """End this life politely; returns the exit code."""
        self.up.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        return await self._ended()

    def sending(self) -> Sending:
        """Attempts that were in flight when it died, read from a copy of its files."""
        with tempfile.TemporaryDirectory() as folder:
            for file in self.spool.iterdir():
                if file.name.endswith((".db", ".db-wal")):
                    shutil.copy(file, folder)
            found = [_sending(file) for file in Path(folder).glob("*.db")]
        return Sending(count=sum(each.count for each in found), resendable=sum(each.resendable for each in found))

    async def _ended(self) -> int:
        if self._process is None or self._log is None:
            return 0
        async with asyncio.timeout(_END_S):
            code = await self._process.wait()
            await self._log
        return code

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        with self.log.open("ab") as log:
            async for line in process.stderr:
                log.write(line)
                if b'"node_started"' in line:
                    self._started.set()
        await process.wait()
        self._started.set()  # or it never will


def _sending(file: Path) -> Sending:
    connection = apsw.Connection(str(file))
    try:
        rows = list(
            connection.execute("SELECT kind, resend_policy FROM job WHERE state = ?", (JobState.SENDING.value,))
        )
    finally:
        connection.close()
    resendable = rows.count((JobKind.JOB.value, ResendPolicy.RESEND_ONCE.value))
    return Sending(count=len(rows), resendable=resendable)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return sum(map(int, fields[_USER_FIELD : _USER_FIELD + 2])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    """Below those that the system gives to clients, or one of them has it when the node comes back."""
    for port in random.SystemRandom().sample(range(_FIRST_PORT, _CLIENT_PORTS), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no free port")
