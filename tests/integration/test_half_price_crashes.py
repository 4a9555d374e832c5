"""The half-price worker is cut off at each of its steps: after the next start every job ends, none is billed twice."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from harness.half_price import Power, bills, desk

from edgeclient.core.jobs import JobState
from edgeclient.simulator import Simulator

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


async def lived(sim: Simulator, folder: Path, power: Power) -> list[str]:
    """One life until the power is out or all is done, and a second one; returns the steps of the first."""
    async with desk(sim, folder, power=power) as first:
        ids = [await first.accept(prompt) for prompt in JOBS]
        done = asyncio.create_task(first.ended(ids), name="all done")
        out = asyncio.create_task(power.out.wait(), name="power out")
        await asyncio.wait([done, out], return_when=asyncio.FIRST_COMPLETED)
        done.cancel()
        out.cancel()
        await asyncio.wait([done, out])
    async with desk(sim, folder) as second:
        jobs = await second.ended(ids)
        assert not await second.spool.waiting()
    assert {JobState.SUCCEEDED: len(JOBS)} == Counter(job.state for job in jobs)
    assert JOBS == [job.response.message.content for job in jobs if job.response is not None]
    return power.steps


@pytest.mark.parametrize("point", NAMED)
async def test_job_is_billed_once_whenever_the_node_dies(tmp_path: Path, point: str) -> None:
    async with Simulator() as sim:
        power = Power(at=NAMED[point])
        await lived(sim, tmp_path, power)
        assert power.out.is_set()
        assert dict.fromkeys([f"job-{prompt}" for prompt in JOBS], 1) == bills(sim)


async def test_job_is_billed_once_at_whichever_step_the_node_dies(tmp_path: Path) -> None:
    number, reached = 0, True
    while reached:
        number += 1
        async with Simulator() as sim:
            power = Power(at=number)
            await lived(sim, tmp_path / str(number), power)
            reached = power.out.is_set()
            assert dict.fromkeys([f"job-{prompt}" for prompt in JOBS], 1) == bills(sim), power.steps
    assert number > 20
