"""The port for probes that cannot do TLS: beside a port for devices that does, it tells health and nothing else."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import builders
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness.certificates import Authority
from harness.node import Node

from edgeclient.config.setting import SettingError
from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2_grpc, node_pb2, node_pb2_grpc

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
PROBED = ("", "edgeclient.v1.NodeService")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@pytest.fixture
def ingress(tmp_path: Path) -> dict[str, str]:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    Authority().issue().write(certificate, key)
    listen = f"unix:{tmp_path / 'health'}"
    return {"tls_certificate_file": str(certificate), "tls_key_file": str(key), "health_listen": listen}


async def probed(channel: grpc.aio.Channel) -> list[int]:
    health: Any = health_pb2_grpc.HealthStub(channel)
    return [(await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in PROBED]


async def test_probes_without_tls_are_told_health_until_the_end(sim: Simulator, ingress: dict[str, str]) -> None:
    async with (
        Node(sim, ingress=ingress) as node,
        grpc.aio.insecure_channel(ingress["health_listen"]) as channel,
    ):
        assert [SERVING, SERVING] == await probed(channel)

        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert SERVING == (await watch.read()).status
        node.drain()
        assert NOT_SERVING == (await watch.read()).status
        await node.stopped()
        with pytest.raises(grpc.aio.AioRpcError):
            await probed(channel)


async def test_nothing_but_health_is_served_there(sim: Simulator, ingress: dict[str, str]) -> None:
    async with Node(sim, ingress=ingress), grpc.aio.insecure_channel(ingress["health_listen"]) as channel:
        chats: chat_pb2_grpc.ChatServiceAsyncStub = chat_pb2_grpc.ChatServiceStub(channel)
        nodes: node_pb2_grpc.NodeServiceAsyncStub = node_pb2_grpc.NodeServiceStub(channel)
        for call in (chats.Chat(builders.chat_request()), nodes.GetNodeStatus(node_pb2.GetNodeStatusRequest())):
            assert grpc.StatusCode.UNIMPLEMENTED is await call.code()


async def test_a_port_that_is_taken_is_told_by_its_setting(sim: Simulator, ingress: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SettingError) as caught:
            async with Node(sim, ingress=ingress | {"health_listen": taken}):
                pass

    problem = f"{taken} cannot be bound; another process has it, or it is no address of this node"
    assert [f"ingress.health_listen: {problem}"] == caught.value.problems
