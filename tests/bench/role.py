"""A part of the measurement that is a process of its own, told over its standard input what to do.

One line of JSON in, one line of JSON out; the first line out says that it is ready, and where it listens. A role ends
with its input, so nothing outlives the one who measures, however that one ends.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import uvloop
from msgspec.json import decode, encode

Facts = dict[str, Any]


def say(**facts: object) -> None:
    """Send a line."""
    sys.stdout.buffer.write(encode(facts) + b"\n")
    sys.stdout.buffer.flush()


async def obey(orders: Mapping[str, Callable[..., Awaitable[Facts]]] | None = None) -> None:
    """Carry out `{"do": name, ...}` one after the other until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = decode(line)
        say(**await (orders or {})[order.pop("do")](**order))


def run(role: Coroutine[Any, Any, None]) -> None:
    """Run a role on the event loop of the daemon."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(role)
