"""The HTTP engines behind httpx's transport interface: what runs on the wire is chosen here and nowhere else.

`reqwest` is an adapter of our own to pyreqwest (hyper, in Rust): a quarter of the CPU of httpx's engine, HTTP/2 pings,
and it bears a connection that the server retires. `httpx` is httpx's own engine, pure Python but for TLS: for platforms
without the wheel, and to tell a fault of an engine from a fault of ours. Both raise httpx's exceptions, with the whole
chain of causes in the message, because `connection_fault.py` reads it.

What the adapter has to know about pyreqwest 0.15, all of it found by experiment:

* With HTTP/2 it would send a `host` header beside `:authority`, which servers answer with 400: it is dropped.
* Its exception types do not tell connecting from what comes later (a reset in mid-request is a `ConnectError`); the
  texts of its causes do.
* It cannot abandon a request before the headers of the answer: a cancelled task lets it run on, detached. With the
  headers it notices and resets the stream. `Request.extensions["limit_s"]` bounds how long that can take.
* It repeats by itself, twice at most, a request of which HTTP/2 says that it was not processed (REFUSED_STREAM, GOAWAY
  below it), if the body is at hand whole. That is free of charge and cannot be switched off, and it is no attempt here.
* Without prior knowledge of HTTP/2 a burst of calls opens a connection each; with it, all share one.

What httpx's engine lacks (httpcore 1.0): pings; a reset of the stream when a call is given up, so the provider goes on
to generate; a second try when an idle connection turns out to be closed, so the first calls after that are lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from ssl import SSLContext
from typing import Protocol, TypeVar

import httpx
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from edgeclient.config.schema import UpstreamConfig
from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable

_CONNECT_SLACK_S = 1.0  # the limits of whoever calls come first and have the better sentences
_LIMIT_SLACK_S = 0.1
_STREAM_WINDOW_BYTES = 1024 * 1024
_CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024
_IDLE_HTTP1_CONNECTIONS = 8

Engine = httpx.AsyncBaseTransport
T = TypeVar("T")


class Speaks(Enum):
    """Which application protocols an engine offers."""

    HTTP2 = "HTTP/2 and nothing else, from the first byte"
    EITHER = "whatever TLS negotiates"
    HTTP1 = "HTTP/1.1 and nothing else"


class WholeBody(httpx.AsyncByteStream):
    """A request body that is at hand in one piece."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, for engines that only know streams."""
        yield self.content


