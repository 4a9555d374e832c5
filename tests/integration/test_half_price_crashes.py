"""The half-price worker is cut off at each of its steps: after the next start every job ends, none is billed twice."""

import asyncio
from math import inf
from pathlib import Path
from typing import Any

import pytest
from harness.half_price import Desk, Power, bills, desk

from edgeclient.core.half_price_events import BatchMissing
from edgeclient.core.jobs import TERMINAL, Job, JobState, ResendPolicy
from edgeclient.simulator import BatchPace, Fault, Simulator, SimulatorConfig

JOBS = [f"{number}" for number in range(5)]
NAMED = {
    "planned": "after begin",
    "file sent and not recorded": "after upload",
    "handing over": "after hand_over",
    "order not sent": "before create",
    "order sent and not recorded": "after create",
    "submitted": "before batch",
    "collecting": "after a line",
    "collected": "before delete",
}
MISSING = {
    "order not sent": "before create",
    "order sent and not recorded": "after create",
    "doubt begun": "before doubt",
    "in doubt and not recorded": "after doubt",
    "in doubt": "after note",
    "listed": "before come_back",
    "come back": "after come_back",
    "told": "after wanted",
    "adopted": "before batch",
}
BEHIND = SimulatorConfig(batch_pace=BatchPace(listed_s=inf))
HOLD, ONCE = ResendPolicy.HOLD, ResendPolicy.RESEND_ONCE


async def lived(sim: Simulator, folder: Path, power: Power) -> list[JobState]:
    """One life until the power is out or all is done, and a second one; returns how the jobs ended."""
    async with desk(sim, folder, power=power) as first:
        ids = [await first.accept(prompt) for prompt in JOBS]
        await until_out(power, first.ended(ids))
    async with desk(sim, folder) as second:
        jobs = [await second.until(job_id, *TERMINAL, JobState.UNCERTAIN) for job_id in ids]
        assert not await second.spool.waiting()
    for prompt, job in zip(JOBS, jobs, strict=True):
        assert job.response is None or prompt == job.response.message.content
    return [job.state for job in jobs]


async def until_out(power: Power, work: Any) -> None:
    """Do it, or what of it comes before the power is out."""
    done = asyncio.create_task(work, name="all done")
    out = asyncio.create_task(power.out.wait(), name="power out")
    await asyncio.wait([done, out], return_when=asyncio.FIRST_COMPLETED)
    done.cancel()
    out.cancel()
    await asyncio.wait([done, out])


@pytest.mark.parametrize("point", NAMED)
async def test_job_is_billed_once_whenever_the_node_dies(tmp_path: Path, point: str) -> None:
    async with Simulator() as sim:
        power = Power(at=NAMED[point])
        states = await lived(sim, tmp_path, power)
        assert power.out.is_set()
        sent = point != "order not sent"  # and nobody can know that it was not
        assert [JobState.SUCCEEDED if sent else JobState.UNCERTAIN] * len(JOBS) == states
        assert (dict.fromkeys([f"job-{prompt}" for prompt in JOBS], 1) if sent else {}) == bills(sim)


async def test_job_is_billed_once_at_whichever_step_the_node_dies(tmp_path: Path) -> None:
    number, reached = 0, True
    while reached:
        number += 1
        async with Simulator() as sim:
            power = Power(at=number)
            states = await lived(sim, tmp_path / str(number), power)
            reached = power.out.is_set()
            answered = [index for index, state in enumerate(states) if state is JobState.SUCCEEDED]
            assert dict.fromkeys([f"job-{JOBS[index]}" for index in answered], 1) == bills(sim), power.steps
    assert number > 20


async def lived_late(sim: Simulator, folder: Path, power: Power, policy: ResendPolicy) -> Job:
    """Two lives with a listing that is behind until the job is in doubt.

    Returns the job as it ended; it is still in doubt if its last order never reached the provider.
    """

    async def course(node: Desk) -> None:
        await node.told(lambda event: isinstance(event, BatchMissing))
        list_all(sim)
        await node.ended([job_id])

    async with desk(sim, folder, power=power, linger_s=0.05) as first:
        job_id = await first.accept("a", resend_policy=policy)
        await until_out(power, course(first))
    async with desk(sim, folder, linger_s=0.05) as second:
        job = await second.until(job_id, *TERMINAL, JobState.UNCERTAIN)
        list_all(sim)
        was_placed = job.attempt_count == len(sim.batches.newest_first())
        return await second.until(job_id, *TERMINAL) if was_placed else job


def list_all(sim: Simulator) -> None:
    """The listing shows every batch at last."""
    for batch in sim.batches.newest_first():
        batch.listed_at_s = 0.0


@pytest.mark.parametrize("policy", [HOLD, ONCE])
@pytest.mark.parametrize("point", MISSING)
async def test_bills_keep_to_the_policy_whenever_the_node_dies_while_a_batch_is_missing(
    tmp_path: Path, point: str, policy: ResendPolicy
) -> None:
    async with Simulator(BEHIND) as sim:
        if "order" not in point:  # else it is the node that loses the answer, and not the way
            sim.faults.add(Fault(kind="close", path="*/batches", method="POST", executed=True, count=1))
        power = Power(at=MISSING[point])
        job = await lived_late(sim, tmp_path, power, policy)
        assert power.out.is_set()
        in_doubt = (point, policy) == ("order not sent", HOLD)
        assert (JobState.UNCERTAIN if in_doubt else JobState.SUCCEEDED) is job.state
        fewest = 0 if in_doubt else 1
        assert bills(sim)[job.id] in range(fewest, fewest + (1 if policy is HOLD else 2))
