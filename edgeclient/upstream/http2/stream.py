"""One request on a connection and the part of its answer that nobody has taken yet.

What is kept is bounded by the window that the connection announces, because room is given back as the reader takes it.
"""

import asyncio
from collections import deque
from typing import Protocol

import httpx

Fields = list[tuple[bytes, bytes]]


class NotProcessed(httpx.TransportError):
    """The peer has certainly done nothing with the request: sending it again costs nothing."""


class NotSent(NotProcessed):
    """The connection ended before the request could leave."""


class Carrier(Protocol):
    """What a stream needs of its connection."""

    def took(self, stream: "Http2Stream", size_bytes: int) -> None:
        """The reader has taken so much: give the peer room for as much."""
        ...

    def left(self, stream: "Http2Stream") -> None:
        """Nobody reads any more."""
        ...


class Http2Stream:
    """One request and its answer.

    Attributes:
        number: Id of the stream.
        unsent: The part of the request's body that has not been given to the connection.
        status: HTTP status; 0 before the headers.
        fields: Headers of the answer, without pseudo-headers.
        ended: The answer is complete, or failed.
    """

    __slots__ = (
        "_carrier",
        "_error",
        "_pieces",
        "_size",
        "_waiter",
        "ended",
        "fields",
        "number",
        "status",
        "unsent",
    )

    def __init__(self, carrier: Carrier, number: int, body: bytes) -> None:
        self.number = number
        self.unsent = memoryview(body)
        self.status = 0
        self.fields: Fields = []
        self.ended = False
        self._carrier = carrier
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._error: httpx.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Http2Stream {self.number}: {self.status or 'no headers'}{', ended' * self.ended}>"

    # what comes from the peer

    def begin(self, fields: Fields) -> None:
        """The headers of the answer."""
        self.status = next((int(value) for name, value in fields if name == b":status" and value.isdigit()), 0)
        self.fields = [field for field in fields if not field[0].startswith(b":")]
        self._wake()

    def add(self, piece: bytes, size_bytes: int) -> None:
        """A piece of the body, and what it takes of the windows, padding included."""
        if not piece:
            self._carrier.took(self, size_bytes)
            return
        self._size += size_bytes
        self._pieces.append(piece)
        self._wake()

    def end(self, error: httpx.TransportError | None = None) -> None:
        """Nothing more comes; with an error: and something is missing."""
        if not self.ended:
            self.ended = True
            self._error = error
            self._wake()

    # what the reader does

    async def head(self) -> None:
        """Return when the headers of the answer are there.

        Raises:
            httpx.TransportError: They never come.
        """
        while not self.status:
            if self.ended:
                raise self._error or httpx.RemoteProtocolError("the peer ended the stream without an answer")
            await self._change()

    async def read(self) -> bytes:
        """What has come of the body, at least one byte; b"" at its end.

        Raises:
            httpx.TransportError: The answer was cut off; what came before has been read.
        """
        while not self._pieces:
            if self.ended:
                if self._error is not None:
                    raise self._error
                return b""
            await self._change()
        pieces, self._pieces = self._pieces, deque()
        size, self._size = self._size, 0
        self._carrier.took(self, size)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def leave(self) -> None:
        """Stop reading; what the peer still does for it is stopped in the same turn of the loop."""
        size, self._size = self._size, 0
        self._pieces.clear()
        if size:
            self._carrier.took(self, size)
        self._carrier.left(self)

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
