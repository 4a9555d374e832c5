"""The cable between a node and the cloud: a TCP relay that can be pulled, muted, frozen or led elsewhere.

What runs through it keeps its fate: `freeze` silences the connections that stand, and new ones pass, as where a NAT has
forgotten a flow; `mute` silences new ones, as where packets vanish.
"""

import asyncio
from types import TracebackType
from typing import Self

_PIECE_BYTES = 65_536


class Cable:
    """`async with Cable(port) as cable`; what is connected to `cable.port` reaches `target`.

    Attributes:
        port: Where it begins.
        target: Port of this machine at its other end.
        accepted: Connections so far.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target
        self.accepted = 0
        self._muted = False
        self._server: asyncio.Server | None = None
        self._flows: set[_Flow] = set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.pull()

    async def mend(self) -> None:
        """Everything passes again; connections that were silenced stay so, for their peers have to find out."""
        self._muted = False
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        """Cut what stands, and refuse connections."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut what stands."""
        flows = tuple(self._flows)
        for flow in flows:
            flow.cut()
        for flow in flows:
            await flow.over.wait()

    def mute(self) -> None:
        """Connections are taken from now on, and nothing more."""
        self._muted = True

    def freeze(self) -> None:
        """The connections that stand carry nothing any more, in either direction, and do not end."""
        for flow in self._flows:
            flow.freeze()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        flow = _Flow(reader, writer)
        self._flows.add(flow)
        try:
            await flow.run(None if self._muted else self.target)
        finally:
            self._flows.discard(flow)
            flow.over.set()


class _Flow:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.over = asyncio.Event()
        self._near = reader, writer
        self._end = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    def cut(self) -> None:
        self._end.set()

    def freeze(self) -> None:
        self._open.clear()

    async def run(self, target: int | None) -> None:
        """Carry bytes until one side ends or it is cut; without a target nothing is read at all."""
        reader, writer = self._near
        far: asyncio.StreamWriter | None = None
        pumps: list[asyncio.Task[None]] = []
        try:
            if target is not None:
                far_reader, far = await asyncio.open_connection("127.0.0.1", target)
                pumps = [
                    asyncio.create_task(self._pump(reader, far), name="to the cloud"),
                    asyncio.create_task(self._pump(far_reader, writer), name="to the node"),
                ]
            ended = asyncio.create_task(self._end.wait(), name="cut")
            await asyncio.wait([ended, *pumps], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
        except OSError:
            pass  # nobody at the far end: the near one is told by the closed connection
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for each in (writer, far):
                if each is not None:
                    each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE_BYTES):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()
