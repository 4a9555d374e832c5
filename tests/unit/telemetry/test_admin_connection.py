"""Whatever a peer sends, the admin port answers in HTTP or hangs up; it never raises and never answers out of turn."""

import asyncio
import itertools
import re
from http import HTTPStatus

from hypothesis import given
from hypothesis import strategies as st

from edgeclient.telemetry.admin_connection import AdminConnection, AdminLimits
from edgeclient.telemetry.admin_pages import Page

REQUEST = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
FRAGMENTS = (
    REQUEST,
    b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /nowhere HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n",
    b"Host: a\r\n\r\n",
    b"\r\n",
    b"x" * 5000,
)


class FakeTransport(asyncio.Transport):
    """Keeps what is written; a peer that reads everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class FakeHost:
    """Has one page."""

    limits = AdminLimits()

    def joined(self, connection: AdminConnection) -> bool:
        return connection is not None

    def left(self, connection: AdminConnection) -> None:
        """Nothing is kept."""

    def page(self, path: str, accept: str) -> Page:
        assert isinstance(accept, str)
        return Page(body=b"ok\n") if path == "/livez" else Page(status=HTTPStatus.NOT_FOUND, body=b"no\n")


async def exchange(pieces: list[bytes]) -> FakeTransport:
    transport = FakeTransport()
    connection = AdminConnection(FakeHost())
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
    if not transport.closed:
        connection.eof_received()
    connection.connection_lost(None)
    return transport


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=200), max_size=6))
def test_any_bytes_are_answered_in_http_or_hung_up_on(pieces: list[bytes]) -> None:
    transport = asyncio.run(exchange(pieces))

    assert transport.closed
    assert transport.written == b"" or re.match(rb"HTTP/1\.1 [2-5]\d\d ", transport.written)


@given(st.lists(st.integers(min_value=1, max_value=3 * len(REQUEST) - 1), max_size=8))
def test_answers_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = REQUEST * 3
    edges = sorted({0, *cuts, len(stream)})

    transport = asyncio.run(exchange([stream[start:end] for start, end in itertools.pairwise(edges)]))

    assert re.findall(rb"HTTP/1\.1 (\d+)", transport.written) == [b"200"] * 3
    assert transport.written.count(b"\r\n\r\nok\n") == 3
