"""The HTTP port for operators: opens it, closes it, and finds the page for a path.

Made for probes, Prometheus and a curious person with curl: plain HTTP/1.1, GET and HEAD, no bodies, no secrets. It is
on loopback unless told otherwise; it asks for no credential, so it belongs on a network for operators. A page that
fails is answered with 500 and reported as a defect; the port stays open.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from http import HTTPStatus
from traceback import extract_tb

from edgeclient.config.setting import SettingError
from edgeclient.core.events import DefectFound
from edgeclient.core.ports import Observe
from edgeclient.telemetry.admin_connection import AdminConnection, AdminLimits
from edgeclient.telemetry.admin_pages import MakePage, Page, problem

_UNIX = "unix:"
_CLOSE_TIMEOUT_S = 1.0  # an answer on its way to a scraper gets this long when the node stops
_BACKLOG = 64


class AdminServer:
    """The port for operators.

    Args:
        listen: Address and port, or `unix:` and a path.
        pages: What each path says.
        observe: Takes the defects.
        limits: What the peers may use.
    """

    def __init__(
        self, listen: str, *, pages: Mapping[str, MakePage], observe: Observe, limits: AdminLimits | None = None
    ) -> None:
        self.limits = limits or AdminLimits()
        self._listen = listen
        self._pages = pages
        self._observe = observe
        self._server: asyncio.Server | None = None
        self._connections: set[AdminConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._address = ""

    @property
    def address(self) -> str:
        """The address as bound, such as `127.0.0.1:9464`; "" while closed."""
        return self._address

    async def start(self) -> None:
        """Open the port.

        Raises:
            SettingError: It cannot be opened.
        """
        loop = asyncio.get_running_loop()
        try:
            if self._listen.startswith(_UNIX):
                path = self._listen.removeprefix(_UNIX)
                self._server = await loop.create_unix_server(self._connection, path, backlog=_BACKLOG)
                self._address = self._listen
            else:
                host, _, port = self._listen.rpartition(":")
                host = host.strip("[]")
                self._server = await loop.create_server(self._connection, host, int(port), backlog=_BACKLOG)
                self._address = _text(self._server.sockets[0].getsockname())
        except OSError as error:
            raise SettingError([f"admin.listen: {_sentence(self._listen, error)}"]) from error

    async def close(self) -> None:
        """Close the port and all its connections; answers on their way are still delivered. May be called again."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in tuple(self._connections):
            connection.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._empty.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()
            await self._empty.wait()
        await server.wait_closed()
        if self._address.startswith(_UNIX):
            _remove(self._address.removeprefix(_UNIX))
        self._address = ""

    def joined(self, connection: AdminConnection) -> bool:
        """Register an open connection; False if there are too many."""
        self._connections.add(connection)
        self._empty.clear()
        return len(self._connections) <= self.limits.max_connections

    def left(self, connection: AdminConnection) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def page(self, path: str, accept: str) -> Page:
        """The page for a path."""
        make = self._pages.get(path)
        if make is None:
            return problem(HTTPStatus.NOT_FOUND, f"There is no such page here; there are {', '.join(self._pages)}")
        try:
            return make(accept)
        except Exception as error:  # noqa: BLE001  the port outlives any page
            self._observe(_defect(path, error))
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This page failed; the log says where")

    def _connection(self) -> AdminConnection:
        return AdminConnection(self)


def _text(name: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _sentence(listen: str, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"{listen} names a host that cannot be resolved; write an address of this machine"
    if error.errno == errno.EADDRINUSE:
        return f"{listen} is in use by another program; stop that or choose another port"
    if error.errno == errno.EACCES:
        return f"{listen} may not be opened by this user; choose a port above 1023, or a directory it may write to"
    if error.errno == errno.EADDRNOTAVAIL or "could not bind on any address" in str(error):  # Python 3.13 says it so
        return f"{listen} is no address of this machine; 0.0.0.0 stands for all that it has"
    return f"{listen} cannot be opened: {error.strerror or error}"


def _defect(path: str, error: Exception) -> DefectFound:
    frames = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in extract_tb(error.__traceback__)]
    return DefectFound(call_id="", where=f"admin {path}", kind=type(error).__name__, traceback="\n".join(frames))


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108  the loop made it under this very text
    except FileNotFoundError:  # newer versions of Python have removed it already
        return
