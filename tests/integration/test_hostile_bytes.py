"""Whatever bytes a client sends, it is answered, or refused with a status that means something.

One running node behind a cloud that answers at once; hypothesis writes the bytes. UNKNOWN and INTERNAL are defects,
and nothing may reach the provider's ledger as anything but a well-formed chat.
"""

import asyncio
import string
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import builders
import grpc.aio
import pytest
from harness.node import Node
from harness.rpc_failure import RpcFailure
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeclient.core.events import DefectFound
from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2

UNARY = (
    "/edgeclient.v1.ChatService/Chat",
    "/edgeclient.v1.NodeService/GetNodeStatus",
    "/edgeclient.v1.NodeService/ListModels",
    "/grpc.health.v1.Health/Check",
)
STREAMED = ("/edgeclient.v1.ChatService/StreamChat", "/edgeclient.v1.ChatService/BatchChat")
BIDIRECTIONAL = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
HONEST = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
    "FAILED_PRECONDITION",
}
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The running node, and the loop in which it runs; hypothesis calls from outside of both."""

    node: Node
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)


@pytest.fixture(scope="module")
def target() -> Any:
    with asyncio.Runner() as runner:
        sim = Simulator()
        runner.run(sim.start())
        node = Node(sim, upstream={"max_attempts": 1})
        runner.run(node.__aenter__())
        yield Target(node=node, runner=runner)
        runner.run(node.__aexit__(None, None, None))
        runner.run(sim.close())


def mostly_valid() -> st.SearchStrategy[bytes]:
    """A request, with a few bytes of it changed or cut off."""
    request = chat_pb2.ChatRequest(
        prompt="hi",
        messages=[chat_pb2.Message(content="a"), chat_pb2.Message(parts=[chat_pb2.ContentPart(text="b")])],
        temperature=0.5,
        stop=["x"],
        tools=[chat_pb2.Tool(function=chat_pb2.FunctionTool(name="f", parameters='{"type":"object"}'))],
    )
    request.timeout.seconds = 2
    whole = request.SerializeToString()

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        data = bytearray(whole)
        for _ in range(draw(st.integers(0, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(data[: draw(st.integers(0, len(data)))])

    return damaged()


BYTES = st.one_of(st.binary(max_size=300), mostly_valid())


async def _code(node: Node, path: str, data: bytes) -> RpcFailure:
    """How a call with these bytes ended."""
    channel: Any = node.channel  # without serializers it takes bytes, which its types do not know
    if path in UNARY:
        call = channel.unary_unary(path)(data, timeout=5)
    elif path in STREAMED:
        call = channel.unary_stream(path)(data, timeout=5)
    else:
        call = channel.stream_stream(path)(iter([data]), timeout=5)
    try:
        if path in UNARY:
            await call
        else:
            async for _ in call:
                pass
    except grpc.aio.AioRpcError as error:
        return RpcFailure.of(error)
    return RpcFailure(code="OK", sentence="", trailers={})


@pytest.mark.parametrize("path", [*UNARY, *STREAMED, *BIDIRECTIONAL])
@QUICK
@given(data=BYTES)
def test_any_bytes_get_an_honest_answer(target: Target, path: str, data: bytes) -> None:
    told = target.run(_code(target.node, path, data))

    assert told.code in HONEST, told
    if told.code != "OK" and path.startswith("/edgeclient"):
        assert told.reason
        assert told.trailers["edge-request-id"]
    assert [] == target.node.told(DefectFound)


@QUICK
@given(data=BYTES)
def test_a_watch_begins_with_a_status_or_is_refused(target: Target, data: bytes) -> None:
    async def begin() -> str:
        channel: Any = target.node.channel
        call = channel.unary_stream("/grpc.health.v1.Health/Watch")(data, timeout=5)
        try:
            first = await call.read()
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        call.cancel()
        return "OK" if first is not grpc.aio.EOF else str((await call.code()).name)

    assert target.run(begin()) in HONEST


KEYS = st.text(alphabet=string.ascii_lowercase + string.digits + "-_.", min_size=1, max_size=20).filter(
    lambda key: not key.startswith("grpc-") and not key.endswith("-bin")
)
VALUES = st.text(alphabet=[chr(code) for code in range(0x20, 0x7F)], max_size=100).map(str.strip)


@QUICK
@given(
    text=st.dictionaries(KEYS, VALUES, max_size=5),
    binary=st.dictionaries(KEYS.map(lambda key: f"{key}-bin"), st.binary(max_size=100), max_size=3),
)
def test_any_metadata_is_borne(target: Target, text: dict[str, str], binary: dict[str, bytes]) -> None:
    metadata: list[tuple[str, str | bytes]] = [*text.items(), *binary.items()]

    async def ask() -> str:
        try:
            await target.node.chat.Chat(builders.chat_request(), metadata=metadata, timeout=5)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return "OK"

    reserved = {"host", "te", "content-type", "user-agent"} & text.keys()
    assert "OK" == target.run(ask()) or reserved
    assert [] == target.node.told(DefectFound)


@pytest.mark.parametrize("path", [*UNARY, *STREAMED])
def test_a_message_above_the_limit_is_refused_and_the_connection_lives_on(target: Target, path: str) -> None:
    told = target.run(_code(target.node, path, bytes(4 * MIB + 1)))

    assert "RESOURCE_EXHAUSTED" == told.code
    assert "OK" == target.run(_code(target.node, UNARY[1], b"")).code


@pytest.mark.parametrize("path", ["/edgeclient.v1.ChatService/Nonsense", "/nonsense", "/"])
def test_what_is_not_there_is_unimplemented(target: Target, path: str) -> None:
    async def ask() -> str:
        channel: Any = target.node.channel
        return str((await channel.unary_unary(path)(b"", timeout=5).code()).name)

    assert "UNIMPLEMENTED" == target.run(ask())


def test_what_cannot_be_decoded_says_so(target: Target) -> None:
    told = target.run(_code(target.node, UNARY[0], b"\xff\xff"))

    assert ("INVALID_ARGUMENT", "INVALID_REQUEST", -1) == (told.code, told.reason, told.pushback_ms)
    assert "edgeclient.v1.ChatRequest" in told.sentence
