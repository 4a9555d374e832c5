"""The life of the daemon as an init system sees it: start, drain, end, and what refuses to begin."""

import asyncio
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import builders
import grpc.aio
import pytest
from acceptance.daemon import Daemon, for_cloud
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness.cloud import CHATS, arrived
from harness.rpc_failure import failure_of

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2, node_pb2

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamCall

SLOW = Fault(kind="slow_chunks", delay_s=0.05, path=CHATS)
HANGS = Fault(kind="hang", path=CHATS)


@pytest.fixture
async def daemon(sim: Simulator) -> AsyncIterator[Daemon]:
    async with Daemon(for_cloud(sim)) as daemon:
        yield daemon


async def begun(daemon: Daemon) -> "UnaryStreamCall[chat_pb2.ChatRequest, chat_pb2.StreamChatResponse]":
    """A stream whose first piece is there."""
    stream = daemon.chat.StreamChat(builders.chat_request())
    await anext(aiter(stream))
    return stream


async def refused(daemon: Daemon) -> None:
    """Return when new calls are refused with UNAVAILABLE.

    What is sent within a round trip of HTTP/2's goodbye is still let in, or ended by gRPC's core with CANCELLED.
    """
    code = grpc.StatusCode.OK
    while code is not grpc.StatusCode.UNAVAILABLE:
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)
        code = await daemon.node.GetNodeStatus(node_pb2.GetNodeStatusRequest(), timeout=5).code()


async def test_the_start_is_told_in_one_line_of_json(daemon: Daemon) -> None:
    (started,) = [fact for fact in daemon.facts if fact["event"] == "node_started"]

    assert "info" == started["level"]
    assert daemon.address.startswith("127.0.0.1:")
    assert daemon.admin != daemon.address
    assert 0 < started["startup_s"] < 20
    assert "127.0.0.1" == started["upstream"]
    assert not started["tls"]
    assert (await daemon.chat.Chat(builders.chat_request())).message.content


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_finishes_a_running_stream_whole_and_ends_with_0(
    sim: Simulator, daemon: Daemon, number: signal.Signals
) -> None:
    sim.faults.add(SLOW)
    stream = await begun(daemon)
    daemon.signal(number)
    await daemon.says("node_draining")
    await refused(daemon)
    pieces = [piece async for piece in stream]

    assert chat_pb2.FINISH_REASON_STOP == pieces[-1].finish_reason
    assert pieces[-1].usage.total_tokens
    assert ExitCode.OK == await daemon.code()
    assert (await daemon.says("node_stopped"))["drained"]
    assert 1 == (await daemon.says("node_draining"))["active_call_count"]


async def test_an_idle_daemon_ends_at_once_although_devices_stay_connected_and_watch(daemon: Daemon) -> None:
    await daemon.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())
    assert daemon.channel is not None
    watching = health_pb2_grpc.HealthStub(daemon.channel).Watch(health_pb2.HealthCheckRequest())
    await watching.read()
    daemon.signal()

    assert ExitCode.OK == await daemon.code()
    assert (await daemon.says("node_stopped"))["duration_s"] < 2


async def test_readiness_ends_with_the_first_signal_and_liveness_does_not(sim: Simulator, daemon: Daemon) -> None:
    assert [200, 200] == [(await daemon.page(path))[0] for path in ("/readyz", "/livez")]
    sim.faults.add(HANGS)
    stream = daemon.chat.StreamChat(builders.chat_request())
    await arrived(sim)
    daemon.signal()
    await daemon.says("node_draining")

    assert [503, 200] == [(await daemon.page(path))[0] for path in ("/readyz", "/livez")]
    stream.cancel()


async def test_a_second_signal_ends_it_at_once(sim: Simulator, daemon: Daemon) -> None:
    sim.faults.add(HANGS)
    stream = daemon.chat.StreamChat(builders.chat_request())
    await arrived(sim)
    daemon.signal()
    await daemon.says("node_draining")
    daemon.signal()
    async with asyncio.timeout(3):
        assert ExitCode.INTERRUPTED == await daemon.code()

    assert grpc.StatusCode.UNAVAILABLE is await stream.code()
    assert "Error: ended at once; running calls were cut off" in daemon.output
    assert "Traceback" not in daemon.output


