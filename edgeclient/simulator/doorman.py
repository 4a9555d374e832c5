"""Chooses the HTTP version of a new connection and steps aside.

Over TLS, ALPN has decided. Without TLS the first bytes tell: HTTP/2 with prior knowledge begins with a fixed preface
that no HTTP/1.1 request can begin with.
"""

import asyncio
import ssl
from typing import Final, cast

from .host import Host
from .http1 import Http1Connection
from .http2 import Http2Connection

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Doorman(asyncio.Protocol):
    """The first protocol of every connection."""

    def __init__(self, host: Host, *, http1_only: bool) -> None:
        self._host = host
        self._http1_only = http1_only
        self._begin = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide at once over TLS."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not inherit from it
        if not self._host.accepting:
            self._transport.abort()
            return
        self._host.undecided.add(self)
        secure: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secure is not None:
            self._hand_over(http2=secure.selected_alpn_protocol() == "h2")
        elif self._http1_only:
            self._hand_over(http2=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone without a word."""
        del exc
        self._host.undecided.discard(self)

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Without TLS: read until the preface is complete or impossible."""
        self._begin += data
        if self._begin.startswith(PREFACE):
            self._hand_over(http2=True)
        elif not PREFACE.startswith(self._begin):
            self._hand_over(http2=False)

    def _hand_over(self, *, http2: bool) -> None:
        self._host.undecided.discard(self)
        protocol = Http2Connection(self._host) if http2 else Http1Connection(self._host)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._begin:
            protocol.data_received(self._begin)
