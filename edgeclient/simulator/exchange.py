"""One request and the way back for its answer, whatever HTTP version carries it.

This is the seam of the simulator: `http2` and `http1` make exchanges, everything behind the router only uses them.
It promises that a handler that is cancelled has lost its client (reset stream, closed connection) and nothing else,
and that `write` returns only when the client has room for more, so generation never runs far ahead of the reader.
The wilder methods (`goaway`, `stop_reading`, ...) exist because a cloud that misbehaves does so on this level; where
HTTP/1.1 has no such frame, the nearest thing that its client would see is done instead and said at the method.
"""

from dataclasses import dataclass
from typing import Final, Protocol

Headers = list[tuple[bytes, bytes]]

# Error codes of RFC 9113 section 7, by the names a fault rule may use.
H2_ERROR_CODES: Final = {
    "NO_ERROR": 0x0,
    "PROTOCOL_ERROR": 0x1,
    "INTERNAL_ERROR": 0x2,
    "FLOW_CONTROL_ERROR": 0x3,
    "SETTINGS_TIMEOUT": 0x4,
    "STREAM_CLOSED": 0x5,
    "FRAME_SIZE_ERROR": 0x6,
    "REFUSED_STREAM": 0x7,
    "CANCEL": 0x8,
    "COMPRESSION_ERROR": 0x9,
    "CONNECT_ERROR": 0xA,
    "ENHANCE_YOUR_CALM": 0xB,
    "INADEQUATE_SECURITY": 0xC,
    "HTTP_1_1_REQUIRED": 0xD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that has been read to its end."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    protocol: str
    connection: int
    stream_id: int
    truncated: bool = False  # the body was larger than the limit; `body` holds nothing then


class Exchange(Protocol):
    """The way back to one client for one request."""

    @property
    def request(self) -> Request:
        """What was asked."""

    def send_all(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer in one piece; nothing may follow."""

    def send_head(self, status: int, headers: Headers) -> None:
        """Send status and headers; a body follows."""

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; returns when the client has room for more."""

    def finish(self) -> None:
        """End the body properly."""

    def reset(self, code: int) -> None:
        """RST_STREAM with `code`; on HTTP/1.1 the connection is closed in the middle of the answer."""

    def close_connection(self) -> None:
        """Close the whole connection after what was already written."""

    def abort_connection(self) -> None:
        """TCP RST: the client sees `connection reset by peer`."""

    def goaway(self, code: int, *, accept_this: bool, later_too: bool = False) -> None:
        """GOAWAY; `accept_this=False` puts last-stream-id below this request, `later_too` above all.

        On HTTP/1.1: `Connection: close`.
        """

    def limit_streams(self, limit: int) -> None:
        """SETTINGS_MAX_CONCURRENT_STREAMS from now on, kept by refusing; nothing on HTTP/1.1."""

    def stop_reading(self) -> None:
        """Black hole: the connection stays open, is never read again and nothing is sent any more."""
