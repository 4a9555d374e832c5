"""What the commands of `jobs` ask, and of whom.

A device's door is the node's API, which shows a caller its own jobs. An operator's doors show everything: the files of
a stopped node, or the control socket of the daemon that has them. Nobody goes round the back of a daemon.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from edgeclient.spool.job_view import View

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


class OperatorDoor(JobsDoor, Protocol):
    """The commands of who may have the files."""

    async def retryable(self, states: Sequence[str]) -> tuple[list[str], int]:
        """Jobs that can be sent again, oldest first, and how many cannot because their request is gone."""
        ...

    async def retried(self, job_id: str) -> View | None:
        """Send a job again; what is sent, with `retry_of` and `was`, or None if there is no such job.

        Raises:
            NotDoneError: It cannot be sent again.
        """
        ...

    async def erased_caller(self, caller: str) -> int:
        """Destroy all that the node keeps of a caller; returns how many jobs that were."""
        ...

    async def verified(self) -> View:
        """The `problems`, and `counts` of what was looked at."""
        ...


class NotDoneError(Exception):
    """What was asked cannot be done; says why."""
