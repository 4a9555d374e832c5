"""The way to the provider: one exchange at a time for its callers, one connection for all of them.

Promises: HTTP/2 over one connection, cold start included; TLS always verified; no redirects, no cookies; every failure
leaves as a `CallError`; leaving an exchange early ends it at the provider at once.

It has no limit on exchanges: who calls has to have a place (`stages/dispatch`), and the peer's limit of streams is told
to whoever gives places, so that nothing waits here.

The transport has no time-outs but the one for connecting, which only it can see: `Outgoing.on_sent` tells when a
request leaves, everything after that is for the caller to judge.

httpx is the HTTP client; what is used of it is its transport interface, because its client layer (cookies, redirects,
authentication, decoding) costs more CPU per call than the rest of the road and does nothing that is wanted here.
"""

import os
from collections.abc import Callable, Mapping

import httpx

from edgeclient import __version__
from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import Blocked, CallError, Reason, Stopping
from edgeclient.core.events import ProtocolNegotiated
from edgeclient.core.ports import Clock, KeySource, Observe
from edgeclient.upstream.connection_fault import Peer, connection_fault
from edgeclient.upstream.engines import BuildEngine, Engine, build_engine, what_happened
from edgeclient.upstream.exchange import Exchange, Outgoing
from edgeclient.upstream.proxy import proxy_url

_USER_AGENT = f"edgeclient/{__version__}".encode()
_ALPN_IDS = {b"HTTP/2": "h2"}


class Transport:
    """Exchanges with the provider; see the module. Belongs to one event loop.

    Args:
        config: The provider and how it is reached.
        key: Gives the API key; None: none is sent.
        observe: Takes `ProtocolNegotiated`.
        clock: For who asks over it.
        environ: Where the proxy is looked up, with `proxy = "environment"`.
        build: Makes the engine; any transport of httpx will do.
        reword: Puts sentences about the section `upstream` into the terms of the target.

    Attributes:
        in_flight: Exchanges in progress, those of probes included.
        protocol: ALPN id of the last answer; "" if there was none.
        stream_limit: How many streams the peer takes at once, as it said last; None: it has not been asked, or speaks
            HTTP/1.1.
        reword: As given.

    Raises:
        SettingError: A file or URL that the settings name cannot be used.
    """

    def __init__(
        self,
        config: UpstreamConfig,
        key: KeySource | None,
        *,
        observe: Observe,
        clock: Clock,
        environ: Mapping[str, str] = os.environ,
        build: BuildEngine = build_engine,
        reword: Callable[[str], str] = str,
    ) -> None:
        self.config = config
        self.clock = clock
        self.in_flight = 0
        self.protocol = ""
        self.stream_limit: int | None = None
        self.reword = reword
        self._key = key
        self._observe = observe
        proxy = proxy_url(config, environ)
        self.peer = Peer.at(config.base_url, proxy_url=proxy, connect_timeout_s=config.connect_timeout_s)
        self._urls: dict[str, httpx.URL] = {}
        self._closed = False
        self._engine = build(config, proxy_url=proxy, on_stream_limit=self._take_stream_limit)

    def __repr__(self) -> str:
        return (
            f"<Transport to {self.peer.name}, {self.protocol or 'nothing heard'}, {self.in_flight} in flight,"
            f" {self._engine!r}>"
        )

    def exchange(self, outgoing: Outgoing) -> "Exchange":
        """Send a request; use the result with `async with`, which gives the answer once its headers are there."""
        return Exchange(self, outgoing)

    async def close(self) -> None:
        """Close all connections; exchanges that are in progress fail."""
        self._closed = True
        await self._engine.aclose()

    # what exchanges use

    def engine(self) -> Engine:
        """What runs on the wire.

        Raises:
            Stopping: The transport is closed.
        """
        if self._closed:
            raise Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "This node is shutting down")
        return self._engine

    def request(self, outgoing: Outgoing, on_sent: Callable[[], None]) -> httpx.Request:
        """The request as it goes to the engine."""
        key = self._key.current() if self._key is not None else None
        if key == "":
            raise Blocked(
                Reason.ERROR_REASON_UPSTREAM_CREDENTIALS,
                "This node has no API key for the provider; set DASHSCOPE_API_KEY or upstream.api_key_file",
            )
        url = self._urls.get(outgoing.path)
        if url is None:
            base_url = self.config.base_url.rstrip("/")
            url = (
                httpx.URL(f"{base_url}/").join(outgoing.path)
                if outgoing.at_root
                else httpx.URL(base_url + outgoing.path)
            )
            self._urls[outgoing.path] = url
        headers = [
            (b"host", url.netloc),
            (b"accept", b"text/event-stream" if outgoing.streamed else b"application/json"),
            (b"user-agent", _USER_AGENT),
        ]
        if key is not None:
            headers.append((b"authorization", b"Bearer " + key.encode("ascii")))
        headers.append((b"content-length", b"%d" % len(outgoing.body)))  # 0 as well: httpx asks for no body without it
        if outgoing.body:
            headers.append((b"content-type", outgoing.content_type.encode("ascii")))
        # A stream may not be packed, lest something on the way collects pieces.
        headers.append((b"accept-encoding", b"identity" if outgoing.streamed else b"gzip"))
        if outgoing.request_id:
            headers.append((b"x-request-id", outgoing.request_id.encode("ascii", "replace")))
        return httpx.Request(
            outgoing.method,
            url,
            headers=headers,
            stream=httpx.ByteStream(outgoing.body),
            extensions={"timeout": {"connect": self.config.connect_timeout_s}, "on_sent": on_sent},
        )

    def heard(self, response: httpx.Response) -> str:
        """Note that an answer has begun; returns its protocol."""
        version = response.extensions.get("http_version", b"")
        protocol = _ALPN_IDS.get(version) or version.decode("ascii").lower()
        if protocol != self.protocol:
            self.protocol = protocol
            self._observe(ProtocolNegotiated(target=self.config.name, protocol=protocol))
        return protocol

    def fault(self, error: httpx.TransportError, *, unsent: bool) -> CallError:
        """What an exception of an engine means."""
        return connection_fault(what_happened(error), peer=self.peer, unsent=unsent)

    def _take_stream_limit(self, limit: int) -> None:
        self.stream_limit = limit
