"""A disk that is full or fails, at each single I/O call of a queue's life: no promise is broken, no restart is needed.

Here a sample of the calls, the same each time. All of them, with a table of what was injected and what became of it
(an hour): `SPOOL_FAULTS=all pytest -s tests/integration/test_spool_io_faults.py`. One of them, as a failure names it:
`SPOOL_FAULTS='EIO once@1132' pytest ...`; calls that wait for each other in another order may shift it by a few.
"""

import errno
import os
from pathlib import Path

import pytest
from fault_campaign import ALL, KINDS, Plan, calls_of_a_life, campaign, plans, sampled
from simulated_disk import simulated_disk
from spool_bench import SpoolBench, new_job
from spool_life import life
from spool_witness import what_is_wrong

from edgeclient.core.errors import Throttled
from edgeclient.core.jobs import JobState
from edgeclient.v1 import chat_pb2

FAULTS = os.environ.get("SPOOL_FAULTS", "")


async def test_life_without_a_fault_visits_everything_and_is_told_no(tmp_path: Path) -> None:
    async with life(tmp_path / "life") as (queue, disk):
        await queue.run()
        states = {known.id: known.states for known in queue.witness.known.values()}
        queue.picture("at its end")

    assert [] == queue.witness.refusals
    assert ALL - {"overwrite"} <= set(disk.trace)
    assert 1 == queue.salvages
    assert {JobState.QUEUED} == states["parked"] == states["many-3"] == states["late"]
    (picture,) = queue.pictures
    assert [] == await what_is_wrong(picture.root, picture.known)


@pytest.mark.parametrize("kind", KINDS)
async def test_fault_breaks_no_promise(tmp_path: Path, kind: str) -> None:
    found = await campaign(tmp_path, _chosen(kind, await calls_of_a_life(tmp_path / "no fault")))

    print(f"\n{found.table()}")  # noqa: T201  the numbers of a large run
    assert [] == found.violations


def _chosen(kind: str, trace: list[str]) -> list[Plan]:
    if FAULTS == "all":
        return list(plans(trace, kind))
    if FAULTS:
        wanted, _, first = FAULTS.partition("@")
        return [Plan(kind=kind, first=int(first))] if wanted == kind else []
    return sampled(trace, kind, most=1 if KINDS[kind].calls == ALL else 6)


async def test_full_disk_lets_finish_cancel_and_erase(tmp_path: Path) -> None:
    with simulated_disk("full") as disk:
        bench = SpoolBench(tmp_path)
        bench.options = {"vfs": disk.name, "reopen_pause_s": 0.0}
        bench.renew()
        spool = await bench.open()
        for number in range(4):
            await spool.accept(new_job(f"job-{number}"))
        attempt = await spool.begin("job-0")
        assert attempt is not None
        ballast = bench.directory / "ballast"
        assert 65536 == ballast.stat().st_size
        disk.fault = lambda _number, call: errno.ENOSPC if call == "write" and ballast.stat().st_size else None

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


async def test_daemon_starts_on_a_full_disk_and_finishes_what_it_has(tmp_path: Path) -> None:
    async with life(tmp_path / "life") as (queue, disk):
        witness = queue.witness
        await witness.opened()
        await witness.accept("first")
        await witness.accept("second")
        await queue.kill()
        ballast = queue.bench.directory / "ballast"
        disk.fault = lambda _number, call: (
            errno.ENOSPC if call == "allocate" or (call == "write" and ballast.stat().st_size) else 0
        )

        assert await witness.opened()
        await witness.succeed("first")
        await witness.erase("second")
        assert [] == witness.refusals
        await witness.accept("third")
        assert ["QUEUE_FULL"] == [refusal.reason for refusal in witness.refusals]
