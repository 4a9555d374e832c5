"""A relay between a subject and the provider that counts what the subject puts on the wire.

TLS records it counts by their headers, which are in the clear; TCP segments with data are counted by the kernel. It
asks for segments of the size that they have on a network, for over loopback one would hold 64 KiB. Only the way out is
counted: that is what a subject can arrange.
"""

import asyncio
import socket
import sys
from typing import Final, cast

from bench import role
from bench.role import Facts

_HEADER_BYTES: Final = 5
_APPLICATION_DATA: Final = 23
_SEGMENT_BYTES: Final = 1400
_DATA_SEGS_IN = slice(152, 156)  # of struct tcp_info


class Tap:
    """What has passed since the last look."""

    def __init__(self) -> None:
        self.records = self.size_bytes = 0
        self.sockets: list[socket.socket] = []
        self._segments = 0

    async def look(self) -> Facts:
        """Tell it and begin anew."""
        segments = sum(map(_segments, self.sockets))
        seen: Facts = {"records": self.records, "segments": segments - self._segments, "bytes": self.size_bytes}
        self.records, self._segments, self.size_bytes = 0, segments, 0
        return seen


def _segments(connection: socket.socket) -> int:
    """Segments with data that have come."""
    if connection.fileno() < 0:
        return 0
    return int.from_bytes(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[_DATA_SEGS_IN], sys.byteorder)


class _Out(asyncio.Protocol):
    """The side of the subject."""

    def __init__(self, tap: Tap, port: int) -> None:
        self._tap = tap
        self._port = port
        self._ahead = b""
        self._back: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._tap.sockets.append(transport.get_extra_info("socket"))
        self._connecting = asyncio.create_task(self._connect(), name="relay")

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        back, _ = await loop.create_connection(lambda: _Back(self), "127.0.0.1", self._port)
        self._back = back
        for data in self._early:
            back.write(data)

    def data_received(self, data: bytes) -> None:
        self._tap.size_bytes += len(data)
        if self._back is None:
            self._early.append(data)
        else:
            self._back.write(data)
        self._count(self._ahead + data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._back is not None:
            self._back.close()

    def _count(self, data: bytes) -> None:
        at = 0
        while len(data) - at >= _HEADER_BYTES:
            end = at + _HEADER_BYTES + int.from_bytes(data[at + 3 : at + 5], "big")
            if end > len(data):
                break
            self._tap.records += data[at] == _APPLICATION_DATA
            at = end
        self._ahead = data[at:]


class _Back(asyncio.Protocol):
    """The side of the provider."""

    def __init__(self, out: _Out) -> None:
        self._out = out

    def data_received(self, data: bytes) -> None:
        self._out.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._out.transport.close()


async def relay(port: int) -> None:
    """Relay from a free port to `port` until the input ends."""
    tap = Tap()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
    server = await asyncio.get_running_loop().create_server(lambda: _Out(tap, port), sock=listening)
    role.say(port=server.sockets[0].getsockname()[1])
    await role.obey({"look": tap.look})
    server.close()


if __name__ == "__main__":
    role.run(relay(int(sys.argv[1])))
