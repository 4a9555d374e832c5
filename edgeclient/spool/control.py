"""The operator's door into a running daemon: a socket beside the database, for who may have the files.

The files belong to the daemon while it runs, so whoever would open them asks it instead. A line of JSON asks,
`{"operation": "retry", "job_id": "…"}`, and a line answers: `{"result": …}`, `{"refused": "why"}` for what cannot be
done, `{"failed": "why"}` for what went wrong. The socket lies in the folder of the queue, which is closed to others,
and who connects has to be the daemon's own user or root: they could read the files anyway.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from edgeclient.core.cache import CacheUnreachableError
from edgeclient.core.errors import CallError
from edgeclient.core.job_events import OperatorDoorClosed
from edgeclient.core.jobs import Job, JobState
from edgeclient.core.ports import Observe
from edgeclient.spool.desk import END_OF_SEQ, PAGE_ROWS, Desk, NotRetryableError
from edgeclient.spool.job_run import defect
from edgeclient.spool.spool import SqliteSpool

NAME = "control.sock"
LONGEST_LINE_BYTES = 1024 * 1024
_BACKLOG = 16
_PEER = struct.Struct("3i")  # pid, uid, gid


Arguments = Mapping[str, Any]
Forget = Callable[[str], Awaitable[None]]


class ControlSocket:
    """See the module.

    Args:
        spool: The queue, open.
        directory: Its folder.
        end_attempt: Ends what is under way of a job.
        forget: Takes a caller out of what the node keeps beside its jobs.
        observe: Takes `OperatorDoorClosed` and defects.
    """

    def __init__(
        self,
        spool: SqliteSpool,
        *,
        directory: Path,
        end_attempt: Callable[[str], None],
        forget: Forget,
        observe: Observe,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._end_attempt = end_attempt
        self._forget = forget
        self._observe = observe
        self._server: asyncio.Server | None = None
        self._guests: set[asyncio.Task[None]] = set()
        self._operations: dict[str, Callable[[Arguments], Awaitable[Any]]] = {
            "jobs": self._jobs,
            "job": self._job,
            "cancel": self._cancel,
            "erase": self._erase,
            "erase_caller": self._erase_caller,
            "retryable": self._retryable,
            "retry": self._retry,
            "stats": self._stats,
            "verify": self._verify,
        }

    async def open(self) -> None:
        """Open the door. A folder that takes no socket is told, and the node does without."""
        try:
            with socket_path(self._directory) as path:
                with suppress(FileNotFoundError):
                    path.unlink()  # of a daemon that was killed: the lock of the queue is ours
                listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    listener.bind(str(path))
                    path.chmod(0o600)
                    listener.setblocking(False)  # noqa: FBT003  the standard library's word
                except BaseException:
                    listener.close()
                    raise
            self._server = await asyncio.start_unix_server(
                self._welcome, sock=listener, backlog=_BACKLOG, limit=LONGEST_LINE_BYTES
            )
        except OSError as error:
            self._observe(OperatorDoorClosed(problem=error.strerror or str(error)))

    async def close(self) -> None:
        """Close it; who is inside is sent away. May be called again."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for guest in tuple(self._guests):
            guest.cancel()
        if self._guests:
            await asyncio.wait(self._guests)
        with suppress(OSError), socket_path(self._directory) as path:
            path.unlink()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = asyncio.current_task()
        if guest is None:
            raise RuntimeError("a connection is served in a task")
        self._guests.add(guest)
        try:
            with suppress(OSError, ValueError):  # it has left, or sent a line beyond all measure
                if _peer_uid(writer) in (0, os.geteuid()):
                    await self._serve(reader, writer)
        finally:
            self._guests.discard(guest)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
            await writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            return {"refused": f"this is no operation: {error}"}
        word = asked.get("operation")
        operation = self._operations.get(word) if isinstance(word, str) else None
        if operation is None:
            return {"refused": f"this daemon has no operation {word!r}; it is of another version than this command"}
        try:
            return {"result": await operation(asked)}
        except NotRetryableError as error:
            return {"refused": str(error)}
        except (CallError, CacheUnreachableError) as error:
            return {"failed": str(error)}
        except Exception as error:  # noqa: BLE001  a defect; the next operation may be another one
            self._observe(defect("", "control socket", error))
            return {"failed": f"a defect of the daemon, see its log ({type(error).__name__})"}

    # operations

    async def _jobs(self, asked: Arguments) -> Any:
        jobs = await self._do(
            Desk.page,
            states=asked.get("states", ()),
            caller=asked.get("caller", ""),
            before_seq=asked.get("before_seq") or END_OF_SEQ,
            limit=min(asked.get("limit") or PAGE_ROWS, PAGE_ROWS),
        )
        return {"jobs": [_view(job) for job in jobs], "before_seq": jobs[-1].seq if jobs else 0}

    async def _job(self, asked: Arguments) -> Any:
        job = await self._do(Desk.job, asked["job_id"], content=bool(asked.get("content")))
        return None if job is None else _view(job)

    async def _cancel(self, asked: Arguments) -> Any:
        job = await self._do(Desk.cancel, asked["job_id"])
        if job is None:
            return None
        if job.state is JobState.SENDING:
            self._end_attempt(job.id)
        return _view(job)

    async def _erase(self, asked: Arguments) -> Any:
        job = await self._do(Desk.job, asked["job_id"])
        if job is None:
            return False
        await self._spool.erase(job.caller, job.id)
        if job.state is JobState.SENDING:
            self._end_attempt(job.id)
        return True

    async def _erase_caller(self, asked: Arguments) -> Any:
        caller = asked["caller"]
        under_way: list[Job] = await self._do(Desk.page, states=("sending",), caller=caller)
        count = await self._spool.erase_caller(caller)
        for job in under_way:
            self._end_attempt(job.id)
        await self._forget(caller)
        return count

    async def _retryable(self, asked: Arguments) -> Any:
        before_seq = asked.get("before_seq") or END_OF_SEQ
        ids, gone, before_seq = await self._do(Desk.retryable, asked["states"], before_seq=before_seq)
        return {"ids": ids, "gone": gone, "before_seq": before_seq}

    async def _retry(self, asked: Arguments) -> Any:
        retried = await self._do(Desk.retry, asked["job_id"])
        if retried is None:
            return None
        from edgeclient.spool.job_view import view_of_retried  # noqa: PLC0415  see `_view`

        return view_of_retried(retried.job, retry_of=retried.job_id, was=retried.was)

    async def _stats(self, _asked: Arguments) -> Any:
        from edgeclient.spool.job_view import view_of_stats  # noqa: PLC0415  see `_view`

        return view_of_stats(await self._do(Desk.stats))

    async def _verify(self, _asked: Arguments) -> Any:
        from edgeclient.spool.verification import verified  # noqa: PLC0415  as for `_view`

        report = await self._spool.operate(lambda session: verified(Desk(session)))
        return {"problems": report.problems, "counts": report.counts}

    async def _do(self, operation: Callable[..., Any], /, *values: Any, **named: Any) -> Any:
        """The result of an operation of the desk, after its commit."""
        return await self._spool.operate(lambda session: operation(Desk(session), *values, **named))


def _view(job: Job) -> dict[str, Any]:
    from edgeclient.spool.job_view import view_of_row  # noqa: PLC0415  a megabyte that most nodes never need

    return view_of_row(job)


@contextmanager
def socket_path(directory: Path) -> Iterator[Path]:
    """The socket's path by way of its open folder: the system takes no path that is longer than 107 bytes.

    Raises:
        OSError: The folder cannot be opened.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") / NAME
    finally:
        os.close(descriptor)


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    connection: socket.socket = writer.get_extra_info("socket")
    _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)
