"""The server side of one HTTP/1.1 connection: h11 for the protocol, one request at a time, keep-alive.

A request that is pipelined behind another waits until that one is answered (h11 pauses). As on HTTP/2 a handler is
cancelled as soon as its client is gone; HTTP/1.1 can tell that only by the closed connection.
"""

import asyncio
from http import HTTPStatus
from typing import Final, cast

import h11

from .exchange import Headers, Request
from .host import Host
from .socket_reset import abort_with_reset

MAX_HEAD_BYTES: Final = 65_536
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class Http1Connection(asyncio.Protocol):
    """Is its own exchange: there is never more than one request in work."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.number = 0
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._transport: asyncio.Transport
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._body_limit = 0
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._paused = False
        self._silent = False
        self._last = False
        self._sequence = 0

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a number."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not inherit from it
        self._transport.set_write_buffer_limits(high=65_536)
        self.number = self.host.joined(self)

    def data_received(self, data: bytes) -> None:
        """Feed h11 and act on what it understood."""
        if self._silent:
            return
        self._h11.receive_data(data)
        self._advance()

    def eof_received(self) -> None:
        """The client has closed its side; it does not read an answer any more (half-closed clients are left out)."""
        self._h11.receive_data(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the client away from the handler."""
        del exc
        self.host.left(self)
        self._done()
        if self._task is not None:
            self._task.cancel()
        self.resume_writing()

    def pause_writing(self) -> None:
        """`write` waits from now on."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let `write` go on."""
        self._paused = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    # reading

    def _advance(self) -> None:
        try:
            while (event := self._h11.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                self._on_event(event)
                if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                    break
        except h11.RemoteProtocolError as error:
            self.host.stats.protocol_errors += 1
            if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                self._last = True
                self.send_all(error.error_status_hint, [(b"content-type", b"text/plain")], b"bad request\n")
            self._transport.close()

    def _on_event(self, event: object) -> None:
        match event:
            case h11.Request():
                self.host.stats.request_began("http/1.1")
                self._head, self._request, self._size = event, None, 0
                self._sequence += 1
                self._body_limit = self.host.limits.body_bytes(event.target.decode("latin-1"))
                self._body.clear()
                if self._h11.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
            case h11.Data():
                self._size += len(event.data)
                if self._size <= self._body_limit:
                    self._body.append(bytes(event.data))
            case h11.EndOfMessage():
                work = self.host.handle(self)
                if work is not None:
                    self._task = self.host.spawn(work, f"call {self.number}/{self._sequence}")
            case h11.ConnectionClosed():
                self._transport.close()
            case _:
                pass

    @property
    def request(self) -> Request:
        """The request; built on first use, which is after its end."""
        if self._request is None:
            assert self._head is not None  # noqa: S101 - an exchange is handed out only with a request
            path, _, query = self._head.target.decode("latin-1").partition("?")
            too_large = self._size > self._body_limit
            self._request = Request(
                method=self._head.method.decode("ascii"),
                path=path,
                query=query,
                headers={name.decode("ascii"): value.decode("latin-1") for name, value in self._head.headers},
                body=b"" if too_large else b"".join(self._body),
                protocol="http/1.1",
                connection=self.number,
                stream_id=self._sequence,
                truncated=too_large,
            )
            self._body.clear()
        return self._request

    # the answer

    def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data and not self._silent and not self._transport.is_closing():
            self._transport.write(data)

    def _done(self) -> None:
        """The request in work is over, one way or the other."""
        if self._head is not None:
            self._head = None
            self.host.stats.in_flight_now -= 1

    def send_all(self, status: int, headers: Headers, body: bytes) -> None:
        """Head and body with their length."""
        self._start(status, [*headers, (b"content-length", b"%d" % len(body))])
        self._send(h11.Data(data=body))
        self.finish()

    def send_head(self, status: int, headers: Headers) -> None:
        """Head of a chunked body."""
        self._start(status, [*headers, (b"transfer-encoding", b"chunked")])

    def _start(self, status: int, headers: Headers) -> None:
        if self._last:
            headers = [*headers, (b"connection", b"close")]
        self._send(h11.Response(status_code=status, headers=headers, reason=_REASONS.get(status, b"")))

    async def write(self, data: bytes) -> None:
        """One chunk; waits while the buffer is full."""
        self._send(h11.Data(data=data))
        while self._paused:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def finish(self) -> None:
        """End of the answer; the next request may be read."""
        self._send(h11.EndOfMessage())
        self._task = None
        self._done()
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            asyncio.get_running_loop().call_soon(self._advance)

    # misbehaviour on order

    def reset(self, code: int) -> None:
        """Close in the middle of the answer: HTTP/1.1 has no other way to break off."""
        del code
        self._transport.close()

    def close_connection(self) -> None:
        """Close after what is written."""
        self._transport.close()

    def abort_connection(self) -> None:
        """TCP RST."""
        abort_with_reset(self._transport)

    def abort(self) -> None:
        """Close without a farewell."""
        self._transport.abort()

    def goaway(self, code: int, *, accept_this: bool, later_too: bool = False) -> None:
        """`Connection: close` on this answer, or no answer at all."""
        del code, later_too
        self.host.stats.goaways_sent += 1
        self._last = True
        if not accept_this:
            self._transport.close()

    def limit_streams(self, limit: int) -> None:
        """Nothing: HTTP/1.1 has one call per connection anyway."""

    def stop_reading(self) -> None:
        """Black hole."""
        self._silent = True
        self._transport.pause_reading()
