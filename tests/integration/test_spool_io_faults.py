"""A disk that is full or fails, at every k-th I/O call: no promise that is not kept, and no restart is needed.

More of them: `SPOOL_ROUNDS=400 pytest tests/integration/test_spool_io_faults.py`.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest
from simulated_disk import SimulatedDisk, simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import CallError, Reason, Throttled
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.core.jobs import Job, JobState
from edgeclient.v1 import chat_pb2

ROUNDS = int(os.environ.get("SPOOL_ROUNDS", "18"))
STEP = max(1, 72 // ROUNDS)
Fail = Callable[[], Exception]


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[SimulatedDisk]:
    with simulated_disk(request.node.name) as disk:
        yield disk


def _bench(root: Path, disk: SimulatedDisk) -> SpoolBench:
    bench = SpoolBench(root)
    bench.options = {"vfs": disk.name, "reopen_pause_s": 0.0}
    bench._spool = bench._new()
    return bench


async def _work(bench: SpoolBench, name: str, told: dict[str, str], refused: set[str]) -> None:
    for number in range(6):
        job_id = f"{name}-{number}"
        try:
            await bench.spool.accept(new_job(job_id, caller=name, prompt=job_id * 50))
            told[job_id] = "accepted"
            attempt = await bench.spool.begin(job_id)
            if attempt and await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model=job_id)):
                told[job_id] = "answered"
        except CallError as error:
            assert error.reason in (Reason.ERROR_REASON_STORAGE_UNAVAILABLE, Reason.ERROR_REASON_QUEUE_FULL)  # noqa: PT017  or none
            if job_id not in told:
                refused.add(job_id)


async def _accepted_again(bench: SpoolBench) -> None:
    """The fault is over: it works again, without a restart."""
    async with asyncio.timeout(10):
        while True:
            try:
                await bench.spool.accept(new_job("after", caller="after"))
            except CallError:
                with suppress(CallError):
                    await bench.spool.sweep()  # the daemon does so each minute
            else:
                return


async def _check(bench: SpoolBench, told: dict[str, str], refused: set[str]) -> None:
    for job_id, what in told.items():
        job: Job | None = await bench.spool.get(job_id.partition("-")[0], job_id)
        assert job is not None, f"{job_id} was acknowledged and is gone"
        if what == "answered":
            assert JobState.SUCCEEDED is job.state
            assert job.response is not None
            assert job_id == job.response.model
        else:
            assert job.state in (JobState.QUEUED, JobState.SENDING, JobState.UNCERTAIN, JobState.SUCCEEDED)
    for job_id in refused:
        assert await bench.spool.get(job_id.partition("-")[0], job_id) is None, f"{job_id} was refused and is there"
    stats = bench.spool.stats()
    assert stats.accepted_total == sum(stats.by_state.values()) + stats.purged_total + stats.lost_total


FAULTS: dict[str, tuple[set[str], Fail]] = {
    "full disk": ({"write"}, apsw.FullError),
    "write error": ({"write", "truncate"}, apsw.IOError),
    "failed sync": ({"sync"}, apsw.IOError),
}


@pytest.mark.parametrize("length", [1, 25])
@pytest.mark.parametrize("kind", FAULTS)
async def test_fault_breaks_no_promise(tmp_path: Path, kind: str, length: int) -> None:
    calls, fail = FAULTS[kind]
    for start in range(1, ROUNDS * STEP, STEP):
        with simulated_disk(f"fault-{kind}-{length}-{start}") as disk:
            bench = _bench(tmp_path / str(start), disk)
            await bench.open()
            first = disk.calls + start
            disk.fault = lambda number, call, first=first: (  # type: ignore[misc]  # bound here
                fail() if call in calls and first <= number < first + length else None
            )
            told: dict[str, str] = {}
            refused: set[str] = set()
            await asyncio.gather(*(_work(bench, f"d{number}", told, refused) for number in range(4)))
            disk.fault = lambda _number, _call: None
            await _accepted_again(bench)
            await _check(bench, told, refused)
            disk.power_ends_at = disk.calls  # and what the disk really has is what was promised
            await bench.close()
            after = SpoolBench(tmp_path / f"after-{start}")
            after.directory.parent.mkdir()
            disk.leave(after.directory, random.Random(start))
        await after.open()
        assert not [event for event in after.events if isinstance(event, SpoolDamaged)]
        await _check(after, told, refused)
        await after.close()


async def test_full_disk_lets_finish_cancel_and_erase(tmp_path: Path, disk: SimulatedDisk) -> None:
    bench = _bench(tmp_path, disk)
    spool = await bench.open()
    for number in range(4):
        await spool.accept(new_job(f"job-{number}"))
    attempt = await spool.begin("job-0")
    assert attempt is not None
    ballast = bench.directory / "ballast"
    assert 65536 == ballast.stat().st_size
    disk.fault = lambda _number, call: apsw.FullError() if call == "write" and ballast.stat().st_size else None

    with pytest.raises(Throttled):
        await spool.accept(new_job("job-9"))
    assert await spool.succeed(attempt, chat_pb2.ChatResponse(model="answer"))
    cancelled = await spool.cancel("device-7", "job-1")
    await spool.erase("device-7", "job-2")

    assert 0 == ballast.stat().st_size
    assert cancelled is not None
    assert JobState.CANCELLED is cancelled.state
    disk.fault = lambda _number, _call: None
    await spool.sweep()
    assert 65536 == ballast.stat().st_size
    await spool.accept(new_job("job-10"))
    await bench.close()
