"""The real daemon, killed while calls with keys stand in line: of those nobody has to wonder what was paid."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import grpc
import grpc.aio
from acceptance.daemon import Daemon, for_cloud
from harness.cloud import CHATS

from edgeclient.client import EdgeError
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2

WAITING = 6
PENDING = 'edgeclient_queue_pending{priority="normal"'


def question(key: str) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(prompt=f"question {key}", idempotency_key=key)


async def in_line(daemon: Daemon, count: int) -> None:
    """Return when so many calls wait for their turn."""
    waiting = -1.0
    while waiting < count:
        _, page = await daemon.page("/metrics")
        waiting = sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(PENDING))


def billed(sim: Simulator) -> Counter[str]:
    return Counter(str(json.loads(entry.body)["messages"][-1]["content"]) for entry in sim.ledger.entries if entry.body)


async def error_of(call: Awaitable[chat_pb2.ChatResponse]) -> EdgeError:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return EdgeError.from_rpc(error)
    raise AssertionError("it has succeeded")


async def test_repeats_of_calls_that_stood_in_line_at_a_kill_are_answered_for_one_bill_each(
    sim: Simulator, tmp_path: Path
) -> None:
    sim.faults.add(Fault(kind="hang", count=1, path=CHATS))
    settings = {
        **for_cloud(sim),
        "chat.default_model": "qwen-flash",
        "spool.directory": str(tmp_path),
        "upstream.max_in_flight": "1",
    }
    keys = [f"k{number}" for number in range(WAITING)]
    async with Daemon(settings) as daemon:
        sent = daemon.chat.Chat(question("sent"))
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 1)
        cut = [
            sent,
            daemon.chat.Chat(question("k0")),
            daemon.chat.Chat(question("k1")),
            daemon.chat.StreamChat(question("k2")),
            daemon.chat.StreamChat(question("k3")),
            daemon.chat.BatchChat(chat_pb2.BatchChatRequest(requests=[question("k4"), question("k5")])),
        ]
        await in_line(daemon, WAITING)
        daemon.signal(signal.SIGKILL)
        assert {grpc.StatusCode.UNAVAILABLE} == {await call.code() for call in cut}

    async with Daemon(settings) as daemon:
        answers = await asyncio.gather(*(daemon.chat.Chat(question(key)) for key in keys for _ in range(2)))
        unknown = await error_of(daemon.chat.Chat(question("sent")))

    assert {f"question {key}": 1 for key in ("sent", *keys)} == billed(sim)
    assert all(answer.message.content for answer in answers)
    assert ("OUTCOME_UNKNOWN", True) == (unknown.reason, unknown.possibly_billed)
