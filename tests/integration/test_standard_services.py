"""Health and reflection: what balancers, orchestrators and grpcurl look at, over the whole node."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import builders
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from harness.cloud import CHATS
from harness.node import Node

from edgeclient.core.node_events import NodeStopped
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2, node_pb2

CHAT, NODE = "edgeclient.v1.ChatService", "edgeclient.v1.NodeService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@pytest.fixture
async def node(sim: Simulator) -> AsyncIterator[Node]:
    async with Node(sim) as node:
        yield node


def health(node: Node) -> Any:
    return health_pb2_grpc.HealthStub(node.channel)


def watch(node: Node, service: str) -> Any:
    return health(node).Watch(health_pb2.HealthCheckRequest(service=service))


async def until(stream: Any, status: int) -> None:
    """Read a Watch until it tells this."""
    while (await stream.read()).status != status:
        pass


async def check(node: Node, service: str) -> int:
    response = await health(node).Check(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


# health


async def test_chat_is_healthy_while_the_provider_can_be_reached_and_watchers_are_told(
    sim: Simulator, node: Node
) -> None:
    stream = watch(node, CHAT)
    await until(stream, SERVING)
    await sim.stop()
    with pytest.raises(grpc.aio.AioRpcError):
        await node.chat.Chat(builders.chat_request())
    await until(stream, NOT_SERVING)
    assert [SERVING, NOT_SERVING, SERVING] == [await check(node, name) for name in ("", CHAT, NODE)]

    await sim.start()
    await until(stream, SERVING)
    assert SERVING == await check(node, CHAT)
    stream.cancel()


async def test_a_watcher_that_leaves_takes_nothing_from_the_others(sim: Simulator, node: Node) -> None:
    leaving, staying = watch(node, CHAT), watch(node, CHAT)
    await until(leaving, SERVING)
    await until(staying, SERVING)
    leaving.cancel()
    await asyncio.gather(leaving.code())
    await check(node, CHAT)  # the server has seen the cancellation when it has answered what came after it
    await sim.stop()
    with pytest.raises(grpc.aio.AioRpcError):
        await node.chat.Chat(builders.chat_request())

    async with asyncio.timeout(5):
        await until(staying, NOT_SERVING)
    staying.cancel()


async def test_a_service_that_is_not_there_is_told_as_such(node: Node) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(node, "edgeclient.v1.Nonsense")
    stream = watch(node, "edgeclient.v1.Nonsense")

    assert grpc.StatusCode.NOT_FOUND is caught.value.code()
    assert UNKNOWN == (await stream.read()).status
    stream.cancel()


async def test_a_draining_node_is_unhealthy_and_finishes_what_runs(sim: Simulator, node: Node) -> None:
    sim.faults.add(Fault(kind="slow_chunks", delay_s=0.05, path=CHATS))
    watches = [watch(node, service) for service in ("", CHAT, NODE)]
    for each in watches:
        await until(each, SERVING)
    stream = node.chat.StreamChat(builders.chat_request())
    first = await stream.read()
    node.drain()
    for each in watches:
        await until(each, NOT_SERVING)
    pieces: list[object] = [first]
    while (piece := await stream.read()) is not grpc.aio.EOF:
        pieces.append(piece)

    assert [chat_pb2.FINISH_REASON_STOP] == [
        piece.finish_reason
        for piece in pieces
        if isinstance(piece, chat_pb2.StreamChatResponse) and piece.finish_reason
    ]


async def test_nobody_who_only_watches_holds_up_the_end(node: Node) -> None:
    watches = [watch(node, service) for service in ("", CHAT, "nonsense")]
    for each in watches:
        await each.read()
    looking = reflect(node, "v1", reflection_pb2.ServerReflectionRequest(list_services=""), done=False)
    await looking.read()
    node.drain()
    async with asyncio.timeout(5):
        await node.stopped()

    (stopped,) = node.told(NodeStopped)
    assert stopped.drained
    assert stopped.duration_s < 5


# reflection


def reflect(node: Node, version: str, *requests: reflection_pb2.ServerReflectionRequest, done: bool = True) -> Any:
    async def asked() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        for request in requests:
            yield request
        if not done:
            await asyncio.Event().wait()

    method = node.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return method(asked())


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_and_describes_everything(node: Node, version: str) -> None:
    request = reflection_pb2.ServerReflectionRequest
    (listed,) = [each async for each in reflect(node, version, request(list_services=""))]
    services = [service.name for service in listed.list_services_response.service]

    assert {CHAT, NODE, "grpc.health.v1.Health"} < set(services)
    assert f"grpc.reflection.{version}.ServerReflection" in services
    symbols = [*services, "google.rpc.BadRequest", "edgeclient.v1.Error", f"{CHAT}.StreamChat"]
    asked = [request(file_containing_symbol=symbol) for symbol in symbols]
    answers = [each async for each in reflect(node, version, *asked)]
    for symbol, answer in zip(symbols, answers, strict=True):
        assert not answer.HasField("error_response"), (symbol, answer.error_response)
        assert answer.file_descriptor_response.file_descriptor_proto, symbol


async def test_reflection_tells_the_files_that_are_published(node: Node) -> None:
    request = reflection_pb2.ServerReflectionRequest
    names = ["edgeclient/v1/chat.proto", "edgeclient/v1/node.proto", "edgeclient/v1/error.proto"]
    answers = [each async for each in reflect(node, "v1", *(request(file_by_filename=name) for name in names))]

    told = [FileDescriptorProto.FromString(each.file_descriptor_response.file_descriptor_proto[0]) for each in answers]
    assert names == [file.name for file in told]
    assert [["Chat", "StreamChat", "BatchChat"], ["GetNodeStatus", "ListModels"]] == [
        [method.name for method in service.method] for file in told for service in file.service
    ]


async def test_reflection_can_be_switched_off(sim: Simulator) -> None:
    async with Node(sim, ingress={"reflection": False}) as node:
        stream = reflect(node, "v1", reflection_pb2.ServerReflectionRequest(list_services=""))

        assert grpc.StatusCode.UNIMPLEMENTED is await stream.code()
        assert (await node.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())).status.node_id
