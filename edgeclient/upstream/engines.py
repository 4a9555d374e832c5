"""The HTTP engines behind httpx's transport interface: what runs on the wire is chosen here and nowhere else.

HTTP/2 is ours (`http2/`). HTTP/1.1, for relays that speak nothing else, is httpx's own; giving a request up closes its
connection there, so it ends at the provider as well. Both raise httpx's exceptions, whose words `connection_fault.py`
reads, and both call the `on_sent` of a request's extensions when it leaves.
"""

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from edgeclient.config.schema import UpstreamConfig
from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable
from edgeclient.upstream.http2.dial import Way
from edgeclient.upstream.http2.engine import Http2Engine, NoHttp2
from edgeclient.upstream.http2.protocol import ALPN_ID
from edgeclient.upstream.http2.pulse import Upkeep
from edgeclient.upstream.trust import trusted

Engine = httpx.AsyncBaseTransport

ALPN = (ALPN_ID, "http/1.1")
"""What a node may speak with a provider, best first."""

_IDLE_HTTP1_CONNECTIONS = 8


class BuildEngine(Protocol):
    """Makes engines, as `build_engine` does."""

    def __call__(self, config: UpstreamConfig, *, proxy_url: str, on_stream_limit: Callable[[int], None]) -> Engine:
        """A fresh engine without connections."""
        ...


def build_engine(config: UpstreamConfig, *, proxy_url: str, on_stream_limit: Callable[[int], None]) -> Engine:
    """A fresh engine without connections.

    Args:
        config: The provider and how it is reached.
        proxy_url: Proxy for everything; "" for none.
        on_stream_limit: Told the peer's limit of concurrent streams whenever it changes.

    Raises:
        SettingError: A file that the settings name cannot be used.
    """
    try:
        http1 = Http1Engine(config, proxy_url) if config.http1 else None
        url = urlsplit(config.base_url)
        if url.scheme == "https":
            tls = trusted(config)
            tls.set_alpn_protocols(list(ALPN) if http1 else [ALPN_ID])
        elif http1:
            return http1  # nothing is negotiated in plaintext
        else:
            tls = None
    except OSError as error:
        raise SettingError([f"upstream.ca_file: {config.ca_file} {why_unreadable(error)}"]) from error
    http2 = Http2Engine(
        Way(
            host=url.hostname or "",
            port=url.port or (443 if tls else 80),
            tls=tls,
            proxy_url=proxy_url,
            dead_after_s=config.keepalive_s + config.keepalive_timeout_s,
        ),
        Upkeep(
            keepalive_s=config.keepalive_s,
            keepalive_timeout_s=config.keepalive_timeout_s,
            idle_timeout_s=config.idle_timeout_s,
        ),
        connect_timeout_s=config.connect_timeout_s,
        on_stream_limit=on_stream_limit,
    )
    return EitherEngine(http2, http1) if http1 else http2


class EitherEngine(Engine):
    """HTTP/2 where the peer speaks it, HTTP/1.1 where it does not.

    TLS says which, so asking costs one handshake and no request. Asked again when the connection breaks: relays learn.
    """

    def __init__(self, http2: Engine, http1: Engine) -> None:
        self._http2 = http2
        self._http1 = http1
        self._is_http1 = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; returns with the headers of the answer."""
        if not self._is_http1:
            try:
                return await self._http2.handle_async_request(request)
            except NoHttp2:
                self._is_http1 = True
        try:
            return await self._http1.handle_async_request(request)
        except httpx.TransportError:
            self._is_http1 = False
            raise

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http2.aclose()
        await self._http1.aclose()


class Http1Engine(httpx.AsyncHTTPTransport):
    """httpx's own engine, which tells when a request leaves."""

    def __init__(self, config: UpstreamConfig, proxy_url: str) -> None:
        super().__init__(
            verify=trusted(config),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=None,  # the limit is that of the requests in progress, and nobody waits here
                max_keepalive_connections=_IDLE_HTTP1_CONNECTIONS,
                keepalive_expiry=config.idle_timeout_s,
            ),
            proxy=httpx.Proxy(proxy_url) if proxy_url else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; returns with the headers of the answer."""
        on_sent: Callable[[], None] | None = request.extensions.get("on_sent")
        if on_sent is not None:
            request.extensions = {**request.extensions, "trace": _Trace(on_sent)}
        return await super().handle_async_request(request)


class _Trace:
    """Takes what httpx's engine tells of a request's progress."""

    __slots__ = ("_on_sent",)

    def __init__(self, on_sent: Callable[[], None]) -> None:
        self._on_sent = on_sent

    async def __call__(self, name: str, info: Any) -> None:
        """A step has begun or ended."""
        del info
        if name == "http11.send_request_headers.started":
            self._on_sent()


def what_happened(error: httpx.TransportError) -> str:
    """Type and words of an engine's exception and of all its causes, outermost first."""
    words: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        for each in (cause, *getattr(cause, "exceptions", ())):
            text = str(each)
            if text and text not in words:
                words.append(text)
        cause = cause.__cause__ or cause.__context__  # httpcore raises "from None" and hides the one that matters
    return ": ".join((type(error).__name__, *words))
