"""One request and its answer.

Promises: it counts among the requests in flight exactly as long as it lasts; whoever leaves it early, by an exception
or a cancellation, has ended it, at the provider as well.
"""

import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import httpx

from edgeclient.core.errors import CallError
from edgeclient.upstream.engines import Engine

FIRST_ERROR_STATUS = 300  # a redirect is no answer either
_GZIP = 16 + zlib.MAX_WBITS
_INFLATED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request.

    Attributes:
        method: HTTP method.
        path: Below the base URL, such as `/chat/completions`.
        body: What is sent; b"" for nothing.
        content_type: Of the body.
        streamed: The answer is wanted as server-sent events.
        request_id: Goes into X-Request-Id; "" for none.
        on_sent: Called once when the request leaves; before that, certainly nothing was billed.
        at_root: The path begins at the host and not at the base URL.
    """

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    streamed: bool = False
    request_id: str = ""
    on_sent: Callable[[], None] | None = None
    at_root: bool = False


class Host(Protocol):
    """What an exchange needs of the transport."""

    in_flight: int

    def engine(self) -> Engine:
        """What runs on the wire."""
        ...

    def request(self, outgoing: Outgoing, on_sent: Callable[[], None]) -> httpx.Request:
        """The request as it goes to the engine."""
        ...

    def heard(self, response: httpx.Response) -> str:
        """Note that an answer has begun; returns its protocol."""
        ...

    def fault(self, error: httpx.TransportError, *, unsent: bool) -> CallError:
        """What an exception of an engine means."""
        ...


class Exchange:
    """One request and its answer; use it with `async with`."""

    __slots__ = ("_outgoing", "_response", "_sent", "_transport")

    def __init__(self, transport: Host, outgoing: Outgoing) -> None:
        self._transport = transport
        self._outgoing = outgoing
        self._response: httpx.Response | None = None
        self._sent = False

    async def __aenter__(self) -> "Incoming":
        """Send the request; returns with the headers of the answer.

        Raises:
            CallError: There is none.
        """
        transport = self._transport
        transport.in_flight += 1
        try:
            request = transport.request(self._outgoing, self._on_sent)
            response = self._response = await transport.engine().handle_async_request(request)
            return Incoming(response, transport)
        except httpx.TransportError as error:
            transport.in_flight -= 1
            raise transport.fault(error, unsent=not self._sent) from error
        except BaseException:
            transport.in_flight -= 1
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the exchange, finished or not."""
        response, self._response = self._response, None
        try:
            if response is not None:
                await response.stream.aclose()  # type: ignore[union-attr]  # an async engine gives an async stream
        finally:
            self._transport.in_flight -= 1

    def _on_sent(self) -> None:
        if not self._sent:
            self._sent = True
            if self._outgoing.on_sent is not None:
                self._outgoing.on_sent()


class Incoming:
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status.
        protocol: ALPN id, such as `h2`.
    """

    __slots__ = ("_chunks", "_response", "_transport", "protocol", "status")

    def __init__(self, response: httpx.Response, transport: Host) -> None:
        self._response = response
        self._transport = transport
        self._chunks: AsyncIterator[bytes] = response.stream.__aiter__()  # type: ignore[union-attr]  # as above
        if response.headers.get("content-encoding") == "gzip":
            self._chunks = _inflated(self._chunks)
        self.status = response.status_code
        self.protocol = transport.heard(response)

    @property
    def is_refusal(self) -> bool:
        """It is no success; a redirect is none either."""
        return self.status >= FIRST_ERROR_STATUS

    def header(self, name: str) -> str:
        """Value of a header; "" if there is none."""
        return str(self._response.headers.get(name, ""))

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its end.

        Raises:
            CallError: The connection or the stream broke.
        """
        try:
            chunk = await anext(self._chunks)
            while not chunk:
                chunk = await anext(self._chunks)
        except StopAsyncIteration:
            return b""
        except httpx.TransportError as error:
            raise self._transport.fault(error, unsent=False) from error
        return chunk

    async def read_until(self, size_bytes: int) -> bytes:
        """The pieces of the body until they are so many bytes, the last one whole, or until its end.

        Raises:
            CallError: The connection or the stream broke.
        """
        pieces: list[bytes] = []
        while size_bytes > 0 and (piece := await self.read()):
            pieces.append(piece)
            size_bytes -= len(piece)
        return b"".join(pieces)


async def _inflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What the chunks hold, in pieces of a bounded size, whatever a small chunk may hold."""
    inflate = zlib.decompressobj(wbits=_GZIP)
    try:
        async for each in chunks:
            chunk = each
            while chunk:
                yield inflate.decompress(chunk, _INFLATED_BYTES)
                chunk = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise httpx.RemoteProtocolError(f"the answer is not the gzip that it says it is: {error}") from error
    if not inflate.eof:
        raise httpx.RemoteProtocolError("the answer ends before its gzip does")
