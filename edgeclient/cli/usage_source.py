"""Where the usage comes from: the running node's admin port, or the files of a stopped one.

One rule, so that the same command works at any hour: ask the node; if nobody answers, read the files; if there are
none, say what was tried and what would be right.
"""

import json
import socket
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.core.accounts import UsageRow

_TIMEOUT_S = 10.0
_OK = 200
_NOT_FOUND = 404
_UNIX = "unix:"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "::1", "": "127.0.0.1"}


class NobodyAnswersError(Exception):
    """There is no node at the admin address; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was found.

    Attributes:
        rows: The usage.
        origin: Where it comes from, for a person.
        budgets: How budgets stand now; only a running node knows.
    """

    rows: list[UsageRow]
    origin: str
    budgets: list[dict[str, Any]] = field(default_factory=list)


def usage(*, admin: str, directory: str) -> Told:
    """What the node or its files tell.

    Args:
        admin: Address of the admin port; "": there is none to ask.
        directory: Folder of the queue; "": there is none.

    Raises:
        Failure: Neither does.
    """
    problem = ""
    if admin:
        try:
            return _from_node(admin)
        except NobodyAnswersError as error:
            problem = f"no node answers at {admin} ({error})"
    if directory:
        return _from_files(Path(directory), problem)
    details = [
        "If the node runs: --admin HOST:PORT names its admin port, which its setting admin.listen tells.",
        "If it is stopped: its usage is in the files of its queue; --config FILE or --directory DIR names them.",
        "A node without spool.directory keeps its usage in memory, and it is gone when the node stops.",
    ]
    raise Failure(
        ExitCode.UNAVAILABLE, problem or "the node has no admin port (admin.listen is empty)", details=details
    )


def _from_node(admin: str) -> Told:
    connection = _UnixConnection(admin.removeprefix(_UNIX)) if admin.startswith(_UNIX) else _tcp(admin)
    try:
        connection.request("GET", "/usage")
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NobodyAnswersError(reason or type(error).__name__) from None
    finally:
        connection.close()
    if response.status == _NOT_FOUND:
        raise Failure(ExitCode.UNAVAILABLE, f"what answers at {admin} has no page /usage; is it an older edgeclient?")
    try:
        page = json.loads(body)
        rows = [UsageRow(**dict(zip(page["columns"], row, strict=True))) for row in page["rows"]]
        budgets = page["budgets"]
    except (ValueError, KeyError, TypeError):
        status = "" if response.status == _OK else f" (HTTP status {response.status})"
        raise Failure(ExitCode.UNAVAILABLE, f"what answers at {admin} is not an edgeclient node{status}") from None
    return Told(rows=rows, origin=f"from the node at {admin}", budgets=budgets)


def _from_files(directory: Path, problem: str) -> Told:
    from edgeclient.spool.offline_accounts import stored_usage  # noqa: PLC0415  not for who asks a node
    from edgeclient.spool.offline_files import QueueInUseError, QueueUnusableError  # noqa: PLC0415

    try:
        rows = stored_usage(directory)
    except QueueInUseError:
        detail = "Ask the daemon that has them: --admin HOST:PORT names its admin port."
        sentence = f"{problem}, and" if problem else "the usage cannot be read:"
        raise Failure(ExitCode.TEMPORARY, f"{sentence} {directory} is in use by a daemon", details=[detail]) from None
    except QueueUnusableError as error:
        details = [f"It was looked for because {problem}."] if problem else []
        raise Failure(ExitCode.CONFIG, str(error), details=details) from None
    return Told(rows=rows, origin=f"from the files in {directory}")


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
