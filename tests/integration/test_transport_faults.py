"""What goes wrong on the way: every row of `connection_fault.py` with a real peer, told in a sentence that helps."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import builders
import pytest
from upstream_end import UpstreamEnd

from edgeclient.config.setting import SettingError
from edgeclient.core.errors import Blocked, Unavailable
from edgeclient.simulator import CertificateMode, Fault, Simulator, SimulatorConfig
from edgeclient.upstream import source_address

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """A port with `serve` behind it; at the end connections are cut and their tasks have ended."""
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.close()


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A plain web server: answers whatever comes with 400."""
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def no_application_protocol(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the TLS handshake as front ends do that offer none of the client's protocols: fatal alert 120."""
    await reader.read(65_536)
    writer.write(bytes((0x15, 3, 3, 0, 2, 2, 120)))
    await writer.drain()
    writer.close()


def refusing(status: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    return serve


def tunnel(seen: list[bytes], port: int) -> Serve:
    """A CONNECT proxy that leads everything to one port of this machine."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.transport.abort()

    return serve


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (CertificateMode.EXPIRED, "has expired; check the clock of this node"),
        (CertificateMode.NOT_YET_VALID, "is not yet valid; check the clock of this node"),
        (CertificateMode.WRONG_HOST, "is for another host"),
    ],
)
async def test_wrong_certificate(mode: CertificateMode, sentence: str) -> None:
    async with Simulator(SimulatorConfig(certificate=mode)) as sim, UpstreamEnd(sim) as end:
        error = await end.fails()

        assert sentence in error.message
        assert f"127.0.0.1:{sim.port}" in error.message
        assert isinstance(error, Unavailable)
        assert "UPSTREAM_UNAVAILABLE" == error.reason_name
        assert 0 == sim.stats.requests


async def test_unknown_ca() -> None:
    async with Simulator() as sim, UpstreamEnd(base_url=sim.base_url) as end:
        error = await end.fails()

        assert "does not trust; set upstream.ca_file" in error.message
        assert "UPSTREAM_UNAVAILABLE" == error.reason_name


async def test_connection_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        port = taken.getsockname()[1]
        async with UpstreamEnd(base_url=f"https://127.0.0.1:{port}/v1") as end:
            error = await end.fails()

    assert f"127.0.0.1:{port} refuses connections" in error.message
    assert isinstance(error, Unavailable)
    assert "UPSTREAM_UNAVAILABLE" == error.reason_name


async def test_unknown_name() -> None:
    async with UpstreamEnd(base_url="https://no-such-host.invalid/v1") as end:
        error = await end.fails()

    assert "the name of no-such-host.invalid:443 cannot be resolved" in error.message
    assert "UPLINK_OFFLINE" == error.reason_name


async def test_silence_while_connecting_takes_the_connect_timeout_and_all_who_wait_share_it() -> None:
    loop = asyncio.get_running_loop()
    async with listening(silent) as port:
        base_url = f"https://127.0.0.1:{port}/v1"
        async with UpstreamEnd(base_url=base_url, connect_timeout_s=0.2) as end:
            begun_s = loop.time()
            errors = await asyncio.gather(*(end.fails() for _ in range(50)))
            took_s = loop.time() - begun_s

    assert 0.2 <= took_s <= 2  # one after the other, fifty would take ten seconds
    for error in errors:
        assert isinstance(error, Unavailable)
        assert "longer than upstream.connect_timeout_s, 0.2 s" in error.message
        assert "UPLINK_OFFLINE" == error.reason_name


async def test_no_tls_at_the_other_end() -> None:
    async with (
        listening(hello) as port,
        UpstreamEnd(base_url=f"https://127.0.0.1:{port}/v1") as end,
    ):
        error = await end.fails()

    assert "does not speak TLS; check scheme and port" in error.message


async def test_plain_http1_at_the_other_end() -> None:
    async with listening(hello) as port, UpstreamEnd(base_url=f"http://127.0.0.1:{port}/v1") as end:
        error = await end.fails()

    assert isinstance(error, Blocked)
    assert "does not speak HTTP/2; set upstream.http1 = true" in error.message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_peer_that_hangs_up_at_once_is_unavailable_and_not_told_to_speak_another_protocol(scheme: str) -> None:
    async with listening(hang_up) as port, UpstreamEnd(base_url=f"{scheme}://127.0.0.1:{port}/v1") as end:
        error = await end.fails()

    assert isinstance(error, Unavailable)
    assert "HTTP/2" not in error.message


async def test_peer_that_ends_the_handshake_for_lack_of_http2() -> None:
    async with (
        listening(no_application_protocol) as port,
        UpstreamEnd(base_url=f"https://127.0.0.1:{port}/v1") as end,
    ):
        error = await end.fails()

    assert isinstance(error, Blocked)
    assert not error.possibly_billed
    assert "does not speak HTTP/2; set upstream.http1 = true" in error.message


async def test_calls_pass_a_proxy() -> None:
    seen: list[bytes] = []
    config = SimulatorConfig(extra_names=("cloud.test",))
    async with Simulator(config) as sim, listening(tunnel(seen, sim.port)) as port:
        environ = {"HTTPS_PROXY": f"http://user:pass@127.0.0.1:{port}"}
        base_url = "https://cloud.test/compatible-mode/v1"
        async with UpstreamEnd(sim, base_url=base_url, proxy="environment", environ=environ) as end:
            assert (await end.ask(builders.call())).response.message.content

    (head,) = seen
    assert head.startswith(b"CONNECT cloud.test:443 ")
    assert b"basic dxnlcjpwyxnz" in head.lower()
    assert b"sk-of-the-node" not in head


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (b"407 Proxy Authentication Required", "wants a user and a password"),
        (b"403 Forbidden", "refuses to connect to"),
        (b"502 Bad Gateway", "refuses to connect to"),
    ],
)
async def test_proxy_refuses(status: bytes, sentence: str) -> None:
    async with Simulator() as sim, listening(refusing(status)) as port:
        environ = {"HTTPS_PROXY": f"http://user:hush@127.0.0.1:{port}"}
        base_url = "https://cloud.test/compatible-mode/v1"
        async with UpstreamEnd(sim, base_url=base_url, proxy="environment", environ=environ) as end:
            error = await end.fails()

    assert f"the proxy 127.0.0.1:{port} {sentence}" in error.message
    assert "hush" not in error.message
    assert "UPLINK_OFFLINE" == error.reason_name


async def test_proxy_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with UpstreamEnd(base_url="https://127.0.0.1:1/v1", proxy=f"http://127.0.0.1:{port}") as end:
            error = await end.fails()

    assert f"127.0.0.1:{port} refuses connections" in error.message


def test_ca_file_that_is_missing_or_nonsense_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    for path in (tmp_path / "missing.pem", nonsense):
        with pytest.raises(SettingError, match="ca_file"):
            UpstreamEnd(ca_file=str(path))


async def test_node_with_a_new_address_takes_a_new_connection_and_leaves_the_calls_on_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    present = {2: "192.168.1.20"}
    monkeypatch.setattr(source_address, "source_addresses", lambda: dict(present))
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        monkeypatch.setattr(source_address, "LOOK_EVERY_S", 0.0)
        await end.ask(builders.call())
        sim.faults.add(Fault(kind="delay_headers", delay_s=0.3, count=1))
        before = asyncio.ensure_future(end.ask(builders.call()))
        await sim.ledger.wait_until(lambda: sim.ledger.totals.requests == 2)
        present[2] = "10.64.3.9"
        after = await end.ask(builders.call())
        moved = sim.stats.connections_accepted

        assert after.response.message.content
        assert (await before).response.message.content
        assert (2, 2) == (moved, sim.stats.connections_accepted)
        assert [1, 1, 2] == [entry.connection for entry in sim.ledger.entries]
