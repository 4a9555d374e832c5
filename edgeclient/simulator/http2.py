"""The server side of one HTTP/2 connection: h2 for the protocol, asyncio for the bytes.

Invariants: everything that is produced while one batch of input is handled leaves in one `transport.write` (write
coalescing, which is most of the difference between hundreds and thousands of calls per second); a body piece is handed
to h2 only when both windows and the transport have room, so memory per stream stays below `HIGH_WATER_BYTES` plus one
piece; a stream that the client resets loses its handler in the same turn of the loop.
Left out: push, priorities (deprecated by RFC 9113), trailers and upgrade from HTTP/1.1.
"""

import asyncio
from typing import Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from .frames import StatelessEncoder, goaway_frame, max_streams_frame
from .host import Host
from .http2_stream import Http2Stream
from .socket_reset import abort_with_reset

STREAM_WINDOW_BYTES: Final = 1 << 20  # a usual request fits without a single WINDOW_UPDATE
CONNECTION_WINDOW_BYTES: Final = 16 << 20
UNLIMITED: Final = 2**31 - 1
_SERVER_CONFIG: Final = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_outbound_headers=False,  # ours are lower case and complete by construction
    normalize_outbound_headers=False,
    normalize_inbound_headers=False,
)


class Http2Connection(asyncio.Protocol):
    """Reads frames, keeps the streams of one connection and writes what they have pending."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.number = 0
        self.h2 = H2Connection(_SERVER_CONFIG)
        self.h2.encoder = StatelessEncoder()  # type: ignore[assignment]  # same two members, see frames.py
        self.streams: dict[int, Http2Stream] = {}
        self._max_streams = host.limits.max_streams
        self._last_accepted = UNLIMITED
        self._silent = False
        self._paused = False
        self._closing = False
        self._flush_planned = False
        self._pending: dict[int, Http2Stream] = {}
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our SETTINGS."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not inherit from it
        self.number = self.host.joined(self)
        initial = {SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES, SettingCodes.MAX_HEADER_LIST_SIZE: 65_536}
        announced = initial | {SettingCodes.MAX_CONCURRENT_STREAMS: self._max_streams}
        self.h2.local_settings = Settings(client=False, initial_values=announced)
        self.h2.initiate_connection()
        # From here on h2 is not to count streams: it would end the connection where we refuse one stream.
        silent = initial | {SettingCodes.MAX_CONCURRENT_STREAMS: UNLIMITED}
        self.h2.local_settings = Settings(client=False, initial_values=silent)
        self.h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - 65_535)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Handle each event of the new bytes, then write once."""
        if self._silent:
            return
        try:
            events = self.h2.receive_data(data)
        except H2Error:
            self.host.stats.protocol_errors += 1
            self.flush()
            self._transport.close()
            return
        for event in events:
            self._on_event(event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the client away from every handler; harmless when repeated."""
        del exc
        self._closing = True
        self.host.left(self)
        for stream in list(self.streams.values()):
            stream.client_left()
        self.streams.clear()

    def pause_writing(self) -> None:
        """The kernel's buffer and ours are full: leave the bodies in their streams."""
        self._paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._paused = False
        self._pending.update((number, stream) for number, stream in self.streams.items() if stream.wants_to_send)
        self.plan_flush()

    # events of h2

    def _on_event(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                self._take_body(event)
            case StreamReset():
                if (stream := self.streams.pop(event.stream_id or 0, None)) is not None:
                    self.host.stats.streams_reset_by_client += 1
                    stream.client_left()
            case WindowUpdated() | RemoteSettingsChanged():
                self._pending.update((key, each) for key, each in self.streams.items() if each.wants_to_send)
            case ConnectionTerminated():  # h2 sends nothing after it, and clients say it when they leave
                self.connection_lost(None)
                self._transport.close()
            case _:
                pass
        if isinstance(event, (RequestReceived, DataReceived)) and event.stream_ended is not None:
            self._end_request(event.stream_ended)

    def _begin(self, event: RequestReceived) -> None:
        number = event.stream_id or 0
        if number > self._last_accepted:
            return  # after a GOAWAY such a stream is ignored: the client knows that it was not processed
        if len(self.streams) >= self._max_streams:
            self.host.stats.streams_refused += 1
            self.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            return
        self.host.stats.request_began("h2")
        self.streams[number] = Http2Stream(self, number, event.headers or [])

    def _take_body(self, event: DataReceived) -> None:
        number = event.stream_id or 0
        if event.flow_controlled_length:
            self.h2.acknowledge_received_data(event.flow_controlled_length, number)
        if (stream := self.streams.get(number)) is not None:
            stream.take(event.data or b"", stream.body_limit)

    def _end_request(self, event: StreamEnded) -> None:
        stream = self.streams.get(event.stream_id or 0)
        if stream is None:
            return
        work = self.host.handle(stream)
        if work is not None:
            stream.task = self.host.spawn(work, f"call {self.number}/{stream.number}")

    # what streams use

    def wants_to_send(self, stream: Http2Stream) -> None:
        """`stream` has something pending; it leaves at the end of this turn of the loop."""
        self._pending[stream.number] = stream
        self.plan_flush()

    def plan_flush(self) -> None:
        """Write at the end of this turn of the loop, once."""
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Move what the windows allow from the streams to h2, and all of h2's bytes to the transport."""
        self._flush_planned = False
        if self._silent or self._transport.is_closing():
            self._pending.clear()
            return
        if self._pending and not self._paused:
            pending, self._pending = self._pending, {}
            for stream in pending.values():
                stream.pump()
        if data := self.h2.data_to_send():
            self._transport.write(data)
        if self._closing and not self.streams:
            self._transport.close()

    def forget(self, stream: Http2Stream) -> None:
        """`stream` has been answered."""
        if self.streams.pop(stream.number, None) is not None and self._closing and not self.streams:
            self.plan_flush()

    # misbehaviour on order

    def goaway(self, *, last_stream_id: int | None, code: int) -> None:
        """Announce the end: streams up to the last (None: all we have seen) are finished, later ones ignored."""
        self.host.stats.goaways_sent += 1
        if last_stream_id is None:
            last_stream_id = self.h2.highest_inbound_stream_id
        self._last_accepted = last_stream_id
        self.flush()
        self._transport.write(goaway_frame(last_stream_id=last_stream_id, code=code))
        self._closing = True
        for stream in [each for each in self.streams.values() if each.number > last_stream_id]:
            stream.client_left()
        self.plan_flush()

    def limit_streams(self, limit: int) -> None:
        """Lower MAX_CONCURRENT_STREAMS; what is above it is refused from now on."""
        self._max_streams = limit
        self.flush()
        self._transport.write(max_streams_frame(limit))

    def stop_reading(self) -> None:
        """Keep the socket and do nothing with it."""
        self._silent = True
        self._transport.pause_reading()

    def close(self) -> None:
        """Write what is pending and close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close without a farewell."""
        self._transport.abort()

    def abort_with_reset(self) -> None:
        """Close with TCP RST."""
        abort_with_reset(self._transport)
