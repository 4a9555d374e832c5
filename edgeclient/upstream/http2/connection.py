"""The client's side of one HTTP/2 connection.

Invariants: all requests of one turn of the loop leave in one write; a request is begun only while the peer's limit of
streams has room, which is one until its SETTINGS have come, and who waits for that has not been sent; a stream whose
reader leaves is reset in the same turn; a connection over which nothing was heard for `keepalive_s` is pinged, and one
that does not answer in `keepalive_timeout_s` is dead; after a GOAWAY the streams that it spares go on to their end.
Left out: push, priorities (deprecated by RFC 9113), trailers.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httpx
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error, NoAvailableStreamIDError

from edgeclient.upstream.http2.places import StreamPlaces
from edgeclient.upstream.http2.protocol import ALPN_ID, ClientProtocol, code_name, what_a_reset_means
from edgeclient.upstream.http2.pulse import Pulse, Upkeep
from edgeclient.upstream.http2.stream import Fields, Http2Stream, NotProcessed, NotSent

_PING_BYTES: Final = 8  # RFC 9113, 6.7


class Http2Connection(asyncio.Protocol):
    """One connection; see the module.

    Args:
        upkeep: When it is looked after.
        on_stream_limit: Told the peer's limit of streams whenever it changes.

    Attributes:
        pulse: Whether the peer is alive.
        is_lost: Nothing goes over it any more.
        is_foreign: The peer speaks something else than HTTP/2.
        ending: Why it takes no more requests; "": it does.
    """

    def __init__(self, upkeep: Upkeep, *, on_stream_limit: Callable[[int], None]) -> None:
        self.pulse = Pulse(
            upkeep,
            ping=self._ping,
            on_dead=lambda: self._die(httpx.ReadError("keep-alive timed out: the peer does not answer pings")),
            on_idle=lambda: self.retire("it was not used"),
            in_use=lambda: bool(self._streams),
        )
        self._on_stream_limit = on_stream_limit
        self._h2 = ClientProtocol()
        self._places = StreamPlaces()
        self._streams: dict[int, Http2Stream] = {}
        self._unsent: dict[int, Http2Stream] = {}
        self.is_lost = False
        self.is_foreign = False
        self.ending = ""
        self._paused = False
        self._flush_planned = False
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        self._transport: asyncio.Transport

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else self.ending or "open"
        return f"<Http2Connection {state}, {len(self._streams)} streams, {self._places!r}>"

    @property
    def is_open(self) -> bool:
        """It takes new requests."""
        return not self.ending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our SETTINGS, if the peer has chosen HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not inherit from it
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != ALPN_ID:
            self.is_foreign = True
            self._die(httpx.ConnectError("the peer chooses another protocol"))
            return
        self._h2.begin()
        self._flush()
        self.pulse.begin()

    def data_received(self, data: bytes) -> None:
        """Handle each event of the new bytes, then write once."""
        self.pulse.heard()
        try:
            events = self._h2.take(data)
        except H2Error as error:
            self.is_foreign = not self._settled.is_set()
            self._write()
            self._die(httpx.RemoteProtocolError(f"the peer breaks HTTP/2: {error}"))
            return
        for event in events:
            self._on_event(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Every request in progress fails; harmless when repeated."""
        self._die(httpx.ReadError(str(exc) if exc else "the peer closed the connection"))

    def pause_writing(self) -> None:
        """The kernel's buffer and ours are full: leave the bodies in their streams."""
        self._paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._paused = False
        self._plan_flush()

    async def send(self, fields: Fields, body: bytes, *, on_sent: Callable[[], None]) -> Http2Stream:
        """Send a request as soon as the peer's limit has room; returns with the headers of the answer.

        Args:
            fields: Pseudo-headers and headers, in lower case.
            body: All of it; b"" for none.
            on_sent: Called when it leaves.

        Raises:
            NotSent: This connection takes no more requests.
            NotProcessed: The peer has turned it away.
            httpx.TransportError: It left, and there will be no answer.
        """
        while len(self._streams) >= self._places.limit and self.is_open:
            await self._places.change()
        try:
            number = self._h2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self.retire("its ids are used up")
        if not self.is_open:
            raise NotSent(f"not sent: {self.ending}")
        self._h2.send_headers(number, fields, end_stream=not body)
        stream = self._streams[number] = Http2Stream(self, number, body)
        if body:
            self._unsent[number] = stream
        self._plan_flush()
        self.pulse.sent()
        on_sent()
        try:
            await stream.head()
        except BaseException:
            stream.leave()
            raise
        return stream

    async def settled(self) -> None:
        """Return when the peer's SETTINGS have come, or never will."""
        await self._settled.wait()

    def retire(self, why: str) -> None:
        """Take no more requests; those in progress go on to their end, and the connection closes with the last one."""
        if not self.ending:
            self.ending = why
            self._places.wake_all()
            self._close_if_done()

    def close(self, why: str) -> None:
        """End everything now; requests in progress fail."""
        if not self.is_lost:
            self._h2.close_connection()
            self._write()
            self._die(httpx.ReadError(why), politely=True)

    def took(self, stream: Http2Stream, size_bytes: int) -> None:
        """The reader has taken so much: give the peer room for as much."""
        if not self.is_lost:
            self._h2.acknowledge_received_data(size_bytes, stream.number)
            self._plan_flush()

    def left(self, stream: Http2Stream) -> None:
        """Nobody reads any more: what the peer still does for it is for nothing."""
        if self._streams.pop(stream.number, None) is None:
            return
        self._unsent.pop(stream.number, None)
        if not self.is_lost:
            self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)
            if not stream.status:  # is anybody there? the answer is at hand before the next request, as a rule
                self.pulse.ask()
            self._plan_flush()
        self._one_less()

    def _on_event(self, event: Event) -> None:
        match event:
            case DataReceived() | ResponseReceived():
                self._on_answer(event)
            case StreamEnded():
                self._end(event.stream_id or 0)
            case StreamReset():
                self._end(event.stream_id or 0, what_a_reset_means(event.error_code))
            case PingAckReceived():
                self.pulse.answered(int.from_bytes(event.ping_data or b"", "big"))
            case RemoteSettingsChanged():
                self._on_settings()
            case ConnectionTerminated():
                self._on_goaway(event)
            case _:
                pass  # where a window has opened, bodies go on with the flush that follows

    def _on_answer(self, event: DataReceived | ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return  # its reader has left; h2 gives the window back by itself
        if isinstance(event, ResponseReceived):
            stream.begin(cast("Fields", event.headers or []))
        else:
            stream.add(event.data or b"", event.flow_controlled_length or 0)

    def _on_settings(self) -> None:
        self._settled.set()
        limit = self._places.limit = self._h2.remote_settings.max_concurrent_streams
        self._on_stream_limit(limit)
        self._places.wake(limit - len(self._streams))

    def _end(self, number: int, error: httpx.TransportError | None = None) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        if self._unsent.pop(number, None) is not None and error is None:
            self._h2.reset_stream(number, ErrorCodes.NO_ERROR)  # the peer has not waited for all of the request
        stream.end(error)
        self._one_less()

    def _on_goaway(self, event: ConnectionTerminated) -> None:
        code = code_name(event.error_code)
        last = event.last_stream_id or 0
        self.ending = self.ending or f"the peer ends the connection ({code})"
        for number in [each for each in self._streams if each > last]:
            self._end(number, NotProcessed(f"not processed: the peer ends the connection ({code})"))
        self._places.wake_all()
        self._close_if_done()

    def _one_less(self) -> None:
        self.pulse.used()
        if len(self._streams) < self._places.limit:
            self._places.wake(1)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self.ending and not self._streams and not self.is_lost:
            self.close(self.ending)

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what there is, after as much of the requests as the windows allow."""
        self._flush_planned = False
        if self.is_lost:
            return
        if self._unsent and not self._paused:
            for stream in list(self._unsent.values()):
                self._pump(stream)
        self._write()

    def _write(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)

    def _pump(self, stream: Http2Stream) -> None:
        while stream.unsent:
            room = min(self._h2.local_flow_control_window(stream.number), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            piece, stream.unsent = stream.unsent[:room], stream.unsent[room:]
            self._h2.send_data(stream.number, piece, end_stream=not stream.unsent)
        del self._unsent[stream.number]

    def _ping(self, number: int) -> None:
        self._h2.ping(number.to_bytes(_PING_BYTES, "big"))
        self._flush()

    def _die(self, error: httpx.TransportError, *, politely: bool = False) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self.ending = self.ending or str(error)
        self.pulse.end()
        self._settled.set()
        streams, self._streams = self._streams, {}
        self._unsent.clear()
        for stream in streams.values():
            stream.end(error)
        self._places.wake_all()
        if politely:
            self._transport.close()
        else:
            self._transport.abort()
