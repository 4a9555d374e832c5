"""The devices: callers over grpc.aio, a connection for every fifty of them, as the daemon permits at most a hundred.

Requests go out as the same bytes again and again and answers are only looked at for their length, so that the callers
can keep up with the subject. Every call has a deadline, as that of a careful device.
"""

import asyncio
import socket
import time

import grpc.aio
from bench import payload, role
from bench.closed_loop import closed_loop
from bench.role import Facts

_CALLERS_PER_CONNECTION = 50
_DEADLINE_S = 30.0
_START_WITHIN_S = 20.0
_CANCEL_AFTER_S = 0.010  # in the middle of the provider's time
_LOOK_AGAIN_S = 0.002
_SERVICE = "/edgeclient.v1.ChatService"
_Chat = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
_StreamChat = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


class Callers:
    """Calls whoever it is told to; keeps its connections."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, int], list[grpc.aio.Channel]] = {}
        self._short = payload.chat_request(streamed=False).SerializeToString()
        self._long = payload.chat_request(streamed=True).SerializeToString()

    async def run(self, address: str, method: str, in_flight: int, duration_s: float) -> Facts:
        """Call for a while: `unary`, `unary-long` (the provider streams what the caller gets whole) or `stream`."""
        channels = self._open(address, in_flight)
        if method == "stream":
            return await self._stream(channels, in_flight, duration_s)
        request = self._long if method == "unary-long" else self._short
        calls = _chats(channels)

        async def ask(number: int) -> None:
            _check(len(await calls[number % len(calls)](request, timeout=_DEADLINE_S)))

        return await closed_loop(ask, in_flight=in_flight, duration_s=duration_s)

    async def cancelling(self, address: str, in_flight: int, calls: int, every: int) -> Facts:
        """Call Chat so many times; each `every`th caller leaves before it is answered."""
        methods = _chats(self._open(address, in_flight))
        left = 0

        async def ask(number: int) -> None:
            nonlocal left
            call = methods[number % len(methods)](self._short, timeout=_DEADLINE_S)
            if number % every == 0:
                await asyncio.sleep(_CANCEL_AFTER_S)
                left += call.cancel()
            else:
                _check(len(await call))

        return await closed_loop(ask, in_flight=in_flight, calls=calls) | {"left": left}

    async def first(self, address: str) -> Facts:
        """Wait until somebody listens, call once, and tell when the answer was there."""
        async with asyncio.timeout(_START_WITHIN_S):
            while not _listens(address):  # noqa: ASYNC110  nobody tells when another process listens
                await asyncio.sleep(_LOOK_AGAIN_S)
            listening_s = time.monotonic()
            async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
                [chat] = _chats([channel])
                _check(len(await chat(self._short, timeout=_DEADLINE_S)))
        return {"listening_s": listening_s, "answered_s": time.monotonic()}

    async def _stream(self, channels: list[grpc.aio.Channel], in_flight: int, duration_s: float) -> Facts:
        calls: list[_StreamChat] = [channel.unary_stream(f"{_SERVICE}/StreamChat") for channel in channels]
        pieces = 0

        async def ask(number: int) -> None:
            nonlocal pieces
            size = 0
            async for piece in calls[number % len(calls)](self._long, timeout=_DEADLINE_S):
                size += len(piece)
                pieces += 1
            _check(size)

        seen = await closed_loop(ask, in_flight=in_flight, duration_s=duration_s)
        return seen | {"pieces": pieces / max(seen["calls"], 1)}

    def _open(self, address: str, in_flight: int) -> list[grpc.aio.Channel]:
        number = -(-in_flight // _CALLERS_PER_CONNECTION)
        if (address, number) not in self._channels:
            channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(number)]
            self._channels[address, number] = channels
        return self._channels[address, number]


def _chats(channels: list[grpc.aio.Channel]) -> "list[_Chat]":
    return [channel.unary_unary(f"{_SERVICE}/Chat") for channel in channels]


def _check(size_bytes: int) -> None:
    if size_bytes < len(payload.ANSWER):
        raise ValueError(f"the answer has {size_bytes} bytes, less than its text")


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def call() -> None:
    """Call as told until the input ends."""
    callers = Callers()
    role.say(ready=True)
    await role.obey({"run": callers.run, "cancelling": callers.cancelling, "first": callers.first})


if __name__ == "__main__":
    role.run(call())
