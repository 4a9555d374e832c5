"""Salvage on a disk that fails, fills up or loses power meanwhile: what it would have saved without, it saves with.

The damage takes a row or two and some content with it, and what is left is known from a salvage without a fault. Here a
sample; at each I/O call of the salvage (ten minutes):
`SPOOL_FAULTS=all pytest -s tests/integration/test_spool_salvage_faults.py`.
"""

import errno
import os
import random
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fault_campaign import KINDS, Plan, fault_of, plans, sampled
from spool_bench import SpoolBench, new_job
from spool_life import PowerCutError, damage_index, life

from edgeclient.core.jobs import JobState
from edgeclient.spool.database import PAGE_BYTES
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.verification import verified
from edgeclient.v1 import chat_pb2

EVERY = os.environ.get("SPOOL_FAULTS") == "all"
JOBS = 24
LARGE = "Is 97 degrees hot? " * 50_000  # eight of them are more than what is kept in memory
TABLE_LEAF = 13


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a salvage has saved: jobs by state and answer, and how many it counts as lost."""

    jobs: dict[str, tuple[JobState, str]]
    lost: int


@pytest.fixture
async def damaged(tmp_path: Path) -> Path:
    bench = SpoolBench(tmp_path / "damaged")
    spool = await bench.open()
    for number in range(JOBS):
        await spool.accept(new_job(f"job-{number}", prompt=f"prompt {number} " * 200))
        if number % 3 == 0:
            attempt = await spool.begin(f"job-{number}")
            assert attempt is not None
            await spool.succeed(attempt, chat_pb2.ChatResponse(model=f"answer {number} " * 200))
        if number == JOBS // 2:
            await spool.sweep()  # what comes after it is in the log alone
    await bench.kill()
    data = bytearray(bench.database.read_bytes())
    for words in (b"prompt 4 prompt 4", b"answer 9 answer 9"):
        place = data.index(words)
        data[place : place + 40] = bytes(40)
    page = _untouched_leaf(bytes(data), bench.database.with_name("spool.db-wal").read_bytes())
    data[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
    bench.database.write_bytes(data)
    return bench.directory


def _untouched_leaf(data: bytes, log: bytes) -> int:
    """Where a leaf of a table begins that the log has no later version of."""
    in_log = {int.from_bytes(log[at : at + 4]) for at in range(32, len(log), 24 + PAGE_BYTES)}
    leaves = (at for at in range(PAGE_BYTES, len(data), PAGE_BYTES) if data[at] == TABLE_LEAF)
    return next(at for at in leaves if at // PAGE_BYTES + 1 not in in_log and data[at + 4])


async def test_damage_takes_something_and_leaves_most(tmp_path: Path, damaged: Path) -> None:
    (left,), trace = await _salvaged(tmp_path / "salvaged", damaged, None)

    states = Counter(state for state, _ in left.jobs.values())
    assert JOBS - 8 <= states[JobState.QUEUED] + states[JobState.SUCCEEDED] < JOBS
    assert left.lost + states[JobState.DEAD] > 0
    assert {"read", "write", "sync", "rename"} <= set(trace)


@pytest.mark.parametrize("kind", KINDS)
async def test_fault_in_a_salvage_loses_nothing_more(tmp_path: Path, damaged: Path, kind: str) -> None:
    (expected,), trace = await _salvaged(tmp_path / "no fault", damaged, None)
    chosen = list(plans(trace, kind)) if EVERY else sampled(trace, kind, most=3)
    wrong = []
    for plan in chosen:
        found, _ = await _salvaged(tmp_path / "salvaged", damaged, plan)
        shutil.rmtree(tmp_path / "salvaged")
        wrong += [f"{plan}: {left}" for left in found if left != expected]

    print(f"\n{kind}: {len(chosen)} salvages with a fault, of {len(trace)} calls each")  # noqa: T201
    assert [] == wrong


async def _salvaged(root: Path, damaged: Path, plan: Plan | None) -> tuple[list[Left], list[str]]:
    """What is left for a process that starts when the disk works again, after a power cut as well; and the calls."""
    async with life(root) as (queue, disk):
        with disk.aside():
            shutil.copytree(damaged, queue.bench.directory)
            disk.holds(queue.bench.directory)
        is_last = plan is not None and KINDS[plan.kind].is_last
        if plan is not None and is_last:
            disk.power_ends_at = plan.first
        elif plan is not None:
            disk.fault = fault_of(plan, [], queue)
        with suppress(PowerCutError):
            if not await queue.witness.opened():
                await queue.witness.opened()  # by a supervisor
        trace, before = list(disk.trace), len(queue.pictures)
        queue.picture("as it is")
        if is_last:
            await queue.power_cut(random.Random(len(trace)))
    return [await _left(picture.root) for picture in queue.pictures[before:]], trace


async def _left(root: Path) -> Left:
    bench = SpoolBench(root)
    await bench.open()
    jobs: dict[str, tuple[JobState, str]] = {}
    for number in range(JOBS):
        job = await bench.spool.get("device-7", f"job-{number}")
        if job is not None:
            jobs[job.id] = (job.state, job.response.model if job.response else "")
    left = Left(jobs=jobs, lost=bench.spool.stats().lost_total)
    await bench.close()
    with OperatorQueue(bench.directory, vault=bench.vault, config=bench.config) as operator:
        assert [] == verified(operator.desk).problems
    return left


async def test_disk_that_fills_up_in_the_middle_of_a_large_salvage_loses_nothing(tmp_path: Path) -> None:
    """What SQLite cannot keep in memory it writes while a row is copied: no row is to blame for that."""
    async with life(tmp_path / "life") as (queue, disk):
        with disk.aside():
            await queue.bench.open()
            for number in range(8):
                await queue.bench.spool.accept(new_job(f"job-{number}", prompt=LARGE))
            await queue.bench.kill()
            damage_index(queue.bench.database)
        written = 0

        def full(_number: int, call: str) -> int:
            nonlocal written
            written += call == "write"
            return errno.ENOSPC if call == "write" and written > 200 else 0

        disk.fault = full
        assert not await queue.witness.opened()
        disk.fault = lambda _number, _call: None
        assert await queue.witness.opened()

        stats = queue.bench.spool.stats()
        assert (8, 0) == (stats.by_state[JobState.QUEUED], stats.lost_total)


async def test_file_that_cannot_be_read_at_all_is_not_taken_for_damaged(tmp_path: Path, damaged: Path) -> None:
    async with life(tmp_path / "life") as (queue, disk):
        with disk.aside():
            shutil.copytree(damaged, queue.bench.directory)
        disk.unreadable = str(queue.bench.database)
        assert not await queue.witness.opened()
        assert [] == list(queue.bench.directory.glob("*damaged*"))
        disk.unreadable = ""
        assert await queue.witness.opened()
        found = queue.bench.spool.stats()

    (expected,), _ = await _salvaged(tmp_path / "no fault", damaged, None)
    assert expected.lost == found.lost_total
    assert len(expected.jobs) == sum(found.by_state.values())
