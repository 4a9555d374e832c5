"""All requests to one origin over one HTTP/2 connection, behind httpx's transport interface.

Connecting is done once for all that need it, and all of them share its failure. Before a request is given to a
connection over which nothing has been heard for a while, or on which a request was given up before its headers, the
connection has to answer a ping: one that died unnoticed costs two seconds and no bill. A connection does not survive a
change of this node's address, and nothing tells it: so the address is compared now and then.

What the peer has certainly not processed (a refused stream, a GOAWAY below it) is sent again at once, twice at most:
that is free of charge, and it is no attempt in the sense of the road.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httpx

from edgeclient.upstream.http2.connection import Http2Connection
from edgeclient.upstream.http2.dial import Way, dial
from edgeclient.upstream.http2.pulse import Upkeep
from edgeclient.upstream.http2.stream import Fields, Http2Stream, NotProcessed, NotSent
from edgeclient.upstream.source_address import SourceWatch

_SENT: Final = 3
_UNSENT: Final = 20  # connections that end before they carry a request; a busy peer retires one after some hundred
_FRESH_S: Final = 10.0  # half of the usual time after which a carrier or a NAT forgets a silent connection
_PING_S: Final = 2.0  # several times the round trip of a poor radio link
_NOT_IN_HTTP2: Final = frozenset((b"host", b"connection", b"transfer-encoding"))  # RFC 9113, 8.2.2; host: 8.3.1


class NoHttp2(httpx.ConnectError):
    """The peer was reached and does not speak HTTP/2."""


class Http2Engine(httpx.AsyncBaseTransport):
    """See the module. Belongs to one event loop.

    A request's extensions may hold `on_sent`, which is called when it leaves (each time, if it is sent again).

    Args:
        way: Where the peer is.
        upkeep: When connections are looked after.
        connect_timeout_s: How long connecting may take, from DNS to TLS.
        on_stream_limit: Told the peer's limit of concurrent streams whenever it changes.
    """

    def __init__(
        self,
        way: Way,
        upkeep: Upkeep,
        *,
        connect_timeout_s: float,
        on_stream_limit: Callable[[int], None],
    ) -> None:
        self._way = way
        self._upkeep = upkeep
        self._connect_timeout_s = connect_timeout_s
        self._on_stream_limit = on_stream_limit
        self._current: Http2Connection | None = None
        self._retired: set[Http2Connection] = set()
        self._connecting: asyncio.Task[Http2Connection | httpx.TransportError] | None = None
        self._waiting = 0
        self._source: SourceWatch  # there is one with the first connection

    def __repr__(self) -> str:
        return f"<Http2Engine {self._way.host}:{self._way.port} {self._current!r}, {len(self._retired)} retired>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; returns with the headers of the answer.

        Raises:
            httpx.ConnectError: There is no connection; the request did not leave.
            httpx.ConnectTimeout: Likewise.
            NotProcessed: The peer turned it away each time, and did nothing with it.
            httpx.TransportError: It left, and its answer is lost.
        """
        fields = _fields(request)
        body = await request.aread()
        on_sent = cast("Callable[[], None]", request.extensions.get("on_sent", _nothing))
        sent = unsent = 0
        while True:
            connection = await self._connection()
            try:
                stream = await connection.send(fields, body, on_sent=on_sent)
            except NotSent:
                unsent += 1
                if unsent == _UNSENT:
                    raise
            except NotProcessed:
                sent += 1
                if sent == _SENT:
                    raise
            else:
                return httpx.Response(
                    stream.status,
                    headers=stream.fields,
                    stream=_AnswerBody(stream),
                    extensions={"http_version": b"HTTP/2"},
                )

    async def aclose(self) -> None:
        """Close all connections; requests in progress fail."""
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in (*self._retired, self._current):
            if connection is not None:
                connection.close("this node closes the connection")

    async def _connection(self) -> Http2Connection:
        """The connection that takes new requests, known to work."""
        while (current := self._current) is not None and current.is_open:
            now_s = asyncio.get_running_loop().time()
            if self._source.has_moved(now_s=now_s):
                self._retire(current, "this node has another address")
                continue
            is_fresh = now_s - current.pulse.heard_s < _FRESH_S and not current.pulse.is_asked
            if is_fresh or await current.pulse.answers(within_s=_PING_S):
                return current
            self._retire(current, "it has fallen silent")
        return await self._connected()

    def _retire(self, connection: Http2Connection, why: str) -> None:
        connection.retire(why)
        if connection is self._current:
            self._current = None
            self._retired = {each for each in self._retired if not each.is_lost} | {connection}

    async def _connected(self) -> Http2Connection:
        """A new connection, made for all who wait for one; given up when nobody does any more."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
        connecting = self._connecting
        self._waiting += 1
        try:
            await asyncio.wait([connecting])
        finally:
            self._waiting -= 1
            if connecting is self._connecting and (connecting.done() or not self._waiting):
                self._connecting = None
                connecting.cancel()
        if connecting.cancelled():
            raise httpx.ConnectError("this node closes its connections")
        outcome = connecting.result()
        if isinstance(outcome, Http2Connection):
            return outcome
        raise type(outcome)(str(outcome)) from outcome  # one each: an exception belongs to who catches it

    async def _connect(self) -> Http2Connection | httpx.TransportError:
        self._source = SourceWatch()
        connection: Http2Connection | None = None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await dial(self._way, self._new)
                if self._way.tls is None:  # with TLS, ALPN has said what the peer speaks
                    await connection.settled()
            if connection.is_foreign:
                return NoHttp2("no application protocol: the peer does not speak HTTP/2")
            if not connection.is_open:
                return httpx.ConnectError(connection.ending)
            if self._current is not None:
                self._retire(self._current, "another one has taken its place")
            self._current = connection
        except TimeoutError:
            return httpx.ConnectTimeout("timed out")
        except httpx.TransportError as error:
            return error
        except (OSError, UnicodeError) as error:  # TLS's errors are among them; a name may be none
            return httpx.ConnectError(str(error))
        finally:
            if connection is not None and connection is not self._current:
                connection.close("it is not used")
        return connection

    def _new(self) -> Http2Connection:
        return Http2Connection(self._upkeep, on_stream_limit=self._on_stream_limit)


class _AnswerBody(httpx.AsyncByteStream):
    """The body of an answer, as it comes; closing it early resets the stream."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Http2Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> "_AnswerBody":
        return self

    async def __anext__(self) -> bytes:
        """What has come since the last piece."""
        piece = await self._stream.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """End the exchange."""
        self._stream.leave()


def _fields(request: httpx.Request) -> Fields:
    url = request.url
    fields = [
        (b":method", request.method.encode("ascii")),
        (b":scheme", url.raw_scheme),
        (b":authority", url.netloc),
        (b":path", url.raw_path),
    ]
    fields += [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in _NOT_IN_HTTP2]
    return fields


def _nothing() -> None:
    """Nobody wants to know."""
