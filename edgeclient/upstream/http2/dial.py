"""From a host's name to a transport that speaks with it: DNS, TCP over both families, the proxy's tunnel, TLS.

Names are looked up in a thread that nobody waits for at the end of the process (`core/aside.py`). Addresses of both
families are tried beside one another (RFC 8305), so that a network that swallows IPv6 costs a quarter of a second.
"""

import asyncio
import base64
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import h11
import httpx
from aiohappyeyeballs import AddrInfoType, start_connection

from edgeclient.core.aside import aside

_NEXT_FAMILY_AFTER_S: Final = 0.25  # RFC 8305, 8
_TLS_SHUTDOWN_S: Final = 1.0  # a peer that does not say goodbye is not waited for
_PROXY_PIECE_BYTES: Final = 4096
_PROXY_HEAD_BYTES: Final = 64 * 1024

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a connection leads.

    Attributes:
        host: Name or address of the peer.
        port: Its port.
        tls: What is trusted, and the protocols that are offered; None: plaintext.
        proxy_url: Of an HTTP proxy that tunnels; "" for none.
        dead_after_s: The kernel gives a connection up when what was sent is not confirmed for so long.
    """

    host: str
    port: int
    tls: SSLContext | None
    proxy_url: str
    dead_after_s: float


async def dial(way: Way, make: Callable[[], ProtocolT]) -> ProtocolT:
    """A connection to the peer, and the protocol that has it.

    Raises:
        OSError: There is none, in the words of DNS, the socket or TLS (`ssl.SSLError`).
        httpx.ProxyError: The proxy does not connect to the peer.
        httpx.ConnectError: There is no connection to the proxy.
    """
    connected = await _opened(way)
    # From here on the socket is the loop's, which closes it when it gives up: its number may be another's by then.
    _, protocol = await asyncio.get_running_loop().create_connection(
        make,
        sock=connected,
        ssl=way.tls,
        server_hostname=way.host if way.tls is not None else None,
        ssl_shutdown_timeout=_TLS_SHUTDOWN_S if way.tls is not None else None,
    )
    return protocol


async def _opened(way: Way) -> socket.socket:
    """A socket that leads to the peer."""
    if way.proxy_url:
        proxy = urlsplit(way.proxy_url)
        try:
            connected = await _tcp(proxy.hostname or "", proxy.port or 80)
        except OSError as error:
            raise httpx.ConnectError(f"to the proxy: {error}") from error
    else:
        connected = await _tcp(way.host, way.port)
    try:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(way.dead_after_s * 1000))
        if way.proxy_url:
            await _tunnel(connected, way)
    except BaseException:
        connected.close()
        raise
    return connected


async def _tcp(host: str, port: int) -> socket.socket:
    return await start_connection(await _addresses(host, port), happy_eyeballs_delay=_NEXT_FAMILY_AFTER_S)


async def _addresses(host: str, port: int) -> list[AddrInfoType]:
    return await aside(lambda: list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)), name="dns")


async def _tunnel(connected: socket.socket, way: Way) -> None:
    """Have the proxy lead the socket to the peer (RFC 9110, 9.3.6)."""
    loop = asyncio.get_running_loop()
    target = f"[{way.host}]:{way.port}" if ":" in way.host else f"{way.host}:{way.port}"
    headers = [("host", target)]
    proxy = urlsplit(way.proxy_url)
    if proxy.username:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers.append(("proxy-authorization", f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"))
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_PROXY_HEAD_BYTES)
    request = client.send(h11.Request(method="CONNECT", target=target, headers=headers))
    await loop.sock_sendall(connected, request or b"")
    try:
        while (event := client.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                client.receive_data(await loop.sock_recv(connected, _PROXY_PIECE_BYTES))
    except h11.RemoteProtocolError as error:
        raise httpx.ProxyError(f"the proxy does not speak HTTP: {error}") from error
    status = event.status_code if isinstance(event, h11.Response) else 0
    if not httpx.codes.is_success(status):
        raise httpx.ProxyError(f"the proxy answers CONNECT with {status or 'nothing'}")
