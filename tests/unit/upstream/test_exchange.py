"""What an exchange makes of an engine's answer: packed bodies, and when a request has left."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from upstream_end import UpstreamEnd

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import CallError, Unavailable, Uncertain
from edgeclient.upstream.engines import Engine
from edgeclient.upstream.exchange import Outgoing
from edgeclient.upstream.http2.stream import NotProcessed, NotSent

MODELS = Outgoing(method="GET", path="/models")
PACKED = {"content-encoding": "gzip"}


class Pieces(httpx.AsyncByteStream):
    """A body in pieces."""

    def __init__(self, body: bytes, size_bytes: int = 1000) -> None:
        self._pieces = [body[begin : begin + size_bytes] for begin in range(0, len(body), size_bytes)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Scripted(httpx.AsyncBaseTransport):
    """An engine that answers with one thing."""

    def __init__(self, answer: httpx.Response | Exception, *, leaves: bool = True) -> None:
        self._answer = answer
        self._leaves = leaves

    def __call__(self, config: UpstreamConfig, *, proxy_url: str, on_stream_limit: Callable[[int], None]) -> Engine:
        del config, proxy_url, on_stream_limit
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._leaves:
            request.extensions["on_sent"]()
            request.extensions["on_sent"]()  # sent again by the engine itself
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def end(engine: Scripted) -> UpstreamEnd:
    return UpstreamEnd(build=engine, base_url="https://cloud.test/v1")


async def body_of(response: httpx.Response) -> bytes:
    pieces = []
    async with end(Scripted(response)).transport.exchange(MODELS) as incoming:
        while piece := await incoming.read():
            pieces.append(piece)
    return b"".join(pieces)


async def test_packed_answer_is_unpacked() -> None:
    body = bytes(range(256)) * 100

    assert body == await body_of(httpx.Response(200, headers=PACKED, stream=Pieces(gzip.compress(body), 7)))


async def test_answer_that_packs_a_thousand_times_its_size_comes_in_pieces() -> None:
    packed = gzip.compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    longest = total = 0
    async with end(Scripted(httpx.Response(200, headers=PACKED, stream=Pieces(packed)))).transport.exchange(
        MODELS
    ) as incoming:
        while piece := await incoming.read():
            longest, total = max(longest, len(piece)), total + len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 64 * 1024 * 1024 == total
    assert longest <= 256 * 1024
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize("body", [gzip.compress(b"an answer" * 100)[:-20], b"<html>no gzip at all</html>", b""])
async def test_packed_answer_that_is_damaged_or_cut_off_is_no_answer(body: bytes) -> None:
    with pytest.raises(Uncertain, match="broke while the request was in progress"):
        await body_of(httpx.Response(200, headers=PACKED, stream=Pieces(body)))


@pytest.mark.parametrize(
    ("error", "leaves", "kind"),
    [
        (httpx.ConnectError("[Errno 111] Connect call failed"), False, Unavailable),
        (httpx.ReadError("whatever it may be"), False, Unavailable),
        (httpx.ReadError("whatever it may be"), True, Uncertain),
        (NotProcessed("not processed: the peer refused the stream"), True, Unavailable),
        (NotSent("not sent: the peer ends the connection"), True, Unavailable),
    ],
)
async def test_only_what_has_left_and_may_have_been_processed_may_be_billed(
    error: Exception, *, leaves: bool, kind: type[CallError]
) -> None:
    transport = end(Scripted(error, leaves=leaves)).transport
    with pytest.raises(kind) as caught:
        async with transport.exchange(MODELS):
            pass

    assert (kind is Uncertain) == caught.value.possibly_billed
    assert 0 == transport.in_flight


async def test_departure_is_told_once() -> None:
    told: list[str] = []
    outgoing = Outgoing(method="GET", path="/models", on_sent=lambda: told.append("left"))
    async with end(Scripted(httpx.Response(200, stream=Pieces(b"{}")))).transport.exchange(outgoing):
        pass

    assert ["left"] == told
