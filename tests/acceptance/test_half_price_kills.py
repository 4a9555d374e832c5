"""The daemon is killed at each state of a batch: after the next start every job ends, and none is billed twice."""

import asyncio
import signal
from collections import Counter
from contextlib import aclosing
from math import inf
from pathlib import Path

import pytest
from acceptance.daemon import Daemon, for_cloud

from edgeclient.client import EdgeClient
from edgeclient.simulator import BatchPace, Fault, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, error_pb2, job_pb2

JOBS = 5
GUARD_S = 60.0


def settings(sim: Simulator, folder: Path) -> dict[str, str]:
    return for_cloud(sim) | {
        "spool.directory": str(folder),
        "spool.disk_floor_bytes": "0",
        "spool.retry_initial_s": "0.1",
        "spool.retry_max_s": "0.1",
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


@pytest.mark.parametrize("state", ["planned", "uploaded", "submitted", "collecting", "cleaning"])
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


async def killed_while_ordering(
    sim: Simulator, wanted: dict[str, str], policy: job_pb2.ResendPolicy.ValueType
) -> list[str]:
    """The daemon is killed when its order has reached the provider, and the answer has not come back."""
    sim.faults.add(Fault(kind="hang", path="*/batches", method="POST", executed=True, count=1))
    async with Daemon(wanted) as first:
        async with EdgeClient(first.address) as client:
            submits = (client.submit(request(n), deferrable=True, resend_policy=policy) for n in range(JOBS))
            ids = [job.id for job in await asyncio.gather(*submits)]
        await sim.ledger.wait_until(lambda: bool(sim.batches.newest_first()))
        first.signal(signal.SIGKILL)
        assert -signal.SIGKILL == await first.code()
    return ids


async def ended(client: EdgeClient, ids: list[str], state: job_pb2.JobState.ValueType) -> list[job_pb2.Job]:
    """The jobs, once all are in this state; one that has failed because its batch is missing may come to another."""
    jobs = {job_id: job_pb2.Job() for job_id in ids}
    async with aclosing(client.watch_jobs()) as changes:
        async for job in changes:
            jobs[job.id] = job
            if all(each.state == state for each in jobs.values()):
                break
    return list(jobs.values())


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "listed late"])
async def test_order_that_was_cut_off_is_billed_once(tmp_path: Path, *, listed: bool) -> None:
    pace = BatchPace(listed_s=0.0 if listed else inf)
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(batch_pace=pace)) as sim:
        wanted = settings(sim, tmp_path / "queue")
        ids = await killed_while_ordering(sim, wanted, job_pb2.RESEND_POLICY_NEVER)
        async with Daemon(wanted) as second, EdgeClient(second.address) as client:
            if not listed:
                doubtful = await ended(client, ids, job_pb2.JOB_STATE_FAILED)
                reasons = {(job.error.reason, job.error.possibly_billed) for job in doubtful}
                assert {(error_pb2.ERROR_REASON_OUTCOME_UNKNOWN, True)} == reasons
                sim.batches.newest_first()[0].listed_at_s = 0.0
            jobs = await ended(client, ids, job_pb2.JOB_STATE_SUCCEEDED)
    assert [1] * JOBS == [job.attempt_count for job in jobs]
    assert (dict.fromkeys(ids, 1), 1) == (bills(sim), len(sim.batches.newest_first()))


async def test_order_that_was_cut_off_is_sent_once_more_where_that_is_permitted(tmp_path: Path) -> None:
    pace = BatchPace(listed_s=inf, manual=True)
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(batch_pace=pace)) as sim:
        wanted = settings(sim, tmp_path / "queue")
        ids = await killed_while_ordering(sim, wanted, job_pb2.RESEND_POLICY_ONCE)
        (first,) = sim.batches.newest_first()
        async with Daemon(wanted) as second, EdgeClient(second.address) as client:
            await second.says("batch_changed", lambda fact: fact["state"] == "submitted")
            first.listed_at_s = 0.0
            await sim.batches.finish(sim.batches.newest_first()[0])
            jobs = await ended(client, ids, job_pb2.JOB_STATE_SUCCEEDED)
            assert 0 == (await second.says("batch_came_late"))["wanted_count"]
            await sim.ledger.wait_until(lambda: first.status.value == "cancelling")
    assert [2] * JOBS == [job.attempt_count for job in jobs]
    assert dict.fromkeys(ids, 1) == bills(sim)
