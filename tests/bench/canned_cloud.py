"""The provider of the measurement: HTTP/2 over TLS that answers everything alike, after a constant time.

It must never be what is measured, so it does next to nothing: frames are told apart by their nine bytes, header blocks
are not decoded, answers were encoded beforehand; some 30 us a call, a tenth of what the simulated cloud takes. What it
leaves out is what its few clients never need: flow control of answers (they are smaller than every window) and
CONTINUATION frames.
"""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, cast

from bench import payload, role

from edgeclient.simulator import CertificateMode
from edgeclient.simulator.certificates import make_certificates
from edgeclient.simulator.frames import StatelessEncoder

LATENCY_S: Final = 0.020
PIECE_INTERVAL_S: Final = 0.010  # 100 pieces a second, a fast model

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
_END_STREAM = _ACK = 0x1
_END_HEADERS = 0x4
_PREFACE_BYTES = 24
_FRAME_HEADER_BYTES = 9
_RENEW_BYTES = 32 * 1024  # half of the window that a connection begins with
_MAX_STREAMS_1000 = b"\x00\x03\x00\x00\x03\xe8"


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content


class CannedConnection(asyncio.Protocol):
    """One connection; streams that were reset are forgotten."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._greeted = False
        self._received_bytes = 0
        self._open: dict[int, bool] = {}  # stream → wants pieces
        whole = payload.completion()
        self._whole = (_head(b"application/json", len(whole)), whole)
        self._pieces = (_head(b"text/event-stream"), payload.completion_events())
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's classes do not inherit from it
        self._transport.write(frame(_SETTINGS, 0, 0, _MAX_STREAMS_1000))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open.clear()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        at = 0
        if not self._greeted:
            if len(data) < _PREFACE_BYTES:
                self._buffer = data
                return
            self._greeted, at = True, _PREFACE_BYTES
        while len(data) - at >= _FRAME_HEADER_BYTES:
            end = at + _FRAME_HEADER_BYTES + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            self._take(data[at + 3], data[at + 4], stream, data[at + _FRAME_HEADER_BYTES : end])
            at = end
        self._buffer = data[at:]

    def _take(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        if kind in (_HEADERS, _DATA):
            self._open[stream] = self._open.get(stream, False) or b'"stream":true' in content
            if kind == _DATA:
                self._renew_window(len(content))
            if flags & _END_STREAM:
                self._loop.call_later(LATENCY_S, self._answer, stream)
        elif kind == _RST_STREAM:
            self._open.pop(stream, None)
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._transport.write(frame(kind, _ACK, 0, content if kind == _PING else b""))

    def _renew_window(self, size_bytes: int) -> None:
        self._received_bytes += size_bytes
        if self._received_bytes >= _RENEW_BYTES:
            self._transport.write(frame(_WINDOW_UPDATE, 0, 0, self._received_bytes.to_bytes(4, "big")))
            self._received_bytes = 0

    def _answer(self, stream: int) -> None:
        if stream not in self._open:
            return
        if self._open[stream]:
            head, events = self._pieces
            self._transport.write(frame(_HEADERS, _END_HEADERS, stream, head))
            self._next_piece(stream, events, 0)
            return
        del self._open[stream]
        head, body = self._whole
        self._transport.write(frame(_HEADERS, _END_HEADERS, stream, head) + frame(_DATA, _END_STREAM, stream, body))

    def _next_piece(self, stream: int, events: Sequence[bytes], number: int) -> None:
        if stream not in self._open:
            return
        is_last = number == len(events) - 1
        self._transport.write(frame(_DATA, _END_STREAM if is_last else 0, stream, events[number]))
        if is_last:
            del self._open[stream]
        else:
            self._loop.call_later(PIECE_INTERVAL_S, partial(self._next_piece, stream, events, number + 1))


def _head(content_type: bytes, length: int | None = None) -> bytes:
    headers = [(b":status", b"200"), (b"content-type", content_type), (b"x-request-id", b"7c1f0f5e-9d3b")]
    return StatelessEncoder().encode(headers + ([(b"content-length", b"%d" % length)] if length else []))


async def serve(directory: Path) -> None:
    """Serve on a free port with a certificate of a CA in `directory` until the input ends."""
    certificates = make_certificates(directory, names=["127.0.0.1"], mode=CertificateMode.VALID)
    server = await asyncio.get_running_loop().create_server(
        CannedConnection, "127.0.0.1", 0, ssl=certificates.server_context(["h2"])
    )
    role.say(port=server.sockets[0].getsockname()[1], ca_file=str(certificates.ca_file))
    await role.obey()
    server.close()


if __name__ == "__main__":
    role.run(serve(Path(sys.argv[1])))
