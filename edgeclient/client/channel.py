"""How a device connects: what is encrypted, how a dead link is noticed, what is tried again.

The node is a neighbour on the local network behind cheap routers. So an idle connection is pinged (NAT tables of home
routers forget TCP after minutes), the reconnect delay is capped at half a minute (gRPC's own cap is two), and a proxy
from the environment is ignored: it leads to the internet, not to the node.
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from edgeclient import __version__

# The node permits a ping every 10 s; 30 s is below what the shortest NAT time-outs seen in practice need.
_KEEPALIVE_TIME_MS = 30_000
_KEEPALIVE_TIMEOUT_MS = 10_000
_RECONNECT_MIN_MS = 1_000
_RECONNECT_MAX_MS = 30_000
_CONNECT_TIMEOUT_MS = 10_000
# 3 attempts ride out a restart of the node; the throttle stops them while most calls fail (gRFC A6).
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": "edgeclient.v1.ChatService"},
                {"service": "edgeclient.v1.JobService"},
                {"service": "edgeclient.v1.NodeService"},
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.5s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """Everything that a connection needs to know.

    Attributes:
        address: `host:port`, `[ipv6]:port` or `unix:path`.
        ca_file: PEM certificates to trust instead of the system's. Given: TLS.
        certificate_file: PEM certificate that names this device. Needs `key_file`. Given: TLS.
        key_file: PEM private key of the certificate.
        plaintext: True: no TLS; False: TLS. None: no TLS if the address cannot be reached from outside of this
            machine and no certificate is given.
        retries: Repeat a call that ended with UNAVAILABLE before its first answer, when the node says so.
    """

    address: str
    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    plaintext: bool | None = None
    retries: bool = True

    def __post_init__(self) -> None:
        """Refuse combinations that cannot be meant."""
        if not self.address:
            raise ValueError("address: is empty; give host:port")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file: give both or none")
        if self.plaintext and self._has_files:
            raise ValueError("plaintext: contradicts ca_file and certificate_file; leave one of them out")

    @property
    def _has_files(self) -> bool:
        return self.ca_file is not None or self.certificate_file is not None

    @property
    def is_plaintext(self) -> bool:
        """The connection is not encrypted."""
        if self.plaintext is not None:
            return self.plaintext
        return not self._has_files and is_local(self.address)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS credentials, read from the files now; None without TLS.

        Raises:
            OSError: A file cannot be read.
        """
        if self.is_plaintext:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.ca_file),
            private_key=_content(self.key_file),
            certificate_chain=_content(self.certificate_file),
        )

    def options(self) -> list[tuple[str, str | int]]:
        """Channel arguments of the gRPC core."""
        return [
            ("grpc.keepalive_time_ms", _KEEPALIVE_TIME_MS),
            ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MIN_MS),
            ("grpc.min_reconnect_backoff_ms", _CONNECT_TIMEOUT_MS),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MAX_MS),
            ("grpc.enable_http_proxy", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.primary_user_agent", f"edgeclient-python/{__version__}"),
            ("grpc.enable_retries", int(self.retries)),
            ("grpc.service_config", json.dumps(_SERVICE_CONFIG) if self.retries else "{}"),
        ]


def open_channel(settings: ChannelSettings, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """A channel that connects with its first call; needs a running event loop."""
    if credentials is None:
        return grpc.aio.insecure_channel(settings.address, options=settings.options())
    return grpc.aio.secure_channel(settings.address, credentials, options=settings.options())


def is_local(address: str) -> bool:
    """Only this machine can listen in on the address: loopback or a Unix socket."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0] if not address.endswith("]") and ":" in address else address
    host = host.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:").strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _content(file: str | Path | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
