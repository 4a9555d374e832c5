"""The daemon is killed at each state of a batch: after the next start every job ends, and none is billed twice."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest
from acceptance.daemon import Daemon, for_cloud

from edgeclient.client import EdgeClient
from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2, job_pb2

JOBS = 5


def settings(sim: Simulator, folder: Path) -> dict[str, str]:
    return for_cloud(sim) | {
        "spool.directory": str(folder),
        "spool.disk_floor_bytes": "0",
        "half_price.mode": "file",
        "half_price.linger_s": "0.5",
        "half_price.poll_s": "0.05",
        "half_price.settle_s": "2",
        "half_price.request_timeout_s": "2",
        "log.level": "debug",
        "log.format": "json",
    }


def request(number: int) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(prompt=f"question {number}", model="qwen-plus", priority=chat_pb2.PRIORITY_LOW)


def bills(sim: Simulator) -> Counter[str]:
    entries = [entry for entry in sim.ledger.entries if entry.prompt_tokens_billed]
    return Counter((entry.custom_id or "").partition(".")[0] for entry in entries)


@pytest.mark.parametrize("state", ["planned", "uploaded", "creating", "submitted", "collecting", "cleaning"])
async def test_job_is_billed_once_whenever_the_daemon_is_killed(sim: Simulator, tmp_path: Path, state: str) -> None:
    wanted = settings(sim, tmp_path / "queue")
    async with Daemon(wanted) as first:
        async with EdgeClient(first.address) as client:
            jobs = await asyncio.gather(*(client.submit(request(n), deferrable=True) for n in range(JOBS)))
        await first.says("batch_changed", lambda fact: fact["state"] == state)
        first.signal(signal.SIGKILL)
        assert -signal.SIGKILL == await first.code()

    async with Daemon(wanted) as second, EdgeClient(second.address) as client:
        ended = await asyncio.gather(*(client.wait_job(job.id) for job in jobs))

    assert [job_pb2.JOB_STATE_SUCCEEDED] * JOBS == [job.state for job in ended]
    assert dict.fromkeys([job.id for job in jobs], 1) == bills(sim)
