"""One request on an HTTP/2 connection, and the pending part of its answer.

The stream keeps what the client has no window for. `write` waits while more than `HIGH_WATER_BYTES` are kept: that is
the back-pressure which stops token generation for a client that reads slowly.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from h2.exceptions import H2Error

from .exchange import Headers, Request

if TYPE_CHECKING:
    from .http2 import Http2Connection

HIGH_WATER_BYTES: Final = 16_384
HIGHEST_STREAM: Final = 2**31 - 1


class Http2Stream:
    """An exchange (see `exchange.Exchange`) on one stream."""

    __slots__ = (
        "_body",
        "_connection",
        "_ended",
        "_gone",
        "_headers",
        "_out",
        "_request",
        "_room",
        "_size",
        "_too_large",
        "body_limit",
        "number",
        "task",
    )

    def __init__(self, connection: "Http2Connection", number: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.number = number
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._headers = headers
        path = next((value for name, value in headers if name == b":path"), b"")
        self.body_limit = connection.host.limits.body_bytes(path.decode("latin-1"))
        self._body: list[bytes] = []
        self._size = 0
        self._too_large = False
        self._request: Request | None = None
        self._out = bytearray()
        self._ended = False
        self._gone = False
        self._room: asyncio.Future[None] | None = None

    # the request

    def take(self, data: bytes, limit: int) -> None:
        """Keep a piece of the request body; above `limit` the rest is read and thrown away."""
        self._size += len(data)
        if self._size > limit:
            self._too_large = True
            self._body.clear()
        else:
            self._body.append(data)

    @property
    def request(self) -> Request:
        """The request; built on first use, which is after its end."""
        if self._request is None:
            fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers}
            path, _, query = fields.get(":path", "/").partition("?")
            self._request = Request(
                method=fields.get(":method", ""),
                path=path,
                query=query,
                headers=fields,
                body=b"".join(self._body),
                protocol="h2",
                connection=self._connection.number,
                stream_id=self.number,
                truncated=self._too_large,
            )
            self._body.clear()
        return self._request

    # the answer

    def send_all(self, status: int, headers: Headers, body: bytes) -> None:
        """Head and body in one go; the body follows the windows like any other."""
        self.send_head(status, headers)
        self._out += body
        self.finish()

    def send_head(self, status: int, headers: Headers) -> None:
        """HEADERS without END_STREAM."""
        if self._gone:
            return
        try:
            self._connection.h2.send_headers(self.number, [(b":status", b"%d" % status), *headers])
        except H2Error:
            self._gone = True
            return
        self._connection.plan_flush()

    async def write(self, data: bytes) -> None:
        """DATA; waits while the client has no room."""
        self._out += data
        self._connection.wants_to_send(self)
        while len(self._out) > HIGH_WATER_BYTES and not self._gone:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def finish(self) -> None:
        """END_STREAM after what is pending."""
        self._ended = True
        self._connection.wants_to_send(self)

    @property
    def wants_to_send(self) -> bool:
        """Is something waiting for a window."""
        return bool(self._out) or self._ended

    def pump(self) -> None:
        """Hand to h2 what the windows allow now."""
        if self._gone:
            return
        h2, out = self._connection.h2, self._out
        try:
            while out:
                size = min(h2.local_flow_control_window(self.number), h2.max_outbound_frame_size, len(out))
                if size <= 0:
                    break
                last = self._ended and size == len(out)
                h2.send_data(self.number, bytes(out[:size]), end_stream=last)
                del out[:size]
                if last:
                    self._leave()
                    return
            if self._ended and not out:
                h2.end_stream(self.number)
                self._leave()
        except H2Error:
            self._leave()
        if self._room is not None and len(out) <= HIGH_WATER_BYTES:
            self._let_on()

    def client_left(self) -> None:
        """The stream or the connection is gone: stop the handler at once."""
        self._leave()
        if self.task is not None:  # in its turn: cancelled before its first step it would leave the ledger open
            self.task.get_loop().call_soon(self.task.cancel)

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._out.clear()
            self._connection.host.stats.in_flight_now -= 1
            self._connection.forget(self)
        self._let_on()

    def _let_on(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    # misbehaviour on order

    def reset(self, code: int) -> None:
        """RST_STREAM; what is still pending is written first, as far as the windows allow."""
        if self._gone:
            return
        self._ended = False
        self.pump()
        with contextlib.suppress(H2Error):  # the client was faster
            self._connection.h2.reset_stream(self.number, code)
        self._leave()
        self._connection.plan_flush()

    def close_connection(self) -> None:
        """Write what is pending, then close the connection under all its streams."""
        self._connection.close()

    def abort_connection(self) -> None:
        """TCP RST."""
        self._connection.abort_with_reset()

    def goaway(self, code: int, *, accept_this: bool, later_too: bool = False) -> None:
        """GOAWAY; the last stream that is processed is any, the newest we have seen, or the one below this."""
        last = HIGHEST_STREAM if later_too else None if accept_this else max(self.number - 2, 0)
        self._connection.goaway(last_stream_id=last, code=code)

    def limit_streams(self, limit: int) -> None:
        """SETTINGS with a new stream limit."""
        self._connection.limit_streams(limit)

    def stop_reading(self) -> None:
        """Black hole."""
        self._connection.stop_reading()
