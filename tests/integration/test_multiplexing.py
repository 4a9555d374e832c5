"""Many calls of many devices share the connection to the provider: that is what a node is for."""

import asyncio

import builders
import grpc.aio
import pytest
from harness.cloud import chats
from harness.node import Node
from harness.rpc_failure import RpcFailure, failure_of

from edgeclient.core.events import UplinkChanged
from edgeclient.core.node_events import NodeStopped
from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, node_pb2

MOST_CONNECTIONS = 2


@pytest.mark.parametrize("method", ["Chat", "StreamChat", "BatchChat"])
@pytest.mark.parametrize("count", [50, 100])
async def test_calls_of_a_cold_node_share_a_connection(count: int, method: str) -> None:
    config = SimulatorConfig(ttft_ms=400)
    async with asyncio.timeout(30), Simulator(config) as sim, Node(sim, ingress={"batch_concurrency": count}) as node:
        await {"Chat": _chats, "StreamChat": _streams, "BatchChat": _batch}[method](node, count)
        status = (await node.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())).status

        assert sim.stats.connections_accepted <= MOST_CONNECTIONS
        assert {"h2"} == set(sim.stats.by_protocol)
        assert count == len(chats(sim)) == sim.ledger.totals.calls_billed
        assert sim.stats.in_flight_max > count // 2
        assert [("dashscope", "127.0.0.1", "h2", node_pb2.UPLINK_STATE_ONLINE)] == [
            (target.name, target.host, target.protocol, target.uplink) for target in status.targets
        ]
        assert 0 == status.active_call_count


async def _chats(node: Node, count: int) -> None:
    answers = await asyncio.gather(*(node.chat.Chat(builders.chat_request()) for _ in range(count)))
    assert count == len({answer.id for answer in answers})


async def _streams(node: Node, count: int) -> None:
    async def whole() -> str:
        pieces = [piece async for piece in node.chat.StreamChat(builders.chat_request())]
        assert chat_pb2.FINISH_REASON_STOP == pieces[-1].finish_reason
        return "".join(piece.content for piece in pieces)

    assert 1 == len(set(await asyncio.gather(*(whole() for _ in range(count)))))


async def _batch(node: Node, count: int) -> None:
    batch = chat_pb2.BatchChatRequest(requests=[builders.chat_request() for _ in range(count)])
    results = [result async for result in node.chat.BatchChat(batch)]
    assert list(range(count)) == sorted(result.index for result in results)
    assert all(result.HasField("response") for result in results)


async def test_a_provider_without_http2_is_refused_with_the_setting_that_helps() -> None:
    async with (
        asyncio.timeout(30),
        Simulator(SimulatorConfig(http1_only=True)) as sim,
        Node(sim) as node,
    ):
        change = await node.seen(UplinkChanged)
        told = await failure_of(node.chat.Chat(builders.chat_request()))

        assert "does not speak HTTP/2; set upstream.http1 = true" in change.problem
        assert ("UNAVAILABLE", False) == (told.code, told.possibly_billed)
        assert [] == chats(sim)


async def test_http1_is_used_where_it_is_permitted_and_told() -> None:
    async with (
        asyncio.timeout(30),
        Simulator(SimulatorConfig(http1_only=True)) as sim,
        Node(sim, upstream={"http1": True}) as node,
    ):
        assert (await node.chat.Chat(builders.chat_request())).message.content
        status = (await node.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())).status
        assert ["http/1.1"] == [target.protocol for target in status.targets]


async def test_more_chats_than_there_is_room_for_are_refused_at_once_with_a_delay() -> None:
    config = SimulatorConfig(ttft_ms=300)
    async with asyncio.timeout(30), Simulator(config) as sim, Node(sim, ingress={"max_in_flight": 5}) as node:
        results = await asyncio.gather(
            *(node.chat.Chat(builders.chat_request()) for _ in range(8)), return_exceptions=True
        )
        told = [RpcFailure.of(result) for result in results if isinstance(result, grpc.aio.AioRpcError)]

        assert [("UNAVAILABLE", "OVERLOADED")] * 3 == [(each.code, each.reason) for each in told]
        assert all(1000 <= each.pushback_ms <= 1200 and not each.possibly_billed for each in told)
        assert 5 == len(chats(sim))


async def test_a_node_that_is_told_to_stop_while_it_begins_stops() -> None:
    async with asyncio.timeout(30), Simulator() as sim:
        for turns in range(40):
            async with asyncio.timeout(3), Node(sim) as node:
                for _ in range(turns):
                    await asyncio.sleep(0)  # one turn of the loop: the probe is somewhere else each time
            assert [True] == [event.drained for event in node.told(NodeStopped)]
