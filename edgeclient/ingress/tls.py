"""The certificate of the port: read from files, checked before it is used, replaced while running.

A certificate that is renewed on disk is taken for the next connection, so a renewal needs no restart. One that cannot
be used (half written, wrong key) is reported once, and the last good one stays in use: a node must not lose its port to
a failing renewal.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from edgeclient.config.schema import IngressConfig
from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable
from edgeclient.core.node_events import CertificateChanged, CertificateUnreadable
from edgeclient.core.ports import Observe

_Stamp = tuple[tuple[int, int, int], ...]


def server_credentials(config: IngressConfig, observe: Observe) -> grpc.ServerCredentials:
    """TLS credentials that follow the files.

    Raises:
        SettingError: A file cannot be read, or certificate and key do not belong together.
    """
    files = _CertificateFiles(config, observe)
    wants_client = bool(config.tls_client_ca_file)
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", files.changed)  # None is allowed: no change
    return grpc.dynamic_ssl_server_credentials(files.load(), fetch, require_client_authentication=wants_client)


class _CertificateFiles:
    """The files behind the credentials. `changed` is called by the engine before each handshake."""

    def __init__(self, config: IngressConfig, observe: Observe) -> None:
        self._config = config
        self._observe = observe
        self._stamp: _Stamp = ()

    def load(self) -> grpc.ServerCertificateConfiguration:
        """Read and check the files.

        Raises:
            SettingError: They cannot be used.
        """
        config = self._config
        self._stamp = self._look()
        chain = _read("ingress.tls_certificate_file", config.tls_certificate_file)
        key = _read("ingress.tls_key_file", config.tls_key_file)
        root = _read("ingress.tls_client_ca_file", config.tls_client_ca_file) if config.tls_client_ca_file else None
        _check_pair(config)
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=root)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new certificate, or None if the files are as before or cannot be used."""
        if self._look() == self._stamp:
            return None
        path = self._config.tls_certificate_file
        try:
            fresh = self.load()
        except SettingError as error:
            self._observe(CertificateUnreadable(path=path, problem=str(error)))
            return None
        self._observe(CertificateChanged(path=path))
        return fresh

    def _look(self) -> _Stamp:
        config = self._config
        stamp = []
        for name in (config.tls_certificate_file, config.tls_key_file, config.tls_client_ca_file):
            try:
                facts = Path(name).stat()
            except OSError:
                stamp.append((0, 0, 0))
            else:
                stamp.append((facts.st_mtime_ns, facts.st_size, facts.st_ino))
        return tuple(stamp)


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingError([f"{setting}: {path} {why_unreadable(error)}"]) from error


def _check_pair(config: IngressConfig) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.tls_certificate_file, config.tls_key_file)
    except (ssl.SSLError, OSError) as error:
        files = f"{config.tls_certificate_file} and {config.tls_key_file}"
        raise SettingError(
            [f"ingress.tls_certificate_file: {files} are no certificate and its key in PEM form: {error}"]
        ) from error
    if not config.tls_client_ca_file:
        return
    try:
        context.load_verify_locations(config.tls_client_ca_file)
    except (ssl.SSLError, OSError) as error:
        problem = f"{config.tls_client_ca_file} holds no certificate in PEM form"
        raise SettingError([f"ingress.tls_client_ca_file: {problem}: {error}"]) from error
