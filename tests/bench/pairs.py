"""One caller who asks several ways in turns, one call at a time: what each way adds to the last one, call by call.

The ways are asked in a row, again and again, and each row begins with another one, so that what a busy machine does to
one of them it does to all. Straight to the provider goes the HTTP engine alone, in this process; the others are asked
over gRPC.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
from bench import payload, role
from bench.daemon import base_url
from bench.exchanges import through_pyreqwest
from bench.role import Facts

_DEADLINE_S = 30.0
_WARM_UP = 100
_CHAT = "/edgeclient.v1.ChatService/Chat"
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]

Way = Callable[[], Awaitable[None]]


async def measure(*, addresses: dict[str, str], straight: str, cloud: dict[str, Any], rows: int, into: str) -> Facts:
    """Ask so many times each way; writes the seconds of each call, by way, into a file.

    Args:
        addresses: Whom to ask over gRPC, by name.
        straight: Name of the way without gRPC.
        cloud: The provider, as it says it of itself.
        rows: How many calls each way.
        into: The file.
    """
    channels = {name: grpc.aio.insecure_channel(address, options=_OPTIONS) for name, address in addresses.items()}
    ways = {straight: _straight(cloud)} | {name: _over(channel) for name, channel in channels.items()}
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for row in range(-_WARM_UP, rows):
        for name in names[row % len(names) :] + names[: row % len(names)]:
            begun_s = time.perf_counter()
            await ways[name]()
            if row >= 0:
                seconds[name].append(time.perf_counter() - begun_s)
    for channel in channels.values():
        await channel.close()
    await asyncio.to_thread(Path(into).write_bytes, msgspec.json.encode(seconds))
    return {"calls": rows * len(names)}


def _over(channel: grpc.aio.Channel) -> Way:
    chat: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_CHAT)
    request = payload.chat_request(streamed=False).SerializeToString()

    async def ask() -> None:
        await chat(request, timeout=_DEADLINE_S)

    return ask


def _straight(cloud: dict[str, Any]) -> Way:
    provider = through_pyreqwest(base_url(cloud), cloud["ca_file"])

    async def ask() -> None:
        async for _ in provider(False):  # noqa: FBT003  not streamed
            pass

    return ask


async def call() -> None:
    """Ask as told until the input ends."""
    role.say(ready=True)
    await role.obey({"measure": measure})


if __name__ == "__main__":
    role.run(call())
