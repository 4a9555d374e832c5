"""A device that stops waiting: its call ends at the provider too, and the node says why where it still can.

A stream is cut at the provider within 100 ms. A unary request cannot be abandoned before the headers of its answer;
it is freed here at once and ends there with the call's own deadline, or when the answer begins.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import builders
import grpc.aio
import pytest
from harness.cloud import CHATS, arrived, chats, idle
from harness.node import Node
from harness.rpc_failure import failure_of

from edgeclient.core.events import AttemptFinished, CallFinished
from edgeclient.simulator import Fault, Outcome, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2

AT_ONCE_S = 1.0  # 100 ms is the promise; a starved machine takes longer to notice anything
SLOW = SimulatorConfig(tokens_per_s=50, tokens_per_chunk=1)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SLOW) as sim:
        yield sim


@pytest.fixture
async def node(sim: Simulator) -> AsyncIterator[Node]:
    async with Node(sim) as node:
        yield node


async def begun(stream: "grpc.aio.UnaryStreamCall[chat_pb2.ChatRequest, chat_pb2.StreamChatResponse]") -> None:
    """Read until there is text."""
    async for piece in stream:
        if piece.content:
            return


async def test_cancelled_stream_is_cut_at_the_provider_within_100_ms(sim: Simulator, node: Node) -> None:
    stream = node.chat.StreamChat(builders.chat_request())
    await begun(stream)
    async with asyncio.timeout(AT_ONCE_S):
        assert stream.cancel()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.cut_by_client == 1)

    (entry,) = chats(sim)
    assert Outcome.CUT_BY_CLIENT is entry.outcome
    assert entry.tokens_generated < 15
    finished = await node.seen(CallFinished)
    assert ("CANCELLED", True) == (finished.reason, finished.possibly_billed)
    assert "CANCELLED" == node.told(AttemptFinished)[-1].reason


async def test_device_that_is_cut_off_is_one_that_cancels(sim: Simulator, node: Node) -> None:
    async with grpc.aio.insecure_channel(node.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stream = type(node.chat)(channel).StreamChat(builders.chat_request())
        await begun(stream)
    async with asyncio.timeout(1):
        await sim.ledger.wait_until(lambda: sim.ledger.totals.cut_by_client == 1)


async def test_cancelled_unary_call_frees_the_node_at_once_and_ends_with_its_answer(sim: Simulator, node: Node) -> None:
    sim.faults.add(Fault(kind="delay_headers", delay_s=0.3, path=CHATS))
    call = node.chat.Chat(builders.chat_request())
    await arrived(sim)
    async with asyncio.timeout(AT_ONCE_S):
        call.cancel()
        finished = await node.seen(CallFinished)

    assert ("CANCELLED", True) == (finished.reason, finished.possibly_billed)
    async with asyncio.timeout(2):
        await idle(sim)


@pytest.mark.parametrize("method", ["Chat", "StreamChat"])
@pytest.mark.parametrize(("field_s", "grpc_s"), [(0.3, None), (0.3, 10.0), (10.0, 0.3), (None, 0.3), (0.3, 0.3)])
async def test_the_smallest_budget_ends_a_call_here_and_at_the_provider(
    sim: Simulator, node: Node, method: str, field_s: float | None, grpc_s: float | None
) -> None:
    sim.faults.add(Fault(kind="hang", path=CHATS))
    request = builders.chat_request()
    if field_s is not None:
        request.timeout.FromMilliseconds(round(field_s * 1000))
    begun_s = asyncio.get_running_loop().time()
    told = await failure_of(getattr(node.chat, method)(request, timeout=grpc_s))

    assert "DEADLINE_EXCEEDED" == told.code
    assert 0.25 < asyncio.get_running_loop().time() - begun_s < 2
    finished = await node.seen(CallFinished)
    assert ("DEADLINE", "DEADLINE_EXCEEDED", True) == (finished.reason, finished.code, finished.possibly_billed)
    async with asyncio.timeout(2):
        await idle(sim)
    if grpc_s is None or grpc_s > 1:  # the library of a client with a deadline of its own does not wait for ours
        assert ("DEADLINE", True, -1) == (told.reason, told.possibly_billed, told.pushback_ms)
        assert "time budget" in told.sentence


async def test_deadline_in_mid_stream_tells_the_reason(sim: Simulator, node: Node) -> None:
    request = builders.chat_request()
    request.timeout.FromMilliseconds(300)
    told = await failure_of(node.chat.StreamChat(request))

    assert ("DEADLINE_EXCEEDED", "DEADLINE", True) == (told.code, told.reason, told.possibly_billed)
    async with asyncio.timeout(AT_ONCE_S):
        await idle(sim)
    assert Outcome.CUT_BY_CLIENT is chats(sim)[0].outcome


async def test_deadline_that_is_over_before_it_begins_costs_nothing(sim: Simulator, node: Node) -> None:
    told = await failure_of(node.chat.Chat(builders.chat_request(), timeout=0.0))

    assert "DEADLINE_EXCEEDED" == told.code
    assert [] == chats(sim)


async def test_leaving_a_batch_ends_all_of_it() -> None:
    async with asyncio.timeout(20), Simulator() as sim, Node(sim) as node:
        sim.faults.add(Fault(kind="hang", path=CHATS, text="hang"))
        prompts = ["quick", *["hang"] * 4]
        batch = chat_pb2.BatchChatRequest(requests=[chat_pb2.ChatRequest(prompt=prompt) for prompt in prompts])
        batch.defaults.timeout.FromMilliseconds(1000)
        stream = node.chat.BatchChat(batch)
        async for result in stream:
            assert "quick" == prompts[result.index]
            break
        await arrived(sim, 5)
        stream.cancel()
        await node.seen(CallFinished, lambda _: len(node.told(CallFinished)) == 5)

        assert ["", *["CANCELLED"] * 4] == [event.reason for event in node.told(CallFinished)]
        await idle(sim)


@pytest.mark.parametrize("bounded", [{}, {"max_tokens": 16}], ids=["streamed by the provider", "answered at once"])
async def test_call_that_others_have_joined_outlives_the_budget_of_who_began_it(
    sim: Simulator, tmp_path: Path, bounded: dict[str, int]
) -> None:
    sim.faults.add(Fault(kind="delay_headers", delay_s=1.5, path=CHATS))
    hasty = builders.chat_request(idempotency_key="k1", **bounded)
    hasty.timeout.FromMilliseconds(400)
    patient = builders.chat_request(idempotency_key="k1", **bounded)
    patient.timeout.FromMilliseconds(15_000)
    async with Node(sim, spool={"directory": str(tmp_path)}) as node:
        first = asyncio.create_task(failure_of(node.chat.Chat(hasty)), name="who begins")
        await arrived(sim)
        answer = await node.chat.Chat(patient)

        assert ("DEADLINE", True) == ((await first).reason, (await first).possibly_billed)
        assert chat_pb2.FINISH_REASON_UNSPECIFIED != answer.finish_reason
        assert 1 == len(chats(sim))
