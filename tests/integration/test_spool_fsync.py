"""Nothing is told before it is on the disk: not an accept, not an attempt that may be sent, not an outcome.

The disk refuses every sync here. Whoever gets an answer all the same has got it too early.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated_disk import SimulatedDisk, simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import CallError, Reason
from edgeclient.core.jobs import JobState
from edgeclient.v1 import chat_pb2

UNTOLD = (Reason.ERROR_REASON_STORAGE_UNAVAILABLE, Reason.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN)


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[SimulatedDisk]:
    with simulated_disk(request.node.name) as disk:
        yield disk


@pytest.fixture
async def bench(tmp_path: Path, disk: SimulatedDisk) -> SpoolBench:
    """With two jobs that wait."""
    bench = SpoolBench(tmp_path)
    bench.options = {"vfs": disk.name, "reopen_pause_s": 0.0}
    bench.renew()
    spool = await bench.open()
    await spool.accept(new_job("job-1"))
    await spool.accept(new_job("job-2"))
    assert await spool.get("device-7", "job-2") is not None  # whenever that was told, it is on the disk now
    return bench


def _no_sync(disk: SimulatedDisk) -> None:
    disk.fault = lambda _number, call: errno.EIO if call == "sync" else None


async def _state(bench: SpoolBench, disk: SimulatedDisk, job_id: str) -> JobState | None:
    """Where the job stands once the disk works again."""
    disk.fault = lambda _number, _call: None
    job = await bench.spool.get("device-7", job_id)
    await bench.close()
    return None if job is None else job.state


async def test_accept_is_not_told_before_it_is_on_the_disk(bench: SpoolBench, disk: SimulatedDisk) -> None:
    _no_sync(disk)

    with pytest.raises(CallError) as caught:
        await bench.spool.accept(new_job("job-3"))

    assert caught.value.reason in UNTOLD
    assert await _state(bench, disk, "job-3") is None


async def test_nothing_is_sent_before_the_intent_is_on_the_disk(bench: SpoolBench, disk: SimulatedDisk) -> None:
    _no_sync(disk)

    with pytest.raises(CallError) as caught:
        await bench.spool.begin("job-1")

    assert caught.value.reason in UNTOLD
    assert JobState.QUEUED is await _state(bench, disk, "job-1")


async def test_outcome_is_not_told_before_it_is_on_the_disk(bench: SpoolBench, disk: SimulatedDisk) -> None:
    attempt = await bench.spool.begin("job-1")
    assert attempt is not None
    _no_sync(disk)

    with pytest.raises(CallError) as caught:
        await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="answer"))

    assert caught.value.reason in UNTOLD
    assert await _state(bench, disk, "job-1") in (JobState.SENDING, JobState.SUCCEEDED)  # what it is, nobody was told
