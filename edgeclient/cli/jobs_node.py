"""Jobs through a running node: what its API offers to a caller, which is the caller's own jobs and no others.

The API does not tell requests, so an export through the node has answers only.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from grpc import StatusCode

from edgeclient.cli.connection import Connection
from edgeclient.cli.job_view import view_of_message
from edgeclient.cli.report import failures_told
from edgeclient.client import EdgeClient, EdgeError
from edgeclient.spool.job_view import View
from edgeclient.v1 import job_pb2

_TIMEOUT_S = 30.0


@asynccontextmanager
async def node_door(connection: Connection) -> AsyncIterator["NodeDoor"]:
    """The running node.

    Raises:
        Failure: It cannot be reached, or refuses.
    """
    with failures_told(address=connection.address):
        async with connection.client() as node:
            yield NodeDoor(node, timeout_s=connection.timeout_s or _TIMEOUT_S)


class NodeDoor:
    """A `JobsDoor` through the API."""

    def __init__(self, node: EdgeClient, *, timeout_s: float) -> None:
        self._node = node
        self._timeout_s = timeout_s

    async def listed(self, *, states: Sequence[str], caller: str, limit: int, content: bool) -> AsyncIterator[View]:
        """The caller's own jobs; with content one call each."""
        del caller
        wanted = [job_pb2.JobState.Value(f"JOB_STATE_{state.upper()}") for state in states]
        count = 0
        async with aclosing(self._node.list_jobs(wanted, timeout_s=self._timeout_s)) as found:
            async for job in found:
                view = await self.shown(job.id, content=True) if content else view_of_message(job)
                if view is not None:  # purged meanwhile
                    yield view
                count += 1
                if count == limit:
                    return

    async def shown(self, job_id: str, *, content: bool) -> View | None:
        """One job."""
        try:
            job = await self._node.get_job(job_id, timeout_s=self._timeout_s)
        except EdgeError as error:
            if error.code is StatusCode.NOT_FOUND:
                return None
            raise
        if not content:
            job.ClearField("response")
        return view_of_message(job)

    async def cancelled(self, job_id: str) -> View | None:
        """Ask for its end."""
        try:
            job = await self._node.cancel_job(job_id, timeout_s=self._timeout_s)
        except EdgeError as error:
            if error.code is StatusCode.NOT_FOUND:
                return None
            raise
        job.ClearField("response")
        return view_of_message(job)

    async def erased(self, job_id: str) -> None:
        """Destroy its content."""
        await self._node.delete_job(job_id, timeout_s=self._timeout_s)

    async def counted(self) -> dict[str, Any]:
        """What the node tells every caller of its queue."""
        status = await self._node.status(timeout_s=self._timeout_s)
        return {
            "pending_jobs": status.pending_job_count,
            "running_jobs": status.running_job_count,
            "free_bytes": status.free_storage_bytes,
        }
