"""TLS on the port for devices: with files, with client certificates, and renewed while the daemon runs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import builders
import grpc
import grpc.aio
import pytest
from acceptance.daemon import Daemon, for_cloud
from cryptography import x509
from harness.certificates import Authority, Pair

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2_grpc


class Files:
    """Where the daemon finds its certificate."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self.key = directory / "port.pem", directory / "port.key"
        self.client_ca = directory / "devices.pem"

    @property
    def settings(self) -> dict[str, str]:
        return {"ingress.tls_certificate_file": str(self.certificate), "ingress.tls_key_file": str(self.key)}

    def hold(self, pair: Pair) -> None:
        """Put a certificate there."""
        pair.write(self.certificate, self.key)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def daemon(sim: Simulator, authority: Authority, files: Files) -> AsyncIterator[Daemon]:
    files.hold(authority.issue())
    async with Daemon({**for_cloud(sim), **files.settings}) as daemon:
        yield daemon


async def answer(daemon: Daemon, credentials: grpc.ChannelCredentials) -> str:
    """What a device gets over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(daemon.address, credentials, options=options) as channel:
        response = await chat_pb2_grpc.ChatServiceStub(channel).Chat(builders.chat_request(), timeout=5)
    return response.message.content


async def serial(daemon: Daemon, authority: Authority) -> int:
    """Serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2"])
    host, _, port = daemon.address.rpartition(":")
    _reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="localhost")
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return int(x509.load_der_x509_certificate(shown).serial_number)


async def test_devices_are_served_over_tls_and_not_without(daemon: Daemon, authority: Authority) -> None:
    assert (await daemon.says("node_started"))["tls"]
    assert await answer(daemon, grpc.ssl_channel_credentials(authority.pem))
    plaintext = daemon.chat.Chat(builders.chat_request(), timeout=5)
    stranger = answer(daemon, grpc.ssl_channel_credentials(Authority().pem))

    assert grpc.StatusCode.UNAVAILABLE is await plaintext.code()
    with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
        await stranger


async def test_with_a_client_ca_only_its_devices_are_served(sim: Simulator, authority: Authority, files: Files) -> None:
    devices = Authority("devices")
    files.hold(authority.issue())
    files.client_ca.write_bytes(devices.pem)
    settings = {**for_cloud(sim), **files.settings, "ingress.tls_client_ca_file": str(files.client_ca)}
    async with Daemon(settings) as daemon:
        ours, theirs = devices.issue("device-7"), Authority().issue("device-7")

        assert await answer(daemon, grpc.ssl_channel_credentials(authority.pem, ours.key, ours.certificate))
        for credentials in (
            grpc.ssl_channel_credentials(authority.pem),
            grpc.ssl_channel_credentials(authority.pem, theirs.key, theirs.certificate),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                await answer(daemon, credentials)


async def test_a_renewed_certificate_is_used_for_the_next_connection(
    daemon: Daemon, authority: Authority, files: Files
) -> None:
    before = await serial(daemon, authority)
    renewed = authority.issue()
    files.hold(renewed)

    assert before != renewed.serial
    assert renewed.serial == await serial(daemon, authority)
    assert str(files.certificate) == (await daemon.says("certificate_changed"))["path"]
    assert await answer(daemon, grpc.ssl_channel_credentials(authority.pem))


async def test_a_broken_renewal_keeps_the_good_one_and_is_told_once(
    daemon: Daemon, authority: Authority, files: Files
) -> None:
    before = await serial(daemon, authority)
    files.certificate.write_bytes(authority.issue().certificate)  # with the key of the other one
    shown = [await serial(daemon, authority) for _ in range(3)]
    problem = await daemon.says("certificate_unreadable")
    renewed = authority.issue()
    files.hold(renewed)

    assert [before] * 3 == shown
    assert "error" == problem["level"]
    assert "no certificate and its key" in problem["problem"]
    assert renewed.serial == await serial(daemon, authority)
    assert 1 == len([fact for fact in daemon.facts if fact["event"] == "certificate_unreadable"])


async def test_no_certificate_file_means_no_start(sim: Simulator, files: Files) -> None:
    finished = await Daemon({**for_cloud(sim), **files.settings}).fails()

    assert ExitCode.CONFIG == finished.code
    assert f"ingress.tls_certificate_file: {files.certificate} cannot be read" in finished.err
    assert "Traceback" not in finished.err


async def test_a_key_that_does_not_fit_means_no_start(sim: Simulator, authority: Authority, files: Files) -> None:
    files.hold(authority.issue())
    files.key.write_bytes(authority.issue().key)
    finished = await Daemon({**for_cloud(sim), **files.settings}).fails()

    assert ExitCode.CONFIG == finished.code
    assert "are no certificate and its key in PEM form" in finished.err
    assert "PRIVATE KEY" not in finished.err
