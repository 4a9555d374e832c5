"""The way to the provider: one exchange at a time for its callers, one connection for all of them.

Promises: HTTP/2 over one connection, cold start included; TLS always verified; no redirects, no cookies; every failure
leaves as a `CallError`; leaving an exchange early ends it at the provider as soon as the engine can (`engines.py` says
when); a connection that has fallen silent under its calls is replaced.

It has no limit on exchanges: beyond the peer's limit of streams an HTTP/2 client queues by itself, out of sight of
every time-out, so who calls has to have a place (`stages/dispatch`) and nothing waits here.

The transport has no time-outs but the one for connecting, which only it can see: `Outgoing.on_sent` tells when a
request leaves, everything after that is for the caller to judge.

httpx is the HTTP client; what is used of it is its transport interface, because its client layer (cookies, redirects,
authentication, decoding) costs more CPU per call than the rest of the road and does nothing that is wanted here.
"""

import asyncio
import os
from collections.abc import Callable, Mapping

import httpx

from edgeclient import __version__
from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import Blocked, CallError, Reason, Stopping
from edgeclient.core.events import ProtocolNegotiated
from edgeclient.core.ports import Clock, KeySource, Observe
from edgeclient.upstream.connection_fault import Peer, connect_timeout, connection_fault
from edgeclient.upstream.engines import BuildEngine, Speaks, WholeBody, build_engine, what_happened
from edgeclient.upstream.exchange import Exchange, Outgoing
from edgeclient.upstream.line import Dial, Line
from edgeclient.upstream.proxy import proxy_url

_USER_AGENT = f"edgeclient/{__version__}".encode()
_ALPN_IDS = {b"HTTP/2": "h2", b"HTTP/2.0": "h2"}  # as httpx's engine and as hyper writes it


class Transport:
    """Exchanges with the provider; see the module. Belongs to one event loop.

    Args:
        config: The provider and how it is reached.
        key: Gives the API key; None: none is sent.
        observe: Takes `ProtocolNegotiated`.
        clock: Tells when something was heard.
        environ: Where the proxy is looked up, with `proxy = "environment"`.
        build: Makes engines; any transport of httpx will do.
        reword: Puts sentences about the section `upstream` into the terms of the target.

    Attributes:
        in_flight: Exchanges in progress, those of probes included.
        protocol: ALPN id of the last answer; "" if there was none.
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
        self.reword = reword
        self._key = key
        self._observe = observe
        self._proxy_url = proxy_url(config, environ)
        self.peer = Peer.at(config.base_url, proxy_url=self._proxy_url, connect_timeout_s=config.connect_timeout_s)
        self._urls: dict[str, httpx.URL] = {}
        self._build = build
        self._closed = False
        self._line = self._first_line()

    def __repr__(self) -> str:
        return (
            f"<Transport to {self.peer.name}, {self.protocol or 'nothing heard'}, {self.in_flight} in flight,"
            f" {self._line!r}>"
        )

    def exchange(self, outgoing: Outgoing) -> "Exchange":
        """Send a request; use the result with `async with`, which gives the answer once its headers are there."""
        return Exchange(self, outgoing)

    async def close(self) -> None:
        """Close all connections; exchanges that are in progress fail."""
        self._closed = True
        self._line.retired = True
        await self._line.engine.aclose()

    # what exchanges use

    async def line(self) -> Line:
        """The line that carries calls, after its protocol is known."""
        while self._line.negotiates:
            line = self._line
            if await line.admit(now_s=self.clock.monotonic_s()):
                await self._negotiate(line)
        if self._closed:
            raise Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "This node is shutting down")
        return self._line

    def request(self, outgoing: Outgoing, body: httpx.AsyncByteStream) -> httpx.Request:
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
        if outgoing.streamed or self.config.engine == "httpx":
            headers.append((b"accept-encoding", b"identity"))
        if outgoing.request_id:
            headers.append((b"x-request-id", outgoing.request_id.encode("ascii", "replace")))
        extensions: dict[str, object] = {"timeout": {"connect": self.config.connect_timeout_s}}
        if outgoing.streamed:
            extensions["streamed"] = True
        if outgoing.limit_s is not None:
            extensions["limit_s"] = outgoing.limit_s
        return httpx.Request(outgoing.method, url, headers=headers, stream=body, extensions=extensions)

    def heard(self, line: Line, response: httpx.Response) -> str:
        """Note that an answer has begun; returns its protocol."""
        line.heard_s = self.clock.monotonic_s()
        version = response.extensions.get("http_version", b"")
        protocol = _ALPN_IDS.get(version) or version.decode("ascii").lower()
        if protocol != self.protocol:
            self.protocol = protocol
            self._observe(ProtocolNegotiated(target=self.config.name, protocol=protocol))
        return protocol

    def retire(self, line: Line) -> None:
        """Begin a new line; the old one is closed with its last exchange."""
        if line is self._line and not self._closed:
            line.retired = True
            self._line = self._first_line()

    def fault(self, error: httpx.TransportError, *, unsent: bool) -> CallError:
        """What an exception of an engine means."""
        return connection_fault(what_happened(error), peer=self.peer, unsent=unsent)

    # protocols

    def _first_line(self) -> Line:
        if not self.config.http1:
            return self._new_line(Speaks.HTTP2)
        if self.config.base_url.startswith("http://"):
            return self._new_line(Speaks.HTTP1)  # nothing is negotiated in plaintext
        return self._new_line(Speaks.EITHER)

    def _new_line(self, speaks: Speaks) -> Line:
        engine = self._build(self.config, speaks=speaks, proxy_url=self._proxy_url)
        return Line(engine, shares=speaks is not Speaks.HTTP1, negotiates=speaks is Speaks.EITHER)

    async def _negotiate(self, line: Line) -> None:
        """Ask for something small over a line that speaks both, and replace it by one for what came back."""
        outcome: CallError | Dial = Dial.ABANDONED
        try:
            async with asyncio.timeout(self.config.connect_timeout_s + self.config.headers_timeout_s):
                request = self.request(Outgoing(method="GET", path="/models"), WholeBody(b""))
                response = await line.engine.handle_async_request(request)
            protocol = self.heard(line, response)
            await response.stream.aclose()  # type: ignore[union-attr]  # an async engine gives an async stream
            self._line = self._new_line(Speaks.HTTP2 if protocol == "h2" else Speaks.HTTP1)
            outcome = Dial.STANDS
        except httpx.TransportError as error:
            outcome = self.fault(error, unsent=True)
            raise outcome from error
        except TimeoutError:
            outcome = connect_timeout(self.peer)
            raise outcome from None
        except CallError as error:
            outcome = error
            raise
        finally:
            line.settle(outcome)
        await line.engine.aclose()
