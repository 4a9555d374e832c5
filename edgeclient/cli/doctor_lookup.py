"""The look-up of a name as the daemon makes it, and, when that goes wrong, what each resolver says by itself.

The system's own look-up is what counts, since it knows /etc/hosts and everything else that is set up here; but it does
not say who failed. So when it fails or is slow, every resolver of /etc/resolv.conf is asked with a packet of our own:
one that is dead in front of one that works costs each look-up five seconds and shows nowhere else.
"""

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from edgeclient.core.aside import aside

SLOW_S = 1.0
LOOKUP_S = 8.0
_OWN_PART = 0.75  # six seconds: a resolver library tries again after five, and what comes then is still told
_RESOLVER_S = 2.0
_MOST_RESOLVERS = 3  # no resolver library asks more
_DNS_PORT = 53
_HEADER = struct.Struct("!6H")
_RECURSION = 0x0100
_CODES = {0: "answers", 1: "calls the question wrong", 2: "fails (SERVFAIL)", 3: "says there is no such name"}
RESOLVERS_FILE = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverAnswer:
    """What one resolver said.

    Attributes:
        address: Of the resolver.
        outcome: In words.
        duration_s: How long it took.
    """

    address: str
    outcome: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What a look-up gave.

    Attributes:
        host: The name.
        addresses: IPv4 and IPv6, in this order.
        is_literal: The name is an address.
        problem: "unknown": there is no such name; "unanswered": nobody says; "": it worked.
        duration_s: How long it took.
        resolvers: What each resolver says; empty if they were not asked.
    """

    host: str
    addresses: tuple[str, ...] = ()
    is_literal: bool = False
    problem: str = ""
    duration_s: float = 0.0
    resolvers: tuple[ResolverAnswer, ...] = ()


async def look_up(host: str, *, limit_s: float = LOOKUP_S) -> Lookup:
    """Find the addresses of a name; takes at most `limit_s` and never raises for a failure."""
    if _is_address(host):
        return Lookup(host=host, addresses=(host,), is_literal=True)
    begun_s = time.monotonic()
    families = (socket.AF_INET, socket.AF_INET6)
    found = await asyncio.gather(*(_addresses(host, family, limit_s * _OWN_PART) for family in families))
    duration_s = time.monotonic() - begun_s
    addresses = tuple(address for each in found if not isinstance(each, str) for address in each)
    problems = [each for each in found if isinstance(each, str)]
    problem = "" if addresses else "unanswered" if "unanswered" in problems else "unknown"
    resolvers: tuple[ResolverAnswer, ...] = ()
    if problem or duration_s > SLOW_S:
        asked = resolvers_of(_resolvers_text())[:_MOST_RESOLVERS]
        resolvers = tuple(
            await asyncio.gather(*(ask_resolver(each, host, limit_s=limit_s * (1 - _OWN_PART)) for each in asked))
        )
    return Lookup(host=host, addresses=addresses, problem=problem, duration_s=duration_s, resolvers=resolvers)


def resolvers_of(text: str) -> list[str]:
    """The addresses in the text of a resolv.conf."""
    words = [line.split() for line in text.splitlines()]
    return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]


async def ask_resolver(
    address: str, host: str, *, port: int = _DNS_PORT, limit_s: float = _RESOLVER_S
) -> ResolverAnswer:
    """Ask one resolver for the IPv4 addresses of a name."""
    begun_s = time.monotonic()
    outcome = "does not answer"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            outcome = await _exchange(address, port, host)
    return ResolverAnswer(address=address, outcome=outcome, duration_s=time.monotonic() - begun_s)


async def _exchange(address: str, port: int, host: str) -> str:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    number = secrets.randbelow(1 << 16)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0)
        try:
            await loop.sock_connect(sock, (address, port))
            await loop.sock_sendall(sock, question(host, number))
            while (
                len(answer := await loop.sock_recv(sock, 4096)) < _HEADER.size
                or _HEADER.unpack_from(answer)[0] != number
            ):
                pass
        except UnicodeError:
            return "cannot be asked (no name of DNS)"
        except OSError as error:
            return f"cannot be asked ({error.strerror or type(error).__name__})"
    code = _HEADER.unpack_from(answer)[1] & 0xF
    return _CODES.get(code, f"refuses (code {code})")


def question(host: str, number: int) -> bytes:
    """A DNS question for the IPv4 addresses of a name."""
    labels = [label.encode("idna") for label in host.rstrip(".").split(".")]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(number, _RECURSION, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1)


async def _addresses(host: str, family: socket.AddressFamily, limit_s: float) -> tuple[str, ...] | str:
    """The addresses of one kind, or the problem."""

    def ask() -> Iterable[tuple[object, ...]]:
        return socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)

    try:
        async with asyncio.timeout(limit_s):
            found = await aside(ask, name=f"look-up of {family.name}")
    except (TimeoutError, socket.gaierror, UnicodeError) as error:
        unknown = isinstance(error, UnicodeError) or getattr(error, "errno", 0) in _UNKNOWN
        return "unknown" if unknown else "unanswered"
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))  # type: ignore[index]  # an address has parts


_UNKNOWN = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _resolvers_text() -> str:
    try:
        return RESOLVERS_FILE.read_text("ascii", "replace")
    except OSError:
        return ""