class ToldBody(httpx.AsyncByteStream):
    """A request body that tells when it is asked for."""

    __slots__ = ("_content", "_on_asked")

    def __init__(self, content: bytes, on_asked: Callable[[], None]) -> None:
        self._content = content
        self._on_asked = on_asked

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, in one piece."""
        self._on_asked()
        if self._content:
            yield self._content


class BuildEngine(Protocol):
    """Makes engines, as `build_engine` does."""

    def __call__(self, config: UpstreamConfig, *, speaks: Speaks, proxy_url: str) -> Engine:
        """A fresh engine without connections."""
        ...


def build_engine(config: UpstreamConfig, *, speaks: Speaks, proxy_url: str) -> Engine:
    """A fresh engine without connections.

    Args:
        config: The provider and how it is reached.
        speaks: Protocols to offer.
        proxy_url: Proxy for everything; "" for none.

    Raises:
        SettingError: A file or URL that the settings name cannot be used.
    """
    try:
        if config.engine == "httpx":
            return _build_httpx(config, speaks, proxy_url)
        return ReqwestEngine(_build_reqwest(config, speaks, proxy_url))
    except OSError as error:
        raise SettingError([f"upstream.ca_file: {config.ca_file} {why_unreadable(error)}"]) from error
    except (PyreqwestError, ValueError) as error:
        raise SettingError([f"upstream: the HTTP engine refuses ca_file or proxy: {_chain(error)}"]) from error


def _build_httpx(config: UpstreamConfig, speaks: Speaks, proxy_url: str) -> Engine:
    trusted: SSLContext = httpx.create_ssl_context()
    if config.ca_file:
        trusted.load_verify_locations(cafile=config.ca_file)
    return httpx.AsyncHTTPTransport(
        verify=trusted,
        trust_env=False,
        http1=speaks is not Speaks.HTTP2,
        http2=speaks is not Speaks.HTTP1,
        limits=httpx.Limits(
            max_connections=None,  # the limit is that of the requests in progress, and nobody waits here
            max_keepalive_connections=_IDLE_HTTP1_CONNECTIONS,
            keepalive_expiry=config.idle_timeout_s,
        ),
        proxy=httpx.Proxy(proxy_url) if proxy_url else None,
    )


def _build_reqwest(config: UpstreamConfig, speaks: Speaks, proxy_url: str) -> Client:
    dead_after = timedelta(seconds=config.keepalive_s + config.keepalive_timeout_s)
    builder = (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(enable=False)
        .referer(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .gzip(enable=True)  # for whole answers; streams ask for identity, lest something on the way collects pieces
        .connect_timeout(timedelta(seconds=config.connect_timeout_s + _CONNECT_SLACK_S))
        .pool_idle_timeout(timedelta(seconds=config.idle_timeout_s))
        .tcp_nodelay(enabled=True)
        .tcp_keepalive(timedelta(seconds=config.keepalive_s))
        .tcp_user_timeout(dead_after)
    )
    if speaks is not Speaks.HTTP1:
        builder = (
            builder.http2(enable=True)
            .http2_initial_stream_window_size(_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(_CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(timedelta(seconds=config.keepalive_s))
            .http2_keep_alive_timeout(timedelta(seconds=config.keepalive_timeout_s))
            .http2_keep_alive_while_idle(enabled=True)
        )
    if speaks is Speaks.HTTP2:
        builder = builder.http2_prior_knowledge()
    if speaks is Speaks.HTTP1:
        builder = builder.http1_only().pool_max_idle_per_host(_IDLE_HTTP1_CONNECTIONS)
    if config.ca_file:
        builder = builder.add_root_certificate_pem(Path(config.ca_file).read_bytes())
    if proxy_url:
        builder = builder.proxy(ProxyBuilder.all(proxy_url))
    return builder.build()


class ReqwestEngine(Engine):
    """pyreqwest behind httpx's transport interface, with nothing in between that a call does not need."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._url = httpx.URL()
        self._url_text = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; returns with the headers of the answer."""
        builder = self._client.request(request.method, self._text_of(request.url)).headers(
            [(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw if name != b"host"]
        )
        limit_s = request.extensions.get("limit_s")
        if limit_s is not None:
            builder = builder.timeout(timedelta(seconds=limit_s + _LIMIT_SLACK_S))
        body = request.stream
        if isinstance(body, WholeBody):
            builder = builder.body_bytes(body.content) if body.content else builder
        elif isinstance(body, httpx.AsyncByteStream):
            builder = builder.body_stream(body)
        if request.extensions.get("streamed"):
            # Else the engine reads a short stream to its end before it hands out the first piece.
            builder = builder.streamed_read_buffer_limit(0)
        exchange = builder.build_streamed()
        try:
            answer = await _cancellable(exchange.__aenter__())
        except PyreqwestError as error:
            raise _translated(error, request) from None
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError):  # it had no answer yet, and what comes is dropped and so reset
                await exchange.__aexit__(None, None, None)
            raise
        return httpx.Response(
            answer.status,
            headers=list(answer.headers.items()),
            stream=_AnswerBody(exchange, answer, request),
            extensions={"http_version": answer.version.encode("ascii")},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _text_of(self, url: httpx.URL) -> str:
        """The URL as text; there are two or three of them in the life of an engine."""
        if url is not self._url:
            self._url, self._url_text = url, str(url)
        return self._url_text


class _AnswerBody(httpx.AsyncByteStream):
    """The body of an answer, as it comes; closing it early resets the stream."""

    __slots__ = ("_closed", "_exchange", "_read_chunk", "_request")

    def __init__(self, exchange: StreamRequest, answer: Response, request: httpx.Request) -> None:
        self._exchange = exchange
        self._read_chunk = answer.body_reader.read_chunk
        self._request = request
        self._closed = False

    def __aiter__(self) -> "_AnswerBody":
        return self

    async def __anext__(self) -> bytes:
        """The next piece, copied once, into a `bytes`."""
        try:
            chunk = await _cancellable(self._read_chunk())
        except PyreqwestError as error:
            raise _translated(error, self._request) from None
        if chunk is None:
            raise StopAsyncIteration
        return chunk.to_bytes()

    async def aclose(self) -> None:
        """End the exchange."""
        if not self._closed:
            self._closed = True
            await self._exchange.__aexit__(None, None, None)


async def _cancellable(step: Awaitable[T]) -> T:
    """Await a step of the engine without losing a cancellation.

    When a step is done in the moment in which its task is cancelled, the engine gives its result and the cancellation
    is gone: the call would go on, unseen, to its end and its bill (seen with 1 of 10 calls cancelled early).
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    result = await step
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


def _translated(error: PyreqwestError, request: httpx.Request) -> httpx.TransportError:
    text = _chain(error)
    if "client error (Connect)" in text:
        return httpx.ConnectError(text, request=request)
    return httpx.ReadError(text, request=request)


def _chain(error: BaseException) -> str:
    """What happened, outermost first; without the URL, which says nothing new."""
    causes = error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None
    texts = [cause["message"] for cause in causes or ()]
    return ": ".join(text for text in texts if not text.startswith("error sending request for url")) or str(error)


def what_happened(error: httpx.TransportError) -> str:
    """Type and words of an engine's exception and of all its causes, outermost first."""
    words: list[str] = []
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PyreqwestError):  # whose words are in the outer one already
        for each in (cause, *getattr(cause, "exceptions", ())):
            text = str(each)
            if text and text not in words:
                words.append(text)
        cause = cause.__cause__ or cause.__context__  # httpcore raises "from None" and hides the one that matters
    return ": ".join((type(error).__name__, *words))
