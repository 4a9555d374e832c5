"""The way to an address, step by step, with nothing but sockets: TCP, the tunnel of a proxy, TLS.

The engine of the daemon makes all of it in one go and tells one failure; here every step is timed by itself, each
address alone, and a certificate that is refused is looked at all the same. Nothing is sent but the handshake.
"""

import asyncio
import base64
import errno
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

from cryptography import x509

from edgeclient.upstream.diagnosis import unverified
from edgeclient.upstream.engines import ALPN

TCP_S = 4.0
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN)
_HEAD_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """An attempt to connect.

    Attributes:
        address: Where.
        outcome: connected, refused, silent, unreachable, failed.
        detail: In the words of the system; "" where the outcome says it.
        duration_s: How long it took.
    """

    address: str
    outcome: str
    detail: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says of itself."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a TLS handshake gave.

    Attributes:
        version: Such as TLSv1.3; "" if there is none.
        alpn: The protocol that the peer chose; "" if none.
        certificate: Of the peer, refused or not; None if it showed none.
        problem: expired, not_yet_valid, wrong_host, unknown_ca, refused_certificate, not_tls, broken_off, silent,
            proxy; "" if it worked.
        detail: In the words of the library, or the status line of the proxy.
        duration_s: How long it took, TCP included.
    """

    version: str = ""
    alpn: str = ""
    certificate: Certificate | None = None
    problem: str = ""
    detail: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """How a peer is reached.

    Attributes:
        host: Name of the peer, for its certificate.
        port: Its port.
        address: What to connect to: an address of the peer or of the proxy.
        address_port: The port of that.
        proxy_url: URL of the proxy; "" if there is none.
    """

    host: str
    port: int
    address: str
    address_port: int
    proxy_url: str = ""


class TunnelRefusedError(Exception):
    """The proxy does not connect; says its status line."""


async def dial_all(addresses: Sequence[str], port: int, *, limit_s: float = TCP_S) -> tuple[Dial, ...]:
    """Connect to each address, all at a time."""
    return tuple(await asyncio.gather(*(_dial(address, port, limit_s) for address in addresses)))


async def _dial(address: str, port: int, limit_s: float) -> Dial:
    begun_s = time.monotonic()
    outcome, detail = "connected", ""
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection(address, port)
        writer.transport.abort()
    except TimeoutError:
        outcome = "silent"
    except OSError as error:
        detail = error.strerror or type(error).__name__
        known = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "silent"} | dict.fromkeys(_UNREACHABLE, "unreachable")
        outcome = known.get(error.errno or 0, "failed")
    return Dial(address=address, outcome=outcome, detail=detail, duration_s=time.monotonic() - begun_s)


async def shake_hands(road: Road, context: ssl.SSLContext, *, limit_s: float) -> Handshake:
    """A TLS handshake, verified; where the certificate is refused, another one just to look at it.

    Never raises for a failure; takes at most `limit_s`.
    """
    begun_s = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            version, alpn, certificate = await _handshake(road, context)
    except (TimeoutError, OSError, TunnelRefusedError, asyncio.IncompleteReadError) as error:
        problem, detail = _problem(error)
        certificate = None
        if isinstance(error, ssl.SSLCertVerificationError):
            certificate = await _looked_at(road, limit_s=limit_s - (time.monotonic() - begun_s))
        return Handshake(problem=problem, detail=detail, certificate=certificate, duration_s=time.monotonic() - begun_s)
    return Handshake(version=version, alpn=alpn, certificate=certificate, duration_s=time.monotonic() - begun_s)


async def _looked_at(road: Road, *, limit_s: float) -> Certificate | None:
    try:
        async with asyncio.timeout(limit_s):
            return (await _handshake(road, unverified()))[2]
    except (TimeoutError, OSError, TunnelRefusedError, asyncio.IncompleteReadError):
        return None


async def _handshake(road: Road, context: ssl.SSLContext) -> tuple[str, str, Certificate | None]:
    context.set_alpn_protocols(list(ALPN))
    async with _connected(road) as writer:
        await writer.start_tls(context, server_hostname=road.host)
        secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
        shown = secured.getpeercert(binary_form=True)
        return secured.version() or "", secured.selected_alpn_protocol() or "", _read(shown) if shown else None


@asynccontextmanager
async def _connected(road: Road) -> AsyncIterator[asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(road.address, road.address_port)
    try:
        if road.proxy_url:
            await _tunnel(reader, writer, road)
        yield writer
    finally:
        writer.transport.abort()


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, road: Road) -> None:
    """Ask the proxy for the way to the peer."""
    host = f"[{road.host}]" if ":" in road.host else road.host
    lines = [f"CONNECT {host}:{road.port} HTTP/1.1", f"Host: {host}:{road.port}"]
    url = urlsplit(road.proxy_url)
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise TunnelRefusedError("an endless answer") from None
    status = head[:_HEAD_BYTES].partition(b"\r\n")[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise TunnelRefusedError(status[:80])


_CODES = {9: "not_yet_valid", 10: "expired", 62: "wrong_host", 64: "wrong_host"} | dict.fromkeys(
    (2, 18, 19, 20, 21), "unknown_ca"
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "NOT_TLS", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


def _problem(error: Exception) -> tuple[str, str]:
    """What an exception of a handshake means, and its words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CODES.get(error.verify_code, "refused_certificate"), error.verify_message
    if isinstance(error, TunnelRefusedError):
        return "proxy", str(error)
    if isinstance(error, TimeoutError):
        return "silent", ""
    if isinstance(error, ssl.SSLError):
        words = error.reason or error.strerror or type(error).__name__  # no reason: a library newer than Python's table
        symbol = words.upper().replace(" ", "_")
        return ("not_tls" if any(each in symbol for each in _NO_TLS) else "broken_off"), words
    return "broken_off", getattr(error, "strerror", None) or type(error).__name__


def _read(der: bytes) -> Certificate:
    found = x509.load_der_x509_certificate(der)
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(name.value) for name in alternatives)
    except (x509.ExtensionNotFound, ValueError):
        names = ()
    return Certificate(
        subject=found.subject.rfc4514_string() or ", ".join(names[:1]),
        issuer=found.issuer.rfc4514_string(),
        names=names,
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
    )
