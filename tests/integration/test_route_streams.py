"""A whole node over two simulated clouds: time-outs that fire, streams that break, and a target that recovers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import builders
import pytest
from harness.cloud import CHATS, chats
from harness.node import Node
from harness.rpc_failure import failure_of

from edgeclient.client import Assembly
from edgeclient.config.target_schema import TargetConfig
from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.core.route_events import Breaker, BreakerChanged, CallMoved, RetryAfterCapped, StreamRestarted
from edgeclient.policy.breaker import IN_A_ROW
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2

PATIENCE = {"headers_timeout_s": 0.4, "first_token_timeout_s": 0.6, "silence_timeout_s": 0.6}


def row(sim: Simulator, name: str, **over: Any) -> TargetConfig:
    facts = {"base_url": sim.base_url, "ca_file": str(sim.ca_file or ""), "keyless": False, "account": "ours"}
    return builders.target(name, **(facts | over))


def is_online(target: str) -> Callable[[UplinkChanged], bool]:
    return lambda event: event.target == target and event.after is Uplink.ONLINE


@asynccontextmanager
async def two_clouds(**sections: Any) -> AsyncIterator[tuple[Simulator, Simulator, Node]]:
    async with Simulator() as first, Simulator() as second:
        rows = [row(first, "a"), row(second, "b", tier=1)]
        async with Node(targets=rows, upstream=PATIENCE | sections.pop("upstream", {}), **sections) as node:
            for name in ("a", "b"):
                await node.seen(UplinkChanged, is_online(name))
            yield first, second, node


async def streamed(node: Node, **fields: Any) -> tuple[chat_pb2.ChatResponse, list[chat_pb2.StreamChatResponse]]:
    assembly, pieces = Assembly(), []
    async for piece in node.chat.StreamChat(builders.chat_request(**fields), timeout=20):
        assembly.add(piece)
        pieces.append(piece)
    return assembly.response(), pieces


@pytest.mark.parametrize("fault", ["hang", "slow_first_token"])
async def test_the_first_time_out_moves_to_the_next_target(fault: str) -> None:
    async with two_clouds() as (first, second, node):
        first.faults.add(Fault(kind=fault, path=CHATS, delay_s=10))

        response, _ = await streamed(node)

        assert ("b", 2, 1) == (response.target, response.attempt_count, response.possibly_billed_count)
        assert (1, 1) == (len(chats(first)), len(chats(second)))
        assert "UPSTREAM_TIMEOUT" == (await node.seen(CallMoved)).reason


async def test_a_key_is_paid_for_once(tmp_path: Path) -> None:
    async with two_clouds(spool={"directory": str(tmp_path)}) as (first, second, node):
        first.faults.add(Fault(kind="hang", path=CHATS))

        told = await failure_of(node.chat.Chat(builders.chat_request(idempotency_key="k"), timeout=20))

        assert "UPSTREAM_TIMEOUT" == told.reason
        assert "1" == told.trailers["edge-possibly-billed"]
        assert [] == chats(second)


async def test_a_broken_stream_ends_with_an_error() -> None:
    async with two_clouds() as (first, second, node):
        first.faults.add(Fault(kind="cut", path=CHATS, after_chunks=3))

        told = await failure_of(node.chat.StreamChat(builders.chat_request(), timeout=20))

        assert "UPSTREAM_INTERRUPTED" == told.reason
        assert [] == chats(second)


@pytest.mark.parametrize("fault", ["cut", "stall"])
async def test_a_broken_stream_begins_anew_where_the_caller_wishes_it(fault: str) -> None:
    async with two_clouds() as (first, second, node):
        whole, _ = await streamed(node)
        first.faults.add(Fault(kind=fault, path=CHATS, after_chunks=3))

        response, pieces = await streamed(node, restart_stream=True)

        assert whole.message.content == response.message.content
        (anew,) = [piece for piece in pieces if piece.restarted]
        assert ("b", 2) == (anew.target, anew.attempt_count)
        assert [piece.content for piece in pieces[: pieces.index(anew)] if piece.content]
        assert 1 == response.possibly_billed_count
        assert 1 == len(chats(second))
        assert "b" == (await node.seen(StreamRestarted)).target


async def test_the_only_target_rests_and_recovers_without_traffic() -> None:
    async with Simulator() as sim, Node(sim, upstream={"max_attempts": 1}) as node:
        sim.faults.add(Fault(kind="internal_error", path=CHATS, count=IN_A_ROW))
        for _ in range(IN_A_ROW):
            await failure_of(node.chat.Chat(builders.chat_request(), timeout=20))

        told = await failure_of(node.chat.Chat(builders.chat_request(), timeout=20))
        assert ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE") == (told.code, told.reason)
        assert "rests after failures" in told.sentence
        assert 0 < int(told.trailers["grpc-retry-pushback-ms"]) < 4000
        assert IN_A_ROW == len(chats(sim))
        await node.seen(BreakerChanged, lambda event: event.after is Breaker.HALF_OPEN)
        assert IN_A_ROW == len(chats(sim))

        await node.chat.Chat(builders.chat_request(), timeout=20)
        assert Breaker.CLOSED is (await node.seen(BreakerChanged, lambda event: event.cause == "trial")).after


async def test_an_absurd_retry_after_is_cut_and_told() -> None:
    async with Simulator() as sim, Node(sim, upstream={"max_attempts": 1}) as node:
        sim.faults.add(Fault(kind="limit_requests", retry_after="86400", path=CHATS))

        told = await failure_of(node.chat.Chat(builders.chat_request(), timeout=20))

        event = await node.seen(RetryAfterCapped)
        assert (86400.0, 3600.0) == (event.told_s, event.kept_s)
        assert int(told.trailers["grpc-retry-pushback-ms"]) >= 3600_000
