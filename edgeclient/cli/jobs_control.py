"""Jobs of all callers through the daemon that has the files: its control socket, `spool/control.py`."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.jobs_door import NotDoneError
from edgeclient.spool.job_view import View

_LONGEST_ANSWER_BYTES = 1 << 30  # a job with its content; the daemon bounds it
_TIMEOUT_S = 60.0
_VERIFY_TIMEOUT_S = 900.0


@asynccontextmanager
async def control_door(directory: Path) -> AsyncIterator["ControlDoor | None"]:
    """The running daemon of a folder; None if none answers there."""
    from edgeclient.spool.control import socket_path  # noqa: PLC0415  not for the commands that ask the node

    try:
        with socket_path(directory) as path:
            reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_ANSWER_BYTES)
    except OSError:
        yield None
        return
    try:
        yield ControlDoor(reader, writer)
    finally:
        writer.close()


class ControlDoor:
    """An `OperatorDoor` into a running daemon."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def listed(self, *, states: Sequence[str], caller: str, limit: int, content: bool) -> AsyncIterator[View]:
        """Jobs and live calls of all callers; with content one question each."""
        before_seq, count = 0, 0
        while True:
            page = await self._ask(
                "jobs", states=list(states), caller=caller, before_seq=before_seq, limit=limit - count
            )
            for view in page["jobs"]:
                shown = await self.shown(view["id"], content=True) if content else view
                if shown is not None:  # purged meanwhile
                    yield shown
                count += 1
            before_seq = page["before_seq"]
            if not before_seq or (limit and count >= limit):
                return

    async def shown(self, job_id: str, *, content: bool) -> View | None:
        """One job."""
        view: View | None = await self._ask("job", job_id=job_id, content=content)
        return view

    async def cancelled(self, job_id: str) -> View | None:
        """Ask for its end."""
        view: View | None = await self._ask("cancel", job_id=job_id)
        return view

    async def erased(self, job_id: str) -> None:
        """Destroy its content."""
        await self._ask("erase", job_id=job_id)

    async def erased_caller(self, caller: str) -> int:
        """Destroy all that the node keeps of a caller."""
        return int(await self._ask("erase_caller", caller=caller))

    async def retryable(self, states: Sequence[str]) -> tuple[list[str], int]:
        """Jobs that can be sent again, oldest first, and how many cannot."""
        ids: list[str] = []
        gone, before_seq, more = 0, 0, True
        while more:
            page = await self._ask("retryable", states=list(states), before_seq=before_seq)
            ids += page["ids"]
            gone += page["gone"]
            before_seq = page["before_seq"]
            more = bool(before_seq)
        return ids[::-1], gone

    async def retried(self, job_id: str) -> View | None:
        """Send a job again."""
        view: View | None = await self._ask("retry", job_id=job_id)
        return view

    async def counted(self) -> View:
        """All counts."""
        counts: View = await self._ask("stats")
        return counts

    async def verified(self) -> View:
        """What is wrong, and what was looked at."""
        report: View = await self._ask("verify", timeout_s=_VERIFY_TIMEOUT_S)
        return report

    async def _ask(self, operation: str, *, timeout_s: float = _TIMEOUT_S, **arguments: Any) -> Any:
        """The result.

        Raises:
            NotDoneError: The daemon refuses.
            Failure: It failed, or does not answer.
        """
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(json.dumps({"operation": operation, **arguments}).encode() + b"\n")
                await self._writer.drain()
                line = await self._reader.readline()
        except TimeoutError:
            raise Failure(
                ExitCode.UNAVAILABLE, f"the daemon has not answered within {timeout_s:g} s; look at its log"
            ) from None
        except OSError as error:
            raise Failure(ExitCode.UNAVAILABLE, f"the daemon has left: {error.strerror}") from error
        if not line:
            raise Failure(
                ExitCode.UNAVAILABLE,
                "the daemon has closed the door: it is stopping, or this is neither its user nor root",
            )
        answer = json.loads(line)
        if "refused" in answer:
            raise NotDoneError(answer["refused"])
        if "failed" in answer:
            raise Failure(ExitCode.UNAVAILABLE, answer["failed"])
        return answer["result"]
