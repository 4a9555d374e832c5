"""A page of the node's admin port, over TCP or a socket file."""

import socket
from http.client import HTTPConnection, HTTPException

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure

_TIMEOUT_S = 10.0
_UNIX = "unix:"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "::1", "": "127.0.0.1"}


class NobodyAnswersError(Exception):
    """There is no node at the admin address; says why."""


def admin_page(admin: str, path: str) -> tuple[int, bytes]:
    """HTTP status and body of a page.

    Args:
        admin: Address of the admin port.
        path: Which page.

    Raises:
        NobodyAnswersError: Nothing answers there.
        Failure: The address is none.
    """
    connection = _UnixConnection(admin.removeprefix(_UNIX)) if admin.startswith(_UNIX) else _tcp(admin)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NobodyAnswersError(reason or type(error).__name__) from None
    finally:
        connection.close()


def _tcp(admin: str) -> HTTPConnection:
    host, _, port = admin.removeprefix("http://").rstrip("/").rpartition(":")
    if not port.isdigit():
        raise Failure(ExitCode.USAGE, f"{admin!r} is no address with a port, write for instance 127.0.0.1:9464")
    return HTTPConnection(_EVERYWHERE.get(host, host.strip("[]")), int(port), timeout=_TIMEOUT_S)


class _UnixConnection(HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)
