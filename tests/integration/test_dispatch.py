"""The order of service in a whole node, against the simulated cloud over real HTTP/2."""

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from harness.cloud import CHATS, arrived, chats
from harness.node import Node

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.core.dispatch_events import CallReleased, CallTurnedAway, GroupReleased, WidthNarrowed
from edgeclient.core.events import RetryScheduled
from edgeclient.simulator import Fault, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, job_pb2, job_pb2_grpc

SLOW = SimulatorConfig(latency_ms=50)


def ask(node: Node, prompt: str = "hi", *, timeout_s: float = 20.0, **fields: Any) -> asyncio.Future[Any]:
    request = chat_pb2.ChatRequest(prompt=prompt, max_tokens=20, **fields)
    return asyncio.ensure_future(node.chat.Chat(request, timeout=timeout_s))


def trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    return dict(error.trailing_metadata() or ())


async def failure(call: asyncio.Future[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def one_waits(node: Node) -> tuple[asyncio.Future[Any], grpc.aio.AioRpcError]:
    """Where the only place is taken and one call may wait: one that does, and the refusal of another."""
    calls = [ask(node), ask(node)]
    (refused,), (waiting,) = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    return waiting, await failure(refused)


async def test_no_more_reach_the_provider_than_may_and_all_are_served() -> None:
    async with Simulator(SLOW) as sim, Node(sim, upstream={"max_in_flight": 7}) as node:
        replies = await asyncio.gather(*(ask(node) for _ in range(40)))

        assert 40 == len(replies)
        assert 7 <= sim.stats.in_flight_max <= 8  # a probe comes on top
        assert 40 == len(node.told(CallReleased))
        assert 40 == sum(event.call_count for event in node.told(GroupReleased))


async def test_full_line_is_resource_exhausted_with_a_delay_and_costs_nothing() -> None:
    async with (
        Simulator() as sim,
        Node(sim, upstream={"max_in_flight": 1}, dispatch={"max_waiting": 1}) as node,
    ):
        sim.faults.add(Fault(kind="hang", count=1, path=CHATS))
        first = ask(node)
        await arrived(sim)
        waiting, error = await one_waits(node)

        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
        assert "DISPATCH_FULL" == trailers(error)["edge-reason"]
        assert 1000 <= int(trailers(error)["grpc-retry-pushback-ms"]) <= 1200
        assert 1 == len(chats(sim))
        assert [] == node.told(RetryScheduled)
        first.cancel()
        assert (await waiting).message.content


async def test_call_that_waits_ends_with_its_deadline() -> None:
    async with Simulator() as sim, Node(sim, upstream={"max_in_flight": 1}) as node:
        sim.faults.add(Fault(kind="hang", count=1, path=CHATS))
        first = ask(node)
        await arrived(sim)
        request = chat_pb2.ChatRequest(prompt="hi")
        request.timeout.FromMilliseconds(300)
        error = await failure(asyncio.ensure_future(node.chat.Chat(request, timeout=10)))

        assert grpc.StatusCode.DEADLINE_EXCEEDED == error.code()
        assert "turn at this node" in (error.details() or "")
        assert 1 == len(chats(sim))
        (event,) = node.told(CallTurnedAway)
        assert "deadline" == event.cause
        assert 0.29 <= event.wait_s <= 0.35
        first.cancel()


async def test_caller_that_leaves_the_line_makes_room_at_once() -> None:
    async with (
        Simulator() as sim,
        Node(sim, upstream={"max_in_flight": 1}, dispatch={"max_waiting": 1}) as node,
    ):
        sim.faults.add(Fault(kind="hang", count=1, path=CHATS))
        first = ask(node)
        await arrived(sim)
        waiting, _ = await one_waits(node)
        waiting.cancel()
        await node.seen(CallTurnedAway, lambda event: event.cause == "left")
        first.cancel()

        assert (await ask(node)).message.content


async def test_provider_that_throttles_is_asked_less() -> None:
    async with Simulator(SLOW) as sim, Node(sim, upstream={"max_in_flight": 16, "max_attempts": 5}) as node:
        sim.faults.add(Fault(kind="limit_requests", retry_after="ms:100", count=4, path=CHATS))
        replies = await asyncio.gather(*(ask(node) for _ in range(32)))

        assert 32 == len(replies)
        narrowed = node.told(WidthNarrowed)
        assert 8 == narrowed[0].after
        assert "UPSTREAM_RATE_LIMITED" == narrowed[0].reason


async def test_limit_of_the_account_spreads_calls_over_time() -> None:
    rows = (LimitConfig(model="qwen-plus", requests_per_second=5),)
    async with Simulator() as sim, Node(sim, limits=rows) as node:
        await asyncio.gather(*(ask(node, model="qwen-plus") for _ in range(12)))

        moments = sorted(entry.time for entry in chats(sim))
        assert all(later - earlier >= 0.9 for earlier, later in zip(moments, moments[5:], strict=False))


async def test_limit_of_a_caller_refuses_at_once() -> None:
    rows = (CallerConfig(name="*", requests_per_minute=2),)
    async with Simulator() as sim, Node(sim, callers=rows) as node:
        await ask(node)
        await ask(node)
        error = await failure(ask(node))

        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()
        assert "RATE_LIMITED" == trailers(error)["edge-reason"]
        assert "callers[0].requests_per_minute" in (error.details() or "")
        assert 2 == len(chats(sim))


async def test_stored_jobs_pass_the_line_behind_live_calls(tmp_path: Path) -> None:
    async with Simulator() as sim, Node(sim, spool={"directory": str(tmp_path)}) as node:
        jobs = job_pb2_grpc.JobServiceStub(node.channel)
        request = chat_pb2.ChatRequest(prompt="hi", idempotency_key="k1")
        submitted = await jobs.SubmitJob(job_pb2.SubmitJobRequest(request=request), timeout=10)
        event = await node.seen(CallReleased)

        assert (submitted.job.id, "background") == (event.call_id, event.priority)


async def test_those_who_wait_end_when_the_way_is_lost() -> None:
    upstream = {"max_in_flight": 1, "max_attempts": 1, "total_timeout_s": 0.5}
    async with Simulator() as sim, Node(sim, upstream=upstream) as node:
        await ask(node)
        sim.faults.add(Fault(kind="captive_portal", path="*/models"), Fault(kind="hang", path=CHATS))
        calls = [ask(node) for _ in range(3)]  # the first one is given up, the second is sent, the third waits
        reasons = [trailers(await failure(call))["edge-reason"] for call in calls]

        assert ["UPLINK_OFFLINE", "UPSTREAM_TIMEOUT", "UPSTREAM_TIMEOUT"] == sorted(reasons)
        assert ["offline"] == [event.cause for event in node.told(CallTurnedAway)]
        assert 3 == len(chats(sim))


async def test_those_who_wait_are_told_when_the_node_stops() -> None:
    async with (
        Simulator() as sim,
        Node(sim, upstream={"max_in_flight": 1}, ingress={"drain_s": 1.0}, dispatch={"max_waiting": 1}) as node,
    ):
        sim.faults.add(Fault(kind="hang", count=1, path=CHATS))
        first = ask(node)
        await arrived(sim)
        waiting, _ = await one_waits(node)
        node.drain()
        error = await failure(waiting)

        assert grpc.StatusCode.UNAVAILABLE == error.code()
        assert "SHUTTING_DOWN" == trailers(error)["edge-reason"]
        first.cancel()
