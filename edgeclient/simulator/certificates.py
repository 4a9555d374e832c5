"""Certificates of the simulated cloud: a CA of its own and a leaf, made anew at each start.

Clients are given `ca.pem`, so they verify exactly as they verify the real cloud; nobody has to turn checks off. The
modes make the leaf wrong in one way each, because a client must tell a wrong clock and a wrong host from a dead line.
Keys are P-256: they are made in a millisecond, where RSA takes a good part of a second.
The private key of the leaf is readable for its owner only; that of the CA is never written.
"""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class CertificateMode(StrEnum):
    """In which way the certificate is wrong, if at all."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_HOST = "wrong-host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Where the files are."""

    ca_file: Path
    leaf_file: Path
    key_file: Path

    def server_context(self, protocols: Sequence[str]) -> ssl.SSLContext:
        """TLS 1.2 or newer with these ALPN protocols."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.leaf_file, self.key_file)
        context.set_alpn_protocols(list(protocols))
        return context


def _validity(mode: CertificateMode) -> tuple[dt.datetime, dt.datetime]:
    now = dt.datetime.now(dt.UTC)
    hour, year = dt.timedelta(hours=1), dt.timedelta(days=365)
    match mode:
        case CertificateMode.EXPIRED:
            return now - year, now - hour
        case CertificateMode.NOT_YET_VALID:
            return now + hour, now + year
        case _:
            return now - hour, now + year


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _make_ca() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    name = _name("edgeclient simulated cloud CA")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=366))  # also the CA of an expired leaf was valid in its time
        .not_valid_after(now + dt.timedelta(days=730))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def make_certificates(directory: Path, *, names: Sequence[str], mode: CertificateMode) -> Certificates:
    """Write `ca.pem`, `leaf.pem` and `leaf.key` for `names` (DNS names and addresses) into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    ca, ca_key = _make_ca()
    key = ec.generate_private_key(ec.SECP256R1())
    not_before, not_after = _validity(mode)
    if mode is CertificateMode.WRONG_HOST:
        names = ["wrong.host.invalid"]
    leaf = (
        x509.CertificateBuilder()
        .subject_name(_name(names[0]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    files = Certificates(
        ca_file=directory / "ca.pem", leaf_file=directory / "leaf.pem", key_file=directory / "leaf.key"
    )
    files.ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    files.leaf_file.write_bytes(leaf.public_bytes(Encoding.PEM))
    files.key_file.unlink(missing_ok=True)
    files.key_file.touch(mode=0o600)
    files.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
