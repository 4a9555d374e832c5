"""Where the usage comes from: the running node's admin port, or the files of a stopped one.

One rule, so that the same command works at any hour: ask the node; if nobody answers, read the files; if there are
none, say what was tried and what would be right.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeclient.cli.admin_page import NobodyAnswersError, admin_page
from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.core.accounts import UsageRow

_OK = 200
_NOT_FOUND = 404


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
    status, body = admin_page(admin, "/usage")
    if status == _NOT_FOUND:
        raise Failure(ExitCode.UNAVAILABLE, f"what answers at {admin} has no page /usage; is it an older edgeclient?")
    try:
        page = json.loads(body)
        rows = [UsageRow(**dict(zip(page["columns"], row, strict=True))) for row in page["rows"]]
        budgets = page["budgets"]
    except (ValueError, KeyError, TypeError):
        told = "" if status == _OK else f" (HTTP status {status})"
        raise Failure(ExitCode.UNAVAILABLE, f"what answers at {admin} is not an edgeclient node{told}") from None
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
