"""The simulated cloud: owns the port, the connections, the tasks and the books.

`async with Simulator(config) as sim` runs it in the current loop. `stop` closes the port and cuts every connection, as
an outage does; `start` opens the same port again, with ledger, faults, files, batches and certificates as they were. A
test for "offline, then online" needs no more.
Every handler runs in one task group; it is entered and left in one task of the simulator's own, since fixtures enter
and leave a context in different tasks.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from . import batch_chat
from .certificates import Certificates, make_certificates
from .config import SimulatorConfig
from .doorman import Doorman
from .exchange import Exchange
from .host import Closable, ConnectionLimits, Stats, Work
from .parts import make_parts

BACKLOG = 1024
FORM_BYTES = 64 * 1024  # what a form puts around an uploaded file


class _Stopped(Exception):  # noqa: N818 - a way out, no error
    """Ends the task group with all its tasks."""


class Simulator:
    """See the module.

    `clock` is what rate limits, the context cache and the periods of faults go by: a test that turns one of its own
    waits for no minute. Waits are real in any case.
    """

    def __init__(self, config: SimulatorConfig | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config = config or SimulatorConfig()
        self.stats = Stats()
        self.limits = ConnectionLimits(
            max_body_bytes=config.max_body_bytes,
            max_upload_bytes=max(config.max_body_bytes, config.batch.file_bytes + FORM_BYTES),
            max_streams=config.max_streams,
        )
        parts = make_parts(config, self.stats, spawn=self.spawn, clock=clock)
        self.faults = parts.faults
        self.ledger = parts.ledger
        self.rates = parts.rates
        self.files = parts.files
        self.batches = parts.batches
        self._router = parts.router
        self._port = config.port
        self._files = ExitStack()
        self._certificates: Certificates | None = None
        self.undecided: set[Closable] = set()
        self._connections: set[Closable] = set()
        self._all_left: asyncio.Future[None] | None = None
        self._server: asyncio.Server | None = None
        self._group: asyncio.TaskGroup | None = None
        self._owner: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.faults.add(*config.faults)

    # life

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop for good."""
        await self.close()

    async def close(self) -> None:
        """Stop, and remove the certificates if nobody chose their directory."""
        await self.stop()
        self._files.close()
        self._certificates = None

    async def start(self) -> None:
        """Open the port; after a stop, the same one."""
        if self._server is not None:
            raise RuntimeError("the simulator runs already")
        config = self.config
        context = None
        if not config.plaintext:
            self._certificates = self._certificates or self._make_certificates()
            protocols = ["http/1.1"] if config.http1_only else ["h2", "http/1.1"]
            context = self._certificates.server_context(protocols)
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        self._stopping.clear()
        self._owner = asyncio.create_task(self._own_tasks(ready), name="simulator")
        await ready
        try:
            self._server = await loop.create_server(
                lambda: Doorman(self, http1_only=config.http1_only),
                config.host,
                self._port,
                ssl=context,
                backlog=BACKLOG,
                reuse_address=True,
            )
        except BaseException:
            await self.close()
            raise
        self._port = self._server.sockets[0].getsockname()[1]
        self.batches.resume()

    async def stop(self) -> None:
        """Close the port and cut every connection; harmless when repeated."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.ledger.settle_all_open()
        if self._connections:
            self._all_left = asyncio.get_running_loop().create_future()
        for connection in [*self._connections, *self.undecided]:
            connection.abort()
        if self._owner is not None:
            self._stopping.set()
            owner, self._owner = self._owner, None
            await owner
        if self._all_left is not None:
            await self._all_left
            self._all_left = None

    async def _own_tasks(self, ready: asyncio.Future[None]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                ready.set_result(None)
                await self._stopping.wait()
                raise _Stopped  # noqa: TRY301 - the way to cancel all tasks of a group
        except* _Stopped:
            self._group = None

    def _make_certificates(self) -> Certificates:
        config = self.config
        directory = config.directory
        if directory is None:
            directory = Path(self._files.enter_context(tempfile.TemporaryDirectory(prefix="edgeclient-sim-")))
        names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", config.host, *config.extra_names]))
        return make_certificates(directory.absolute(), names=names, mode=config.certificate)

    # where it is

    @property
    def port(self) -> int:
        """The port that is open."""
        return self._port

    @property
    def origin(self) -> str:
        """Scheme, host and port; the admin API is at `{origin}/__sim__/`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.host, self.config.host)
        host = f"[{host}]" if ":" in host else host
        return f"{'http' if self.config.plaintext else 'https'}://{host}:{self._port}"

    @property
    def base_url(self) -> str:
        """What a client is configured with."""
        return f"{self.origin}/compatible-mode/v1"

    @property
    def batch_chat_url(self) -> str:
        """The same for batch chats, at half the price."""
        return f"{self.origin}{batch_chat.ROOT}"

    @property
    def native_url(self) -> str:
        """What the provider's own API is under, of which there are only the quotas."""
        return f"{self.origin}/api/v1"

    @property
    def ca_file(self) -> Path | None:
        """The CA that clients have to trust; None without TLS."""
        return None if self._certificates is None else self._certificates.ca_file

    # what connections use (see `host.Host`)

    @property
    def accepting(self) -> bool:
        """Is the port open."""
        return self._group is not None and not self._stopping.is_set()

    def handle(self, exchange: Exchange) -> Work | None:
        """Hand a request to the router."""
        return self._router.handle(exchange)

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run work in the task group."""
        if self._group is None:
            raise RuntimeError("the simulator is stopped")
        return self._group.create_task(work, name=name)

    def joined(self, connection: Closable) -> int:
        """Number a new connection."""
        self._connections.add(connection)
        self.stats.connections_accepted += 1
        self.stats.connections_open_now += 1
        return self.stats.connections_accepted

    def left(self, connection: Closable) -> None:
        """Forget a closed connection."""
        if connection in self._connections:
            self._connections.remove(connection)
            self.stats.connections_open_now -= 1
        if self._all_left is not None and not self._connections and not self._all_left.done():
            self._all_left.set_result(None)
