"""Simulated power cuts: what was acknowledged is there afterwards, and the file is sound.

The same run with synchronous=NORMAL has to lose something; if it does not, the simulation is blind.
More rounds: `SPOOL_ROUNDS=2000 pytest tests/integration/test_spool_power_cut.py`.
"""

import asyncio
import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from simulated_disk import SimulatedDisk, simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import CallError
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.core.jobs import JobState
from edgeclient.v1 import chat_pb2

ROUNDS = int(os.environ.get("SPOOL_ROUNDS", "25"))


@dataclass
class Told:
    """What callers were told."""

    prompts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """What a power cut left of it."""

    lost: int = 0
    altered: int = 0
    damaged: int = 0
    told: int = 0
    unsynced: int = 0


async def _device(bench: SpoolBench, name: str, told: Told, rng: random.Random) -> None:
    for number in range(12):
        job_id = f"{name}-{number}"
        prompt = f"{job_id} " * rng.randrange(1, 400)
        await bench.spool.accept(new_job(job_id, caller=name, prompt=prompt))
        told.prompts[job_id] = prompt
        attempt = await bench.spool.begin(job_id)
        if attempt is not None and rng.random() < 0.7:
            answer = f"answer of {job_id}"
            if await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model=answer)):
                told.answers[job_id] = answer
        if rng.random() < 0.2:  # its truncating checkpoint writes to the database itself
            told.prompts.pop(job_id)
            told.answers.pop(job_id, None)
            await bench.spool.erase(name, job_id)


async def _round(seed: int, root: Path, *, synchronous: str, calls: int) -> Found:
    rng = random.Random(seed)
    told = Told()
    with simulated_disk(f"power-cut-{synchronous}-{seed}") as disk:
        bench = await _bench(root, disk, synchronous)
        disk.power_ends_at = disk.calls + rng.randrange(1, calls)
        await _devices(bench, told, rng)
        await bench.close()
        after = SpoolBench(root / "after")
        after.directory.parent.mkdir()
        unsynced = sum(len(state.pending) for state in disk.states.values())
        disk.leave(after.directory, rng)
    found = await _found(after, told)
    found.unsynced = unsynced
    return found


async def _calls(root: Path, *, synchronous: str) -> int:
    """How many calls a round has that nothing cuts off."""
    with simulated_disk(f"no power cut {synchronous}") as disk:
        bench = await _bench(root, disk, synchronous)
        opened_at = disk.calls
        await _devices(bench, Told(), random.Random(0))
        await bench.close()
        return disk.calls - opened_at


async def _bench(root: Path, disk: SimulatedDisk, synchronous: str) -> SpoolBench:
    bench = SpoolBench(root / "before")
    bench.options = {"vfs": disk.name, "synchronous": synchronous}
    bench.renew()
    await bench.open()
    return bench


async def _devices(bench: SpoolBench, told: Told, rng: random.Random) -> None:
    await asyncio.gather(*(_device(bench, f"d{number}", told, rng) for number in range(4)), return_exceptions=True)


async def _found(after: SpoolBench, told: Told) -> Found:
    found = Found(told=len(told.prompts))
    spool = await after.open()
    found.damaged = sum(isinstance(event, SpoolDamaged) for event in after.events)
    for job_id, prompt in told.prompts.items():
        caller = job_id.partition("-")[0]
        try:
            job = await spool.get(caller, job_id)
        except CallError:
            found.altered += 1
            continue
        answer = told.answers.get(job_id)
        if job is None or (answer and job.state is not JobState.SUCCEEDED):
            found.lost += 1
        elif answer:
            found.altered += job.response is None or job.response.model != answer
        elif job.state is JobState.QUEUED:
            attempt = await spool.begin(job_id)
            found.altered += attempt is None or attempt.job.request is None or attempt.job.request.prompt != prompt
    await after.close()
    return found


async def _rounds(root: Path, *, synchronous: str, rounds: int) -> Found:
    total = Found()
    calls = await _calls(root / "whole", synchronous=synchronous)
    for seed in range(rounds):
        folder = root / str(seed)
        found = await _round(seed, folder, synchronous=synchronous, calls=calls)
        if not (found.lost or found.altered or found.damaged):
            shutil.rmtree(folder)  # 100,000 of them are 60 GB
        for name in ("lost", "altered", "damaged", "told", "unsynced"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
    return total


async def test_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    found = await _rounds(tmp_path, synchronous="FULL", rounds=ROUNDS)

    print(found)  # noqa: T201  the number of a large run
    assert (0, 0, 0) == (found.lost, found.altered, found.damaged)
    assert found.told > ROUNDS
    assert found.unsynced > ROUNDS


async def test_simulation_sees_a_commit_without_sync(tmp_path: Path) -> None:
    found = await _rounds(tmp_path, synchronous="NORMAL", rounds=ROUNDS)

    print(found)  # noqa: T201
    assert found.lost > 0
