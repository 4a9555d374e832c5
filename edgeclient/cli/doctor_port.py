"""Looks at an address to listen on and at the certificate of the port.

Whether an address is free is asked by connecting first and by binding then, without listening: nobody can be accepted
by accident, and a daemon that is about to start meets no port that is taken.
"""

import asyncio
import errno
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from edgeclient.config.schema import IngressConfig

_UNIX = "unix:"
_CONNECT_S = 1.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_OUTCOMES = {errno.EADDRINUSE: "taken", errno.EACCES: "denied", errno.EADDRNOTAVAIL: "absent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    """What was found of an address.

    Attributes:
        listen: The address.
        outcome: free, taken, denied (this user may not), absent (no address of this box), failed.
        detail: In the words of the system.
    """

    listen: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What was found of the certificate of the port.

    Attributes:
        problem: Why it cannot be used; "" if it can.
        subject: Whom it names.
        not_after: Its end.
    """

    problem: str = ""
    subject: str = ""
    not_after: datetime | None = None


def reachable(listen: str) -> str:
    """The address under which this machine reaches who listens there."""
    if listen.startswith(_UNIX):
        return listen
    host, _, port = listen.rpartition(":")
    host = _EVERYWHERE.get(host.strip("[]"), host.strip("[]"))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def port_facts(listen: str) -> PortFacts:
    """Whether somebody listens there, and if not whether we could."""
    if await _answers(listen):
        return PortFacts(listen=listen, outcome="taken")
    if listen.startswith(_UNIX):
        folder = os.path.dirname(listen.removeprefix(_UNIX)) or "."  # noqa: PTH120  no I/O
        free = os.access(folder, os.W_OK | os.X_OK)
        return PortFacts(listen=listen, outcome="free" if free else "denied", detail="" if free else f"{folder}")
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is in TIME_WAIT hinders no daemon
            sock.bind(address)
    except OSError as error:
        outcome = _OUTCOMES.get(error.errno or 0, "absent" if isinstance(error, socket.gaierror) else "failed")
        return PortFacts(listen=listen, outcome=outcome, detail=error.strerror or type(error).__name__)
    return PortFacts(listen=listen, outcome="free")


async def _answers(listen: str) -> bool:
    address = reachable(listen)
    try:
        async with asyncio.timeout(_CONNECT_S):
            if address.startswith(_UNIX):
                _, writer = await asyncio.open_unix_connection(address.removeprefix(_UNIX))
            else:
                host, _, port = address.rpartition(":")
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return True  # a queue of connections that is full has an owner
    except OSError:
        return False
    writer.transport.abort()
    return True


def certificate_facts(config: IngressConfig) -> CertificateFacts:
    """Read the files as the daemon does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    name, path = "ingress.tls_certificate_file", config.tls_certificate_file
    try:
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
        name, path = "ingress.tls_key_file", config.tls_key_file
        Path(path).read_bytes()
        context.load_cert_chain(config.tls_certificate_file, config.tls_key_file)
        if config.tls_client_ca_file:
            name, path = "ingress.tls_client_ca_file", config.tls_client_ca_file
            context.load_verify_locations(path)
    except ssl.SSLError as error:
        mismatch = "MISMATCH" in (error.reason or "")
        why = "is not the key of the certificate" if mismatch else "holds nothing of use in PEM form"
        return CertificateFacts(problem=f"{name}: {path} {why}")
    except (OSError, ValueError) as error:
        why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "holds no certificate in PEM form"
        return CertificateFacts(problem=f"{name}: {path} {why}")
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(), not_after=certificate.not_valid_after_utc.astimezone(UTC)
    )