async def test_the_grace_is_the_limit(sim: Simulator) -> None:
    sim.faults.add(HANGS)
    async with Daemon({**for_cloud(sim), "ingress.drain_s": "0.2"}) as daemon:
        call = daemon.chat.Chat(builders.chat_request())
        await arrived(sim)
        daemon.signal()

        assert grpc.StatusCode.UNAVAILABLE is await call.code()
        assert ExitCode.OK == await daemon.code()
        stopped = await daemon.says("node_stopped")
        assert ("warning", False) == (stopped["level"], stopped["drained"])


async def test_a_waiting_retry_is_given_up_when_it_drains(sim: Simulator, daemon: Daemon) -> None:
    sim.faults.add(Fault(kind="service_unavailable", retry_after="10", path=CHATS))
    call = daemon.chat.Chat(builders.chat_request())
    await sim.ledger.wait_until(lambda: sim.ledger.totals.refused == 1)
    daemon.signal()
    told = await failure_of(call)

    assert ("UNAVAILABLE", "SHUTTING_DOWN", False) == (told.code, told.reason, told.possibly_billed)
    assert 1000 <= told.pushback_ms <= 1200
    assert ExitCode.OK == await daemon.code()


async def test_it_starts_without_the_provider_and_serves_when_that_comes_back(sim: Simulator) -> None:
    await sim.stop()
    async with Daemon({**for_cloud(sim), "upstream.probe_interval_s": "1"}) as daemon:
        await daemon.says("uplink_changed", lambda fact: fact["after"] == "offline")
        told = await failure_of(daemon.chat.Chat(builders.chat_request()))
        assert ("UNAVAILABLE", False) == (told.code, told.possibly_billed)
        await sim.start()
        await daemon.says("uplink_changed", lambda fact: fact["after"] == "online")

        assert (await daemon.chat.Chat(builders.chat_request())).message.content


async def test_it_listens_on_a_unix_socket_and_clears_it_away(sim: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    async with Daemon({**for_cloud(sim), "ingress.listen": f"unix:{path}"}) as daemon:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert f"unix:{path}" == daemon.address
        assert (await daemon.chat.Chat(builders.chat_request())).message.content
        daemon.signal()
        assert ExitCode.OK == await daemon.code()

    assert not path.exists()


# what refuses to begin


async def test_a_second_daemon_on_the_port_is_told_so_in_one_sentence(daemon: Daemon, sim: Simulator) -> None:
    second = await Daemon({**for_cloud(sim), "ingress.listen": daemon.address}).fails()

    assert ExitCode.CONFIG == second.code
    assert f"ingress.listen: {daemon.address} cannot be bound; another process has it" in second.err
    assert "Traceback" not in second.err
    assert 2 == len(second.err.splitlines())
    assert (await daemon.chat.Chat(builders.chat_request())).message.content


async def test_a_taken_admin_port_is_told_too(daemon: Daemon, sim: Simulator) -> None:
    second = await Daemon({**for_cloud(sim), "admin.listen": daemon.admin}).fails()

    assert ExitCode.CONFIG == second.code
    assert f"admin.listen: {daemon.admin} is in use by another program" in second.err
    assert 2 == len(second.err.splitlines())


async def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = {"ingress.max_in_flight": "none", "log.level": "loud", "upstream.base_url": "nonsense", "chat.typo": "1"}
    finished = await Daemon(wrong).fails()

    assert ExitCode.CONFIG == finished.code
    assert "the configuration has 4 problems:" in finished.err
    assert all(setting in finished.err for setting in wrong)
    assert "Traceback" not in finished.err


async def test_plaintext_for_the_network_is_refused_with_the_cure() -> None:
    finished = await Daemon({"ingress.listen": "0.0.0.0:0"}).fails()

    assert ExitCode.CONFIG == finished.code
    assert "ingress.listen: 0.0.0.0:0 would take plaintext from the network; set tls_certificate_file" in finished.err
    assert "allow_plaintext = true" in finished.err


async def test_without_a_key_it_says_where_one_belongs(sim: Simulator) -> None:
    finished = await Daemon(for_cloud(sim), key="").fails()

    assert ExitCode.CONFIG == finished.code
    assert "upstream.api_key_file: is not set and neither is DASHSCOPE_API_KEY" in finished.err


@pytest.mark.parametrize("content", ["", "two words", None])
async def test_a_useless_key_file_is_refused_without_showing_it(
    sim: Simulator, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    finished = await Daemon({**for_cloud(sim), "upstream.api_key_file": str(file)}, key="").fails()

    assert ExitCode.CONFIG == finished.code
    assert f"upstream.api_key_file: {file}" in finished.err
    assert "two words" not in finished.err
