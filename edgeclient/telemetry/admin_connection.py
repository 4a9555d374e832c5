"""One HTTP/1.1 connection of the admin port: bytes in, a page out, every wait limited.

h11 knows the protocol; here are the limits. A connection has one timer, which always stands for what is being waited
for: the rest of a request (never prolonged by a trickle of bytes), the next request, or a peer that does not read. No
tasks: an answer is made and written within the callback that completed the request, and while the peer does not read
the next request is not looked at, so at most one answer per connection is buffered.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, cast

import h11

from edgeclient.telemetry.admin_pages import Page, problem

_VERSIONS = (b"1.0", b"1.1")
_METHODS = (b"GET", b"HEAD")
_ALLOW = (("Allow", "GET, HEAD"),)
_CLOSE = (("Connection", "close"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminLimits:
    """What the peers of the admin port may use.

    Attributes:
        max_connections: More are answered with 503. An orchestrator and two Prometheus servers need about five.
        max_head_bytes: Longest head of a request.
        request_timeout_s: Time for a request to arrive whole, the first one counted from the connection.
        idle_timeout_s: Time between two requests; longer than the usual scrape interval of 15 to 60 s.
        write_timeout_s: Time for a peer to take an answer.
        linger_s: Time that a peer whose request was refused gets to read why.
    """

    max_connections: int = 64
    max_head_bytes: int = 16 * 1024
    request_timeout_s: float = 10.0
    idle_timeout_s: float = 90.0
    write_timeout_s: float = 10.0
    linger_s: float = 1.0


class Host(Protocol):
    """The server as its connections see it."""

    limits: AdminLimits

    def joined(self, connection: "AdminConnection") -> bool:
        """Register an open connection; False if there are too many."""

    def left(self, connection: "AdminConnection") -> None:
        """Forget a connection that is closed."""

    def page(self, path: str, accept: str) -> Page:
        """The page for a path; never raises."""


class AdminConnection(asyncio.Protocol):
    """A connection.

    Args:
        host: The server.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=host.limits.max_head_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._idle = False
        self._paused = False
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        if self._host.joined(self):
            self._wait(self._host.limits.request_timeout_s, self._request_is_late)
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections to the admin port")

    def data_received(self, data: bytes) -> None:
        """Take bytes and answer every request that they complete."""
        if self._ending:
            return
        if self._idle:
            self._idle = False
            self._wait(self._host.limits.request_timeout_s, self._request_is_late)
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        """The peer has said everything; what is already written still reaches it."""
        self.close()
        return True  # the transport is closed by `close`, once the answer is written

    def pause_writing(self) -> None:
        """The peer does not read: neither read nor look at a further request."""
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has read: go on."""
        self._paused = False
        self._transport.resume_reading()
        if not self._ending:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  why does not matter
        """Forget everything."""
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()
        self._host.left(self)

    def close(self) -> None:
        """Close once what is written has been sent, or when the peer takes too long to read it."""
        self._ending = True
        self._wait(self._host.limits.write_timeout_s, self.abort)
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def _advance(self) -> None:
        try:
            while not (self._paused or self._ending):
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._answer(event)
                elif isinstance(event, h11.EndOfMessage) and self._http.our_state is h11.DONE:
                    self._http.start_next_cycle()
                    self._wait(self._host.limits.request_timeout_s, self._request_is_late)
                elif event is h11.NEED_DATA:
                    break
                else:  # the peer, or HTTP/1.0, wants no further request here
                    self.close()
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            self._refuse(status, f"This is an HTTP/1.1 port for GET and HEAD: {status.phrase}")
        self._rest()

    def _rest(self) -> None:
        """Between two requests a connection may wait longer."""
        between = self._http.their_state is h11.IDLE and not self._http.trailing_data[0]
        if between and not (self._paused or self._ending):
            self._idle = True
            self._wait(self._host.limits.idle_timeout_s, self.close)

    def _answer(self, request: h11.Request) -> None:
        headers = dict(request.headers)
        if request.http_version not in _VERSIONS:
            self._refuse(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "The admin port speaks HTTP/1.1")
        elif headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            self._refuse(HTTPStatus.BAD_REQUEST, "The admin port takes no bodies")
        elif request.method not in _METHODS:
            self._send(problem(HTTPStatus.METHOD_NOT_ALLOWED, "The admin port knows GET and HEAD"), _ALLOW)
        else:
            path = request.target.decode("ascii").partition("?")[0]
            page = self._host.page(path, headers.get(b"accept", b"").decode("latin-1"))
            self._send(page, without_body=request.method == b"HEAD")

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        """Say what is wrong and hang up.

        What the peer is still sending is read and dropped for a moment: closing at once would reset the connection, and
        the peer would see that instead of the answer.
        """
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._send(problem(status, sentence), _CLOSE)
        self._ending = True
        self._transport.write_eof()
        self._wait(self._host.limits.linger_s, self.close)

    def _send(self, page: Page, more: Sequence[tuple[str, str]] = (), *, without_body: bool = False) -> None:
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *more,
        ]
        events: list[h11.Event] = [
            h11.Response(status_code=page.status.value, reason=page.status.phrase.encode(), headers=headers),
            h11.EndOfMessage(),
        ]
        if not without_body:
            events.insert(1, h11.Data(data=page.body))
        self._wait(self._host.limits.write_timeout_s, self.abort)
        self._transport.write(b"".join([self._http.send(event) or b"" for event in events]))

    def _request_is_late(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time")

    def _wait(self, duration_s: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(duration_s, then)
