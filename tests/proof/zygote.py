"""Starts nodes and kills them; a process of its own beside the proof, with nothing else to do.

It has imported all that a node consists of and begun nothing: so a node is one fork away instead of an interpreter and
a thousand modules, and from the fork on it is `edgeclient serve` as everybody runs it, in a process of its own. And
because this process is idle, a kill comes at the moment that was drawn, also in the middle of something. One from the
event loop of the proof would come when that loop has a turn, which is when the node has nothing to say to it.

A fork copies one thread only. So here there is only one, gRPC is imported and not begun, and that is looked at before
each fork. A node that is to be exec'ed is forked too and replaced by a new interpreter. When the proof is gone, however
it ended, the node is killed.

Commands are JSON in packets of a socket: `start` (with the node's stderr; answered with its pid), `signal`, `reap`
(answered with the exit code).
"""

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

import edgeclient
from edgeclient.cli.main import run

_PACKET_BYTES = 65536
# What stands beside the daemon, and commands that it does not run.
_NOT_OF_A_NODE = ("edgeclient.simulator", "edgeclient.client", "edgeclient.cli", "edgeclient.__main__")


@dataclass(slots=True)
class _Due:
    """A signal that is to be sent."""

    number: int
    at_s: float


class Zygote:
    """Obeys; see the module. It has one node at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = 0
        self._due: _Due | None = None

    def serve(self) -> list[str] | None:
        """Obey until nobody commands any more, None; or, in a node that was just forked, its command line."""
        while True:
            wait_s = None if self._due is None else max(0.0, self._due.at_s - time.monotonic())
            readable, _, _ = select.select([self._control], [], [], wait_s)
            if self._due is not None and self._due.at_s <= time.monotonic():
                os.kill(self._pid, self._due.number)  # it is ours until it is reaped, dead or alive
                self._due = None
            if not readable:
                continue
            packet, descriptors, _, _ = socket.recv_fds(self._control, _PACKET_BYTES, 1)
            if not packet:
                return None
            arguments = self._obey(json.loads(packet), descriptors)
            if arguments is not None:
                return arguments

    def _obey(self, command: dict[str, Any], descriptors: list[int]) -> list[str] | None:
        if command["do"] == "start":
            return self._start(command, descriptors[0])
        if command["do"] == "signal":
            self._due = _Due(command["number"], time.monotonic() + command["after_s"])
        else:
            self._reap()
        return None

    def _start(self, command: dict[str, Any], stderr: int) -> list[str] | None:
        arguments: list[str] = command["arguments"]
        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise RuntimeError("a library has started a thread here: a fork would be a node without it")
        begun_s = time.monotonic()
        self._pid = os.fork()
        if not self._pid:
            os.dup2(stderr, sys.stderr.fileno())
            os.close(stderr)
            self._control.close()
            if command["exec"]:
                os.execv(sys.executable, [sys.executable, "-P", "-m", "edgeclient", *arguments])  # noqa: S606  no shell is meant
            sys.stderr = open(sys.stderr.fileno(), "w", encoding="utf-8", closefd=False)  # noqa: SIM115  the pipe
            return arguments
        os.close(stderr)
        if command["kill_after_s"] is not None:
            self._due = _Due(signal.SIGKILL, begun_s + command["kill_after_s"])
        self._tell({"pid": self._pid})
        return None

    def _reap(self) -> None:
        self._due = None
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        self._tell({"code": os.waitstatus_to_exitcode(status)})

    def end(self) -> None:
        """Leave no node behind."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)

    def _tell(self, answer: dict[str, int]) -> None:
        self._control.sendall(json.dumps(answer).encode())


def _import_all() -> None:
    """Import all that a node consists of."""
    uvloop.__name__  # noqa: B018  the daemon imports it late
    for module in pkgutil.walk_packages(edgeclient.__path__, "edgeclient."):
        if not module.name.startswith(_NOT_OF_A_NODE):
            importlib.import_module(module.name)
    importlib.import_module("edgeclient.cli.serve")
    gc.collect()
    gc.freeze()  # a collection in the node would copy these pages


def main() -> None:
    """Obey; a node ends as the command does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who commands decides what that means
    os.environ["GRPC_VERBOSITY"] = "NONE"  # as the command: it is looked at once
    _import_all()
    zygote = Zygote(socket.socket(fileno=int(sys.argv[1])))
    try:
        arguments = zygote.serve()
    except BrokenPipeError:  # who commanded is gone, and does not hear what came of it
        arguments = None
    finally:
        zygote.end()
    if arguments is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.exit(run(arguments))


if __name__ == "__main__":
    main()
