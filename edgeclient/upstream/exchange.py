"""One request and its answer.

Promises: it counts among the requests in flight exactly as long as it lasts; whoever leaves it early, by an exception
or a cancellation, has ended it; the line learns whether a connection stands.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import httpx

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import Blocked, CallError
from edgeclient.core.ports import Clock
from edgeclient.upstream.connection_fault import Peer, connect_timeout
from edgeclient.upstream.engines import ToldBody, WholeBody
from edgeclient.upstream.line import Dial, Line

# httpx's engine leaks the socket if it is cancelled in a TLS handshake; ended by its own limit it does not.
FIRST_ERROR_STATUS = 300  # a redirect is no answer either
_OWN_LIMIT_FIRST_S = 0.03


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
        limit_s: After this time nobody waits any more; a backstop, no time-out of its own.
        on_sent: Called once when the request leaves; before that, certainly nothing was billed.
        at_root: The path begins at the host and not at the base URL.
    """

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    streamed: bool = False
    request_id: str = ""
    limit_s: float | None = None
    on_sent: Callable[[], None] | None = None
    at_root: bool = False


class Host(Protocol):
    """What an exchange needs of the transport."""

    config: UpstreamConfig
    clock: Clock
    in_flight: int
    peer: Peer

    async def line(self) -> Line:
        """The line that carries calls."""
        ...

    def request(self, outgoing: Outgoing, body: httpx.AsyncByteStream) -> httpx.Request:
        """The request as it goes to the engine."""
        ...

    def heard(self, line: Line, response: httpx.Response) -> str:
        """Note that an answer has begun; returns its protocol."""
        ...

    def retire(self, line: Line) -> None:
        """Begin a new line."""
        ...

    def fault(self, error: httpx.TransportError, *, unsent: bool) -> CallError:
        """What an exception of an engine means."""
        ...


class Exchange:
    """One request and its answer; use it with `async with`."""

    __slots__ = ("_line", "_outgoing", "_response", "_sent_s", "_transport")

    def __init__(self, transport: Host, outgoing: Outgoing) -> None:
        self._transport = transport
        self._outgoing = outgoing
        self._line: Line | None = None
        self._response: httpx.Response | None = None
        self._sent_s: float | None = None

    async def __aenter__(self) -> "Incoming":
        """Send the request; returns with the headers of the answer.

        Raises:
            CallError: There is none.
        """
        transport = self._transport
        transport.in_flight += 1
        try:
            line = self._line = await self._current_line()
            line.users += 1
            if line.shares and await line.admit(now_s=transport.clock.monotonic_s()):
                response = await self._lead(line)
            elif not line.shares and self._outgoing.body:
                response = await self._send_told(line)
            else:
                self._on_sent()
                response = await self._send(line, WholeBody(self._outgoing.body))
            self._response = response
            return Incoming(response, transport, line)
        except BaseException as error:
            await self._leave(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the exchange, finished or not."""
        await self._leave(error)

    async def _current_line(self) -> Line:
        """The line that carries calls; a new one if this node has another address than when it was made."""
        transport = self._transport
        line = await transport.line()
        if line.has_moved(now_s=transport.clock.monotonic_s()):
            transport.retire(line)
            if not line.users:
                await line.engine.aclose()
            line = await transport.line()
        return line

    async def _lead(self, line: Line) -> httpx.Response:
        """Send the first request over a connection that has to be made; tell the others how that went."""
        outcome: CallError | Dial = Dial.ABANDONED
        try:
            return await self._send_told(line, on_connected=lambda: line.settle(Dial.STANDS))
        except CallError as error:
            outcome = error
            raise
        finally:
            if self._sent_s is None:
                line.settle(outcome)

    async def _send_told(self, line: Line, on_connected: Callable[[], None] | None = None) -> httpx.Response:
        """Send with a limit on the time until the body is asked for."""
        try:
            async with asyncio.timeout(self._transport.config.connect_timeout_s + _OWN_LIMIT_FIRST_S) as limit:

                def asked() -> None:
                    if self._sent_s is None:
                        limit.reschedule(None)
                        self._on_sent()
                        if on_connected is not None:
                            on_connected()

                return await self._send(line, ToldBody(self._outgoing.body, asked))
        except TimeoutError:
            raise connect_timeout(self._transport.peer) from None

    async def _send(self, line: Line, body: httpx.AsyncByteStream) -> httpx.Response:
        transport = self._transport
        try:
            response = await line.engine.handle_async_request(transport.request(self._outgoing, body))
        except httpx.TransportError as error:
            if isinstance(error, httpx.LocalProtocolError):
                transport.retire(line)  # httpx's engine has lost count of its streams
            line.heard_s = 0.0
            fault = transport.fault(error, unsent=self._sent_s is None)
            if isinstance(fault, Blocked):
                transport.retire(line)  # the peer speaks another protocol than it did
            raise fault from error
        return response

    def _on_sent(self) -> None:
        self._sent_s = self._transport.clock.monotonic_s()
        if self._line is not None:
            self._line.on_wire += 1
        if self._outgoing.on_sent is not None:
            self._outgoing.on_sent()

    async def _leave(self, error: BaseException | None) -> None:
        """Close the answer, and replace a line that has fallen silent."""
        line, self._line = self._line, None
        response, self._response = self._response, None
        try:
            if response is not None:
                await response.stream.aclose()  # type: ignore[union-attr]  # an async engine gives an async stream
        finally:
            if line is not None:
                line.users -= 1
                if self._sent_s is not None:
                    line.on_wire -= 1
                if response is None and self._is_wedged(line, error):
                    self._transport.retire(line)
            self._transport.in_flight -= 1
        if line is not None and line.retired and not line.users:
            await line.engine.aclose()

    def _is_wedged(self, line: Line, error: BaseException | None) -> bool:
        """Given up without an answer, and nothing at all was heard since the request left, for a good while."""
        if self._sent_s is None or not isinstance(error, asyncio.CancelledError):
            return False
        waited_s = self._transport.clock.monotonic_s() - self._sent_s
        return line.heard_s < self._sent_s and waited_s > self._transport.config.connect_timeout_s


class Incoming:
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status.
        protocol: ALPN id, such as `h2`.
    """

    __slots__ = ("_chunks", "_line", "_response", "_transport", "protocol", "status")

    def __init__(self, response: httpx.Response, transport: Host, line: Line) -> None:
        self._response = response
        self._transport = transport
        self._line = line
        self._chunks: AsyncIterator[bytes] = response.stream.__aiter__()  # type: ignore[union-attr]  # as above
        self.status = response.status_code
        self.protocol = transport.heard(line, response)

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
        self._line.heard_s = self._transport.clock.monotonic_s()
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
