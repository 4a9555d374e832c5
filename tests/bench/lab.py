"""What the measurements of whole nodes share: a simulated cloud, devices, and daemons that come and go between them."""

import os
import platform
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import msgspec
from bench.daemon import daemon, free_port
from bench.process import ALL_CORES, OTHER_CORES, SUBJECT_CORES, Process, role
from bench.sim import SimulatedCloud, await_listener
from bench.traces import Ask, Seen

_REPLAY_WITHIN_S = 300.0
_PAGE_WITHIN_S = 20.0
_NONE: Mapping[str, Any] = MappingProxyType({})


class Node:
    """A daemon that listens.

    Args:
        address: Where.
        operators: Its port for operators.
        process: It.

    Attributes:
        address: As given.
        process: As given.
    """

    def __init__(self, address: str, operators: str, process: Process) -> None:
        self.address = address
        self.process = process
        self._operators = operators

    def metric(self, series: str) -> float:
        """The value of a series, as it stands on the page, labels included; 0 if it is not there.

        Raises:
            OSError: The port does not answer.
        """
        with urllib.request.urlopen(f"http://{self._operators}/metrics", timeout=_PAGE_WITHIN_S) as page:
            lines = page.read().decode().splitlines()
        return float(next((line.rpartition(" ")[2] for line in lines if line.startswith(f"{series} ")), 0.0))


class Lab:
    """Everything but the daemons; `with` it.

    Args:
        cloud_flags: Flags of `edgeclient sim`.

    Attributes:
        directory: For files; gone at the end.
        cloud: The provider.
    """

    def __init__(self, *cloud_flags: str) -> None:
        self._flags = cloud_flags
        self._stack = ExitStack()
        self._numbers = count()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeclient-bench-")))
            cloud = SimulatedCloud(self._new("cloud"), free_port(), cores=OTHER_CORES, flags=self._flags)
            self.cloud = stack.enter_context(cloud)
            self._devices = stack.enter_context(role("devices", cores=OTHER_CORES, log=self.directory / "devices.log"))
            self._devices.hear()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def node(
        self,
        settings: Mapping[str, str] = _NONE,
        *,
        tables: str = "",
        queue: Path | None = None,
        cloud: Mapping[str, Any] = _NONE,
    ) -> Iterator[Node]:
        """A daemon.

        Args:
            settings: Of it.
            tables: Rows of its configuration file.
            queue: Folder of its durable queue; None: it has none.
            cloud: Another cloud than this one.
        """
        folder = self._new("node")
        (folder / "edgeclient.toml").write_text(tables, encoding="utf-8")
        own = {"spool.directory": str(queue), "spool.resume_spread_s": "0"} if queue else {}
        address, operators = (f"127.0.0.1:{free_port()}" for _ in range(2))
        process = daemon(
            cloud or self.cloud.facts,
            address,
            cores=SUBJECT_CORES,
            log=folder / "log",
            settings=own | {"admin.listen": operators} | dict(settings),
            tables=folder / "edgeclient.toml",
        )
        with process:
            await_listener(process, address)
            yield Node(address, operators, process)

    def queue(self, like: Path | None = None) -> Path:
        """A folder for a durable queue: a new one, or a copy of one whose daemon has ended."""
        folder = self._new("queue")
        if like is not None:
            shutil.copytree(like, folder, dirs_exist_ok=True)
        return folder

    def filled(self, jobs: Sequence[Ask], *, tables: str = "", settings: Mapping[str, str] = _NONE) -> Path:
        """A queue with these jobs in it: accepted by a daemon whose provider cannot be reached."""
        queue = self.queue()
        nowhere = {"port": free_port(), "ca_file": self.cloud.facts["ca_file"]}
        with self.node(settings, tables=tables, queue=queue, cloud=nowhere) as node:
            self.submit(node, jobs)
        return queue

    def replay(self, node: Node, asks: Sequence[Ask], connections: Mapping[str, int]) -> list[Seen]:
        """Make calls when they are due.

        Args:
            node: Who is called.
            asks: The calls, in order.
            connections: How many each device has; of at most a hundred calls at a time each.
        """
        results = self._file("seen")
        self._devices.order(
            "replay",
            within_s=_REPLAY_WITHIN_S,
            address=node.address,
            asks=str(self._written(asks)),
            results=str(results),
            connections=dict(connections),
        )
        return msgspec.json.decode(results.read_bytes(), type=list[Seen])

    def submit(self, node: Node, jobs: Sequence[Ask]) -> float:
        """Have jobs accepted, as fast as that goes; returns how many a second."""
        said = self._devices.order("submit", address=node.address, asks=str(self._written(jobs)))
        return float(said["accepted"] / said["wall_s"])

    def await_no_jobs(self, node: Node, *, within_s: float = 60.0) -> float:
        """Return when all jobs of a node have ended: after how many seconds."""
        said = self._devices.order("await_no_jobs", within_s=within_s, address=node.address, limit_s=within_s)
        return float(said["wall_s"])

    def _written(self, asks: Sequence[Ask]) -> Path:
        file = self._file("asks")
        file.write_bytes(msgspec.json.encode(asks))
        return file

    def _new(self, what: str) -> Path:
        folder = self._file(what)
        folder.mkdir()
        return folder

    def _file(self, what: str) -> Path:
        return self.directory / f"{what}-{next(self._numbers)}"


def machine(where: str = "daemons on core {core}, devices and cloud on the others") -> str:
    """One line about what it is measured on.

    Args:
        where: What runs on which core, if there are several.
    """
    cores = f"{len(ALL_CORES)} cores"
    if len(ALL_CORES) > 1:
        cores += f", {where.format(core=min(SUBJECT_CORES))}"
    load = f"load {os.getloadavg()[0]:.2f} at the start"
    return f"{platform.machine()}, {cores}; Python {platform.python_version()}, {load}"
