"""What a broken connection means: one table, from the words of TLS, sockets and HTTP/2 to a sentence and its class.

TLS, sockets and httpx tell causes only as text, so the table reads text; every row was seen with a real peer and is
tested with one. Two questions decide the class. Was the request certainly not processed? Then `Unavailable`: trying
again costs nothing. Can it ever work without a person? If not, `Blocked`. What is left went out and is lost:
`Uncertain`.

A fault while connecting is UPLINK_OFFLINE if the way is at fault (DNS, no route, silence, the proxy), and
UPSTREAM_UNAVAILABLE if something at the other end answered and was wrong. Sentences name host and port, never the key.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgeclient.core.errors import Blocked, CallError, Reason, Unavailable, Uncertain

_OFFLINE = Reason.ERROR_REASON_UPLINK_OFFLINE
_UNAVAILABLE = Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE
_INTERRUPTED = Reason.ERROR_REASON_UPSTREAM_INTERRUPTED

_THROUGH_PROXY = re.compile(r"to the proxy: |^proxyerror")
_WHILE_CONNECTING = re.compile(r"^connect(error|timeout)|^proxyerror|^nohttp2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end.

    Attributes:
        name: Host and port of the provider.
        proxy_name: Host and port of the proxy; "" if there is none.
        connect_timeout_s: How long connecting may take.
    """

    name: str
    proxy_name: str = ""
    connect_timeout_s: float

    @classmethod
    def at(cls, base_url: str, *, proxy_url: str, connect_timeout_s: float) -> "Peer":
        """The peer behind a URL and a proxy's URL."""
        proxy_name = _host_and_port(proxy_url) if proxy_url else ""
        return cls(name=_host_and_port(base_url), proxy_name=proxy_name, connect_timeout_s=connect_timeout_s)


@dataclass(frozen=True, slots=True)
class _Row:
    """Meaning of a text; `{peer}`, `{end}` (the proxy if it is the one meant) and so on are filled in."""

    pattern: str
    error: type[CallError]
    reason: Reason.ValueType
    sentence: str


_TABLE = (
    # -- certificates
    _Row(
        r"certificate has expired",
        Unavailable,
        _UNAVAILABLE,
        "the certificate of {peer} has expired; check the clock of this node, then tell whoever runs {peer}",
    ),
    _Row(
        r"certificate is not yet valid",
        Unavailable,
        _UNAVAILABLE,
        "the certificate of {peer} is not yet valid; check the clock of this node",
    ),
    _Row(
        r"hostname mismatch|ip address mismatch",
        Unavailable,
        _UNAVAILABLE,
        "the certificate of {peer} is for another host; check upstream.base_url, and whether the network wants"
        " a sign-in or intercepts TLS",
    ),
    _Row(
        r"unable to get (local )?issuer|self[- ]signed",
        Unavailable,
        _UNAVAILABLE,
        "the certificate of {peer} comes from a CA that this node does not trust; set upstream.ca_file if it is a"
        " private one",
    ),
    _Row(
        r"certificate_verify_failed",
        Unavailable,
        _UNAVAILABLE,
        "the certificate of {peer} is not acceptable ({cause})",
    ),
    # -- protocols
    _Row(
        r"no_application_protocol|no application protocol|http_1_1_required|received overlong frame",
        Blocked,
        _UNAVAILABLE,
        "{peer} does not speak HTTP/2; set upstream.http1 = true",
    ),
    _Row(
        r"wrong[_ ]version[_ ]number|record layer failure|packet length too long",
        Unavailable,
        _UNAVAILABLE,
        "{peer} does not speak TLS; check scheme and port of upstream.base_url, and whether the network wants a"
        " sign-in",
    ),
    # -- the proxy
    _Row(
        r"^proxyerror.*\b407\b",
        Unavailable,
        _OFFLINE,
        "the proxy {proxy} wants a user and a password; set HTTPS_PROXY to http://user:password@host:port and leave"
        " upstream.proxy = environment",
    ),
    _Row(
        r"^proxyerror",
        Unavailable,
        _OFFLINE,
        "the proxy {proxy} refuses to connect to {peer}; ask whoever runs it to permit that, or set upstream.proxy",
    ),
    # -- the way
    _Row(
        r"name or service not known|name does not resolve|name resolution|no address associated|try again",
        Unavailable,
        _OFFLINE,
        "the name of {end} cannot be resolved; check the connection and the DNS of this node",
    ),
    _Row(
        r"connection refused|errno (111|61)\b",
        Unavailable,
        _UNAVAILABLE,
        "{end} refuses connections; check host and port",
    ),
    _Row(
        r"no route to host|network is unreachable|host is unreachable|network is down|errno (101|113)\b",
        Unavailable,
        _OFFLINE,
        "there is no route to {end}; check the connection of this node",
    ),
    # -- requests that were certainly not processed
    _Row(
        r"^not(processed|sent)",
        Unavailable,
        _UNAVAILABLE,
        "{peer} turned the request away without processing it",
    ),
)
_ROWS = tuple((re.compile(row.pattern), row) for row in _TABLE)
_TIMED_OUT = re.compile(r"timed out|timeout")


def connection_fault(text: str, *, peer: Peer, unsent: bool) -> CallError:
    """The error to raise for what an engine said.

    Args:
        text: Its type and its causes, outermost first.
        peer: Who is at the other end.
        unsent: It is known that no connection stood before the request could leave.
    """
    lowered = text.lower()
    end = peer.proxy_name if peer.proxy_name and _THROUGH_PROXY.search(lowered) else peer.name
    cause = text.rpartition(": ")[2] or "without a word"
    for pattern, row in _ROWS:
        if pattern.search(lowered):
            sentence = row.sentence.format(peer=peer.name, end=end, proxy=peer.proxy_name, cause=cause)
            return row.error(row.reason, f"Cannot reach the provider: {sentence}")
    if unsent or _WHILE_CONNECTING.search(lowered):
        return connect_timeout(peer) if _TIMED_OUT.search(lowered) else _unconnected(peer, cause)
    return Uncertain(
        _INTERRUPTED, f"The connection to {peer.name} broke while the request was in progress there ({cause})"
    )


def connect_timeout(peer: Peer) -> CallError:
    """The error to raise if connecting took too long."""
    way = f"{peer.name} through the proxy {peer.proxy_name}" if peer.proxy_name else peer.name
    return Unavailable(
        _OFFLINE,
        f"Cannot reach the provider: connecting to {way} took longer than upstream.connect_timeout_s,"
        f" {peer.connect_timeout_s:g} s; check the connection of this node",
    )


def _unconnected(peer: Peer, cause: str) -> CallError:
    return Unavailable(_OFFLINE, f"Cannot reach the provider: connecting to {peer.name} failed ({cause})")


def _host_and_port(url: str) -> str:
    """Host and port of a URL, without user and password."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
