"""Each method of the port, plainly called: what comes back when it works, and all that is told when it does not.

Our own server under the fixtures of pytest-grpc; a scripted handler is the road. The plugin knows no asyncio, so its
server and its channel are replaced, and its address too: it never closes the socket with which it looks for a port.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import builders
import grpc
import grpc.aio
import pytest
import pytest_asyncio
from fakes.road import ANSWER, Road
from google.rpc import error_details_pb2
from harness.rpc_failure import RpcFailure, broken_off, failure_of
from upstream_end import RealClock

from edgeclient.config.catalogue import catalogue
from edgeclient.core.call import Call
from edgeclient.core.callers import Callers
from edgeclient.core.errors import (
    Blocked,
    CallError,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
    Violation,
)
from edgeclient.core.events import CallFinished, DefectFound, RpcFinished, Uplink
from edgeclient.ingress.chat import ChatService
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.health import Health
from edgeclient.ingress.identity import Identity
from edgeclient.ingress.jobs import NoJobs
from edgeclient.ingress.methods import methods
from edgeclient.ingress.node import NodeService, TargetView
from edgeclient.ingress.server import GrpcServer
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, node_pb2, node_pb2_grpc

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE_SIZE = 10


@pytest.fixture(scope="module")
def grpc_servicer() -> Road:
    return Road()


@pytest.fixture
def road(grpc_servicer: Road) -> Road:
    grpc_servicer.calls.clear()
    grpc_servicer.events.clear()
    return grpc_servicer


@pytest.fixture(scope="module")
def grpc_addr() -> str:
    return "127.0.0.1:0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grpc_server(grpc_addr: str, grpc_servicer: Road) -> AsyncIterator[GrpcServer]:
    config = builders.config(ingress={"listen": grpc_addr, "max_batch_items": 3})
    clock, observe = RealClock(), grpc_servicer.events.append
    gate = Gate(most=config.ingress.max_in_flight, observe=observe)
    target = TargetView(name="dashscope", host="cloud.test", protocol="h2", uplink=Uplink.ONLINE, since_s=1_800_000_000)
    chat = ChatService(
        road=grpc_servicer, gate=gate, config=config.ingress, clock=clock, observe=observe, random=lambda: 0.5
    )
    node = NodeService(
        node_id="test-node",
        version="1.2.3",
        config=config.ingress,
        catalogue=catalogue(config),
        callers=Callers(),
        clock=clock,
        active_calls=lambda: gate.active,
        targets=lambda: [target],
    )
    server = GrpcServer(
        config=config.ingress,
        methods=methods(chat=chat, node=node, jobs=NoJobs()),
        health=Health(),
        identity=Identity(Callers()),
        clock=clock,
        observe=observe,
        random=lambda: 0.5,
    )
    await server.start()
    yield server
    await server.stop(0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grpc_channel(grpc_server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(grpc_server.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def grpc_stub_cls() -> Callable[[grpc.aio.Channel], Any]:
    return chat_pb2_grpc.ChatServiceStub


@pytest.fixture
def node_stub(grpc_channel: grpc.aio.Channel) -> "node_pb2_grpc.NodeServiceAsyncStub":
    return node_pb2_grpc.NodeServiceStub(grpc_channel)


# what works


async def test_a_prompt_is_answered(grpc_stub: Any, road: Road) -> None:
    response = await grpc_stub.Chat(builders.chat_request())

    assert ANSWER == response.message.content
    assert chat_pb2.FINISH_REASON_STOP == response.finish_reason
    assert 16 == response.usage.total_tokens
    assert ("qwen-plus", "dashscope", 1) == (response.model, response.target, response.attempt_count)
    assert [response.id] == [call.id for call in road.calls]


async def test_what_is_answered_is_reported_under_the_id_that_the_device_was_told(grpc_stub: Any, road: Road) -> None:
    response = await grpc_stub.Chat(builders.chat_request())

    (finished,) = [event for event in road.events if isinstance(event, CallFinished)]
    assert response.id == finished.call_id
    assert ("Chat", "OK", "", "stop", "upstream") == (
        finished.method,
        finished.code,
        finished.reason,
        finished.finish_reason,
        finished.source,
    )


async def test_a_stream_opens_and_ends_as_promised(grpc_stub: Any, road: Road) -> None:
    pieces = [piece async for piece in grpc_stub.StreamChat(builders.chat_request())]

    assert ANSWER == "".join(piece.content for piece in pieces)
    first, last = pieces[0], pieces[-1]
    assert (road.calls[0].id, "qwen-plus", "dashscope", 1) == (first.id, first.model, first.target, first.attempt_count)
    assert chat_pb2.RESPONSE_SOURCE_UPSTREAM == first.source
    assert ("chatcmpl-1", 16) == (last.upstream_id, last.usage.total_tokens)
    assert [chat_pb2.FINISH_REASON_STOP] == [piece.finish_reason for piece in pieces if piece.finish_reason]


async def test_a_batch_tells_each_item_once_and_its_failures_in_band(grpc_stub: Any, road: Road) -> None:
    road.script["wrong"] = Rejected(
        Reason.ERROR_REASON_INVALID_REQUEST,
        "top_p is 2",
        violations=[Violation(field="top_p", description="is 2; give 0 to 1")],
    )
    batch = chat_pb2.BatchChatRequest(
        defaults=chat_pb2.ChatRequest(system="Be brief."),
        requests=[chat_pb2.ChatRequest(prompt=prompt) for prompt in ("a", "wrong", "c")],
    )
    results = {result.index: result async for result in grpc_stub.BatchChat(batch)}

    assert [0, 1, 2] == sorted(results)
    assert [ANSWER, ANSWER] == [results[index].response.message.content for index in (0, 2)]
    error = results[1].error
    assert (3, Reason.ERROR_REASON_INVALID_REQUEST, "top_p") == (error.code, error.reason, error.field)
    assert not error.HasField("retry_delay")
    assert ["Be brief."] * 3 == [call.request.system for call in road.calls]
    assert 3 == len({call.id for call in road.calls})


async def test_the_status_tells_limits_and_targets(node_stub: "node_pb2_grpc.NodeServiceAsyncStub") -> None:
    status = (await node_stub.GetNodeStatus(node_pb2.GetNodeStatusRequest())).status

    assert ("test-node", "1.2.3", 0) == (status.node_id, status.version, status.active_call_count)
    assert (4 * 1024 * 1024, 3) == (status.limits.max_request_bytes, status.limits.max_batch_item_count)
    assert 600 == status.limits.max_timeout.seconds
    assert node_pb2.UPLINK_STATE_ONLINE == status.uplink
    assert [("dashscope", "cloud.test", "h2")] == [(each.name, each.host, each.protocol) for each in status.targets]
    assert 1_800_000_000 == status.uplink_change_time.seconds


async def test_the_pages_of_models_make_the_whole_list(node_stub: "node_pb2_grpc.NodeServiceAsyncStub") -> None:
    models: list[str] = []
    token = ""
    while True:
        page = await node_stub.ListModels(node_pb2.ListModelsRequest(page_size=PAGE_SIZE, page_token=token))
        assert len(page.models) <= PAGE_SIZE
        models += [model.id for model in page.models]
        token = page.next_page_token
        if not token:
            break

    assert "qwen-plus" == models[0]  # the default one
    assert sorted(spec.id for spec in catalogue(builders.config()).models) == sorted(models)


# what does not

FAILURES = [
    pytest.param(
        Rejected(
            Reason.ERROR_REASON_INVALID_REQUEST,
            "temperature is 3",
            violations=[Violation(field="temperature", description="is 3; give 0 to 2")],
        ),
        "INVALID_ARGUMENT",
        -1,
        id="wrong request",
    ),
    pytest.param(
        Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "too many", retry_after_s=2.0),
        "RESOURCE_EXHAUSTED",
        2200,
        id="throttled",
    ),
    pytest.param(
        Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "the key is refused"), "FAILED_PRECONDITION", -1, id="blocked"
    ),
    pytest.param(
        Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way"), "UNAVAILABLE", 1100, id="offline, default delay"
    ),
    pytest.param(
        Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "broke off"), "UNAVAILABLE", -1, id="possibly billed"
    ),
    pytest.param(
        CallError(Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE, "温度过高 is no JSON"), "INTERNAL", -1, id="not ASCII"
    ),
]


def _check(told: RpcFailure, error: CallError, code: str, pushback_ms: int, call: Call) -> None:
    """Three copies, one truth."""
    assert (code, error.message) == (told.code, told.sentence)
    assert error.reason_name == told.reason
    assert call.id == told.trailers["edge-request-id"]
    assert pushback_ms == told.pushback_ms
    assert error.possibly_billed == told.possibly_billed
    status = told.status
    assert grpc.StatusCode[code].value[0] == status.code
    assert error.message == status.message
    assert error_details_pb2.ErrorInfo(reason=error.reason_name, domain="edgeclient.v1") == told.info
    assert (None if pushback_ms == -1 else pushback_ms) == told.retry_delay_ms
    assert {each.field: each.description for each in error.violations} == told.violations


@pytest.mark.parametrize(("error", "code", "pushback_ms"), FAILURES)
async def test_a_failure_is_told_in_three_copies(
    grpc_stub: Any, road: Road, error: CallError, code: str, pushback_ms: int
) -> None:
    road.script["fail"] = error
    told = await failure_of(grpc_stub.Chat(chat_pb2.ChatRequest(prompt="fail")))

    _check(told, error, code, pushback_ms, road.calls[0])


@pytest.mark.parametrize(("error", "code", "pushback_ms"), FAILURES)
async def test_a_stream_that_breaks_off_tells_the_same(
    grpc_stub: Any, road: Road, error: CallError, code: str, pushback_ms: int
) -> None:
    road.script["fail"] = error
    pieces, told = await broken_off(grpc_stub.StreamChat(chat_pb2.ChatRequest(prompt="fail")))

    _check(told, error, code, pushback_ms, road.calls[0])
    assert ANSWER.startswith("".join(piece.content for piece in pieces))
    assert not any(piece.finish_reason for piece in pieces)


async def test_a_billed_failure_is_not_worth_repeating_even_with_a_key(grpc_stub: Any, road: Road) -> None:
    road.script["fail"] = Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late")
    told = await failure_of(grpc_stub.Chat(chat_pb2.ChatRequest(prompt="fail", idempotency_key="k-1")))

    assert told.possibly_billed
    assert -1 == told.pushback_ms


async def test_a_defect_is_internal_with_an_id_and_without_its_text(grpc_stub: Any, road: Road) -> None:
    road.script["fail"] = RuntimeError("holds the prompt")
    told = await failure_of(grpc_stub.Chat(chat_pb2.ChatRequest(prompt="fail")))

    assert ("INTERNAL", "INTERNAL") == (told.code, told.reason)
    assert str(told.trailers["edge-request-id"]) in told.sentence
    (defect,) = [event for event in road.events if isinstance(event, DefectFound)]
    assert told.trailers["edge-request-id"] == defect.call_id
    assert "holds the prompt" not in repr(road.events) + told.sentence


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        (chat_pb2.BatchChatRequest(), "requests"),
        (chat_pb2.BatchChatRequest(requests=[chat_pb2.ChatRequest()] * 4), "requests"),
        (
            chat_pb2.BatchChatRequest(
                requests=[chat_pb2.ChatRequest(prompt="a")], defaults=chat_pb2.ChatRequest(idempotency_key="k")
            ),
            "defaults.idempotency_key",
        ),
    ],
)
async def test_a_wrong_batch_is_refused_as_a_whole(
    grpc_stub: Any, road: Road, batch: chat_pb2.BatchChatRequest, field: str
) -> None:
    told = await failure_of(grpc_stub.BatchChat(batch))

    assert ("INVALID_ARGUMENT", "INVALID_REQUEST", [field]) == (told.code, told.reason, list(told.violations))
    assert [] == road.calls


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (node_pb2.ListModelsRequest(page_size=-1), "page_size"),
        (node_pb2.ListModelsRequest(page_token="bm9uc2Vuc2U="), "page_token"),
        (node_pb2.ListModelsRequest(page_token="é"), "page_token"),
    ],
)
async def test_a_wrong_page_is_refused(
    node_stub: "node_pb2_grpc.NodeServiceAsyncStub", request_: node_pb2.ListModelsRequest, field: str
) -> None:
    told = await failure_of(node_stub.ListModels(request_))

    assert ("INVALID_ARGUMENT", [field]) == (told.code, list(told.violations))


async def test_every_call_is_counted_once(grpc_stub: Any, road: Road) -> None:
    road.script["fail"] = Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way")
    calls = (grpc_stub.Chat(chat_pb2.ChatRequest(prompt=prompt)) for prompt in ("fail", "a", "b"))
    await asyncio.gather(*calls, return_exceptions=True)

    codes = sorted(event.code for event in road.events if isinstance(event, RpcFinished))
    assert ["OK", "OK", "UNAVAILABLE"] == codes
