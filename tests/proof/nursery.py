"""Where nodes come from: the proof's side of `zygote.py`."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_PACKET_BYTES = 65536
_END_S = 10.0


class Nursery:
    """Starts, kills and buries one node at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    @classmethod
    @asynccontextmanager
    async def opened(cls, environ: Mapping[str, str]) -> AsyncIterator["Nursery"]:
        """Run the process that nodes come from.

        Args:
            environ: The environment of nodes.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.settimeout(0)  # for the event loop
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    # -P: the names of the proof's modules are not those of the node's
                    *(sys.executable, "-P", Path(__file__).with_name("zygote.py"), str(theirs.fileno())),
                    env=environ,
                    pass_fds=[theirs.fileno()],
                )
            try:
                yield cls(ours)
            finally:
                ours.close()  # tells it to end
                try:
                    await asyncio.wait_for(process.wait(), _END_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def start(
        self, arguments: Sequence[str], *, stderr: int, execute: bool, kill_after_s: float | None = None
    ) -> int:
        """Begin a life; returns the pid.

        Args:
            arguments: Of `edgeclient`.
            stderr: Where it logs to; is closed here.
            execute: As a new interpreter, and not by a fork.
            kill_after_s: It ends by SIGKILL then, counted from the fork, however far it is.
        """
        command = {"do": "start", "arguments": arguments, "exec": execute, "kill_after_s": kill_after_s}
        try:
            socket.send_fds(self._control, [json.dumps(command).encode()], [stderr])
        finally:
            os.close(stderr)
        pid: int = (await self._answer())["pid"]
        return pid

    def signal(self, number: signal.Signals, *, after_s: float = 0.0) -> None:
        """Send the node a signal, by and by; it takes the place of one that was still to come."""
        self._control.send(json.dumps({"do": "signal", "number": number, "after_s": after_s}).encode())

    async def reap(self) -> int:
        """The exit code of the node, once it has ended; everything that it held is free then."""
        self._control.send(json.dumps({"do": "reap"}).encode())
        code: int = (await self._answer())["code"]
        return code

    async def _answer(self) -> dict[str, Any]:
        packet = await asyncio.get_running_loop().sock_recv(self._control, _PACKET_BYTES)
        if not packet:
            raise RuntimeError("the process that nodes come from has ended")
        answer: dict[str, Any] = json.loads(packet)
        return answer
