"""Whom a node trusts: the platform, certifi where the platform has nobody, and a private CA beside them."""

import ssl
from pathlib import Path

import certifi
import pytest

from edgeclient.config.schema import UpstreamConfig
from edgeclient.upstream.trust import trusted


def count(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def paths(cafile: str | None) -> ssl.DefaultVerifyPaths:
    return ssl.DefaultVerifyPaths(cafile, None, "", "", "", "")  # type: ignore[arg-type]  # as where there are none


def test_platform_without_cas_is_helped_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths("/etc/ssl/cert.pem"))
    assert 0 == count(trusted(UpstreamConfig()))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths(None))

    assert count(trusted(UpstreamConfig())) > 100


def test_private_ca_is_trusted_beside_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths("/etc/ssl/cert.pem"))
    one = Path(certifi.where()).read_text("ascii").partition("-----END CERTIFICATE-----\n")
    (tmp_path / "ca.pem").write_text(one[0][one[0].index("-----BEGIN") :] + one[1], "ascii")

    assert 1 == count(trusted(UpstreamConfig(ca_file=str(tmp_path / "ca.pem"))))


def test_names_and_certificates_are_always_verified() -> None:
    context = trusted(UpstreamConfig())

    assert context.check_hostname
    assert ssl.CERT_REQUIRED is context.verify_mode
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
