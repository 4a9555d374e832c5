"""The other end of an HTTP/2 connection, in memory: a server of h2 that a test drives frame by frame."""

import asyncio
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, PingReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from edgeclient.upstream.http2.connection import Http2Connection

HEADERS = [(b":status", b"200"), (b"content-type", b"application/json")]


class Wire(asyncio.Transport):
    """What the connection writes to; nothing comes of it until the peer reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = ""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        del name
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"


class Peer:
    """A server with one client; `settle` makes it say its SETTINGS.

    Attributes:
        seen: Events of what the client has sent, in order.
    """

    def __init__(self, connection: Http2Connection) -> None:
        self.connection = connection
        self.wire = Wire()
        self.seen: list[Event] = []
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        connection.connection_made(self.wire)

    def settle(self, *, streams: int | None = None) -> None:
        """Say SETTINGS for the first time, with this limit of streams."""
        if streams is not None:
            self.h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = streams
            self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()
        self.say()

    def limit(self, streams: int) -> None:
        """Change the limit of streams."""
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.say()

    async def hear(self) -> int:
        """Read what the client has written since; returns in how many writes it came."""
        await asyncio.sleep(0)  # it writes at the end of the turn
        written, self.wire.written = self.wire.written, []
        for data in written:
            self.seen += self.h2.receive_data(data)
        return len(written)

    def say(self) -> None:
        """Hand the client what has been prepared."""
        if data := self.h2.data_to_send():
            self.connection.data_received(data)

    def answer(self, number: int, body: bytes = b"{}", *, end: bool = True) -> None:
        """Answer a request."""
        self.h2.send_headers(number, HEADERS)
        self.h2.send_data(number, body, end_stream=end)
        self.say()

    def goaway(self, *, last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Say that the connection ends; h2 would take no frames after it, so the frame is made by hand."""
        frame = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last.to_bytes(4, "big") + int(code).to_bytes(4, "big")
        self.connection.data_received(frame)

    @property
    def asked(self) -> list[int]:
        """Streams of the requests that came, in order."""
        return [event.stream_id or 0 for event in self.seen if isinstance(event, RequestReceived)]

    @property
    def whole(self) -> list[int]:
        """Streams of the requests that came to their end."""
        return [event.stream_id or 0 for event in self.seen if isinstance(event, StreamEnded)]

    @property
    def pings(self) -> int:
        """How often the client has asked for a sign of life."""
        return sum(isinstance(event, PingReceived) for event in self.seen)

    @property
    def resets(self) -> list[tuple[int, ErrorCodes | int | None]]:
        """Streams that the client has reset, and how."""
        return [(event.stream_id or 0, event.error_code) for event in self.seen if isinstance(event, StreamReset)]
