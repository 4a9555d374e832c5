"""How a command reaches the daemon of its own machine: by the daemon's own settings."""

from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509

from edgeclient.cli.doctor_port import reachable
from edgeclient.config.schema import IngressConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWay:
    """What a channel is made of.

    Attributes:
        address: Where the daemon is.
        credentials: None: in plaintext.
        options: Of gRPC.
    """

    address: str
    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, str | int], ...]


_OPTIONS: tuple[tuple[str, str | int], ...] = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


def health_way(ingress: IngressConfig) -> OwnWay:
    """To the port for health checks, or to that for devices if there is no such port.

    Raises:
        OSError: The certificate cannot be read.
        ValueError: It is none.
    """
    if ingress.health_listen:
        return OwnWay(address=reachable(ingress.health_listen), credentials=None, options=_OPTIONS)
    return own_way(ingress)


def own_way(ingress: IngressConfig) -> OwnWay:
    """To the port for devices; its certificate is trusted because the settings name it, under whatever name it has.

    Raises:
        OSError: The certificate cannot be read.
        ValueError: It is none.
    """
    address = reachable(ingress.listen)
    if not ingress.tls_certificate_file:
        return OwnWay(address=address, credentials=None, options=_OPTIONS)
    pem = Path(ingress.tls_certificate_file).read_bytes()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = names.get_values_for_type(x509.DNSName)
    override = [("grpc.ssl_target_name_override", name.replace("*", "node")) for name in known[:1]]
    credentials = grpc.ssl_channel_credentials(root_certificates=pem)
    return OwnWay(address=address, credentials=credentials, options=(*_OPTIONS, *override))
