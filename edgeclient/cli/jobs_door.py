"""What the commands of `jobs` ask, of a running node or of the files of a stopped one.

Two doors to the same jobs, and they differ in what they may do. The node's API shows a caller its own jobs. The files
show an operator everything, and are nobody's but the daemon's while it runs. So whoever needs all callers, a retry or
a check stops the daemon first; there is no third way round its back.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from edgeclient.cli.job_view import View

NODE_STATES = ("pending", "running", "succeeded", "failed", "cancelled", "expired")
FILE_STATES = (
    "queued",
    "sending",
    "retry_wait",
    "submitted",
    "uncertain",
    "succeeded",
    "failed",
    "expired",
    "cancelled",
    "dead",
    "erased",
)


class JobsDoor(Protocol):
    """The commands that work either way."""

    def listed(self, *, states: Sequence[str], caller: str, limit: int, content: bool) -> AsyncIterator[View]:
        """Jobs, newest first; at most `limit`, 0: all."""
        ...

    async def shown(self, job_id: str, *, content: bool) -> View | None:
        """One job, or None."""
        ...

    async def cancelled(self, job_id: str) -> View | None:
        """Ask for its end; the job after that, or None."""
        ...

    async def erased(self, job_id: str) -> None:
        """Destroy its content; an unknown job is no error."""
        ...

    async def counted(self) -> dict[str, Any]:
        """Counts of the queue."""
        ...
