"""What a device is told for each way in which the provider can fail: the contract's facts, over the whole node."""

import asyncio
from dataclasses import dataclass

import builders
import pytest
from harness.cloud import CHATS, chats
from harness.node import Node
from harness.rpc_failure import RpcFailure, broken_off, failure_of

from edgeclient.core.events import CallFinished, RetryScheduled, UplinkChanged
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2, error_pb2

BOTH = ("Chat", "StreamChat")
TIMEOUTS = {"headers_timeout_s": 0.2, "first_token_timeout_s": 0.2, "silence_timeout_s": 0.2, "total_timeout_s": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault, and what a device is told of it.

    Attributes:
        fault: In the simulated cloud.
        code: gRPC status.
        reason: As in edge-reason.
        billed: The provider may have charged for it.
        pushback_s: Least delay before a repeat; None: no repeat.
        attempts: That reached the provider.
        methods: For which methods it is so.
    """

    fault: Fault
    code: str
    reason: str
    billed: bool = False
    pushback_s: float | None = None
    attempts: int = 1
    methods: tuple[str, ...] = BOTH


def fault(kind: str, **more: object) -> Fault:
    return Fault(kind=kind, path=CHATS, **more)  # type: ignore[arg-type]  # the fields of a struct


ROWS = {
    # limits: the two meanings of 429
    "rate": Row(
        fault=fault("limit_requests", retry_after="7"),
        code="RESOURCE_EXHAUSTED",
        reason="UPSTREAM_RATE_LIMITED",
        pushback_s=7,
    ),
    "token rate": Row(
        fault=fault("insufficient_quota"), code="RESOURCE_EXHAUSTED", reason="UPSTREAM_RATE_LIMITED", pushback_s=30
    ),
    "overdue bill": Row(
        fault=fault("postpaid_bill_overdue"), code="RESOURCE_EXHAUSTED", reason="UPSTREAM_QUOTA_EXHAUSTED"
    ),
    "free quota": Row(fault=fault("free_quota"), code="RESOURCE_EXHAUSTED", reason="UPSTREAM_QUOTA_EXHAUSTED"),
    "arrears": Row(fault=fault("arrearage"), code="RESOURCE_EXHAUSTED", reason="UPSTREAM_QUOTA_EXHAUSTED"),
    # refusals
    "key": Row(fault=fault("invalid_api_key"), code="FAILED_PRECONDITION", reason="UPSTREAM_CREDENTIALS"),
    "content": Row(fault=fault("data_inspection_failed"), code="INVALID_ARGUMENT", reason="CONTENT_BLOCKED"),
    "parameter": Row(fault=fault("invalid_parameter"), code="INVALID_ARGUMENT", reason="INVALID_REQUEST"),
    "size": Row(fault=fault("too_large"), code="INVALID_ARGUMENT", reason="REQUEST_TOO_LARGE"),
    "model": Row(fault=fault("model_not_found"), code="NOT_FOUND", reason="MODEL_NOT_FOUND"),
    # failures that were certainly not billed: tried again, then told with a delay
    "500": Row(
        fault=fault("internal_error"), code="UNAVAILABLE", reason="UPSTREAM_UNAVAILABLE", pushback_s=1, attempts=2
    ),
    "502": Row(fault=fault("http_502"), code="UNAVAILABLE", reason="UPSTREAM_UNAVAILABLE", pushback_s=1, attempts=2),
    "503": Row(
        fault=fault("service_unavailable", retry_after="5"),
        code="UNAVAILABLE",
        reason="UPSTREAM_UNAVAILABLE",
        pushback_s=5,
    ),
    "504": Row(fault=fault("http_504"), code="UNAVAILABLE", reason="UPSTREAM_TIMEOUT", pushback_s=1, attempts=2),
    "captive portal": Row(fault=fault("captive_portal"), code="UNAVAILABLE", reason="UPLINK_OFFLINE", pushback_s=30),
    "captive redirect": Row(
        fault=fault("captive_redirect"), code="UNAVAILABLE", reason="UPLINK_OFFLINE", pushback_s=30
    ),
    # failures that were perhaps billed: never repeated by us, nor by a library without a key
    "hang": Row(fault=fault("hang"), code="UNAVAILABLE", reason="UPSTREAM_TIMEOUT", billed=True),
    "silent stream": Row(
        fault=fault("slow_first_token", delay_s=9),
        code="UNAVAILABLE",
        reason="UPSTREAM_TIMEOUT",
        billed=True,
    ),
    "stall": Row(
        fault=fault("stall"), code="UNAVAILABLE", reason="UPSTREAM_INTERRUPTED", billed=True, methods=("StreamChat",)
    ),
    "cut": Row(fault=fault("cut"), code="UNAVAILABLE", reason="UPSTREAM_INTERRUPTED", billed=True),
    "cut connection": Row(
        fault=fault("cut_connection"), code="UNAVAILABLE", reason="UPSTREAM_INTERRUPTED", billed=True
    ),
    "closed": Row(fault=fault("close"), code="UNAVAILABLE", reason="UPSTREAM_INTERRUPTED", billed=True),
    "tcp reset": Row(fault=fault("tcp_reset"), code="UNAVAILABLE", reason="UPSTREAM_INTERRUPTED", billed=True),
    "no end": Row(
        fault=fault("no_finish"),
        code="UNAVAILABLE",
        reason="UPSTREAM_INTERRUPTED",
        billed=True,
        methods=("StreamChat",),
    ),
    "malformed": Row(fault=fault("malformed_chunk"), code="INTERNAL", reason="UPSTREAM_BAD_RESPONSE", billed=True),
    "error in stream": Row(
        fault=fault("internal_error", after_chunks=2),
        code="UNAVAILABLE",
        reason="UPSTREAM_INTERRUPTED",
        billed=True,
        methods=("StreamChat",),
    ),
}


@pytest.mark.parametrize(
    ("row", "method"),
    [pytest.param(row, method, id=f"{name}, {method}") for name, row in ROWS.items() for method in row.methods],
)
async def test_a_device_is_told_what_the_fault_means_for_it(row: Row, method: str) -> None:
    async with (
        asyncio.timeout(20),
        Simulator() as sim,
        Node(sim, upstream={"max_attempts": 2, **TIMEOUTS}) as node,
    ):
        sim.faults.add(row.fault)
        request = builders.chat_request()
        request.timeout.FromMilliseconds(3000)
        told = await failure_of(getattr(node.chat, method)(request))

        assert (row.code, row.reason, row.billed) == (told.code, told.reason, told.possibly_billed)
        _check_delay(told, row.pushback_s)
        assert row.attempts == len(chats(sim))
        finished = await node.seen(CallFinished)
        assert (told.trailers["edge-request-id"], row.code, row.reason, row.attempts, row.billed) == (
            finished.call_id,
            finished.code,
            finished.reason,
            finished.attempt_count,
            finished.possibly_billed,
        )
        assert told.sentence.startswith(finished.message)  # the log holds no words of the provider
        assert not any(secret in told.sentence for secret in ("boiler", "sk-"))


def _check_delay(told: RpcFailure, pushback_s: float | None) -> None:
    if pushback_s is None:
        assert (-1, None) == (told.pushback_ms, told.retry_delay_ms)
    else:
        assert pushback_s * 1000 <= told.pushback_ms <= pushback_s * 1200
        assert told.pushback_ms == told.retry_delay_ms


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("kind", ["internal_error", "service_unavailable", "limit_requests"])
async def test_a_fault_that_passes_costs_the_device_nothing_but_time(kind: str, method: str) -> None:
    async with asyncio.timeout(20), Simulator() as sim, Node(sim) as node:
        sim.faults.add(Fault(kind=kind, path=CHATS, count=1, retry_after="0"))
        if method == "Chat":
            attempt_count = (await node.chat.Chat(builders.chat_request())).attempt_count
        else:
            pieces = [piece async for piece in node.chat.StreamChat(builders.chat_request())]
            attempt_count = pieces[0].attempt_count
            assert chat_pb2.FINISH_REASON_STOP == pieces[-1].finish_reason

        assert 2 == attempt_count
        assert [1] == [event.attempt for event in node.told(RetryScheduled)]
        assert 1 == sim.ledger.totals.calls_billed


async def test_a_stream_that_the_node_can_deliver_to_its_fault_is_delivered_to_its_fault() -> None:
    async with asyncio.timeout(20), Simulator() as sim, Node(sim) as node:
        sim.faults.add(fault("cut", after_chunks=3))
        pieces, told = await broken_off(node.chat.StreamChat(builders.chat_request()))

        assert ("UPSTREAM_INTERRUPTED", True) == (told.reason, told.possibly_billed)
        assert "".join(piece.content for piece in pieces)
        assert not any(piece.finish_reason for piece in pieces)


async def test_a_refused_connection_costs_nothing() -> None:
    async with asyncio.timeout(20), Simulator() as sim, Node(sim, upstream={"max_attempts": 1}) as node:
        await node.seen(UplinkChanged)  # cut in its handshake, asyncio leaks the connection
        await sim.stop()
        told = await failure_of(node.chat.Chat(builders.chat_request()))

        assert ("UNAVAILABLE", False) == (told.code, told.possibly_billed)
        assert told.reason in ("UPSTREAM_UNAVAILABLE", "UPLINK_OFFLINE")  # the probe may have found out first
        assert told.pushback_ms >= 1000


async def test_a_batch_tells_each_fault_with_its_item() -> None:
    async with asyncio.timeout(20), Simulator() as sim, Node(sim, upstream=TIMEOUTS) as node:
        sim.faults.add(
            Fault(kind="data_inspection_failed", text="blocked"),
            Fault(kind="postpaid_bill_overdue", text="overdue"),
            Fault(kind="hang", text="hang"),
        )
        prompts = ["fine", "blocked", "overdue", "hang", "fine too"]
        batch = chat_pb2.BatchChatRequest(requests=[chat_pb2.ChatRequest(prompt=prompt) for prompt in prompts])
        results = {prompts[result.index]: result async for result in node.chat.BatchChat(batch)}

        assert set(prompts) == set(results)
        assert {"fine", "fine too"} == {prompt for prompt, result in results.items() if result.HasField("response")}
        assert {
            "blocked": error_pb2.ERROR_REASON_CONTENT_BLOCKED,
            "overdue": error_pb2.ERROR_REASON_UPSTREAM_QUOTA_EXHAUSTED,
            "hang": error_pb2.ERROR_REASON_UPSTREAM_TIMEOUT,
        } == {prompt: result.error.reason for prompt, result in results.items() if result.HasField("error")}
        assert ["hang"] == [prompt for prompt, result in results.items() if result.error.possibly_billed]
