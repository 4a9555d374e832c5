"""Flipped bits and cut files: no crash, no altered content, and what is lost is counted.

More of them: `SPOOL_ROUNDS=1000 pytest tests/integration/test_spool_damage.py`.
"""

import os
import random
from pathlib import Path

import apsw
import pytest
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import CallError, Reason
from edgeclient.core.job_events import SpoolDamaged, SpoolFellBack
from edgeclient.core.jobs import JobState
from edgeclient.v1 import chat_pb2

ROUNDS = int(os.environ.get("SPOOL_ROUNDS", "40"))
JOBS = 60


def _prompt(number: int) -> str:
    return f"prompt {number} " * (1 + number * 7 % 500)


async def _filled(root: Path) -> SpoolBench:
    bench = SpoolBench(root)
    spool = await bench.open()
    for number in range(JOBS):
        await spool.accept(new_job(f"job-{number}", prompt=_prompt(number)))
        if number % 3 == 0:
            attempt = await spool.begin(f"job-{number}")
            assert attempt is not None
            await spool.succeed(attempt, chat_pb2.ChatResponse(model=f"answer {number} " * 50))
    return bench


def _spoil(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if rng.random() < 0.25:
        del data[rng.randrange(len(data)) :]
    else:
        for _ in range(rng.choice((1, 3, 40))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:  # a page that was never written
            page = rng.randrange(len(data) // 4096 or 1)
            data[page * 4096 : (page + 1) * 4096] = bytes(min(4096, len(data) - page * 4096))
    path.write_bytes(data)


def _fell_back(bench: SpoolBench) -> bool:
    """It was told that commits are missing: then what they did is not done."""
    return any(isinstance(event, SpoolFellBack) for event in bench.events)


async def _nothing_is_altered(bench: SpoolBench) -> None:
    spool = bench.spool
    for number in range(JOBS):
        try:
            job = await spool.get("device-7", f"job-{number}")
        except CallError as error:
            assert Reason.ERROR_REASON_STORAGE_UNAVAILABLE == error.reason  # noqa: PT017  or none
            continue
        if job is not None and job.response is not None:
            assert f"answer {number} " * 50 == job.response.model
        if job is not None and job.state in (JobState.QUEUED, JobState.RETRY_WAIT):
            attempt = await spool.begin(job.id)
            if attempt is not None:
                assert number % 3 or _fell_back(bench), f"job-{number} has its answer and would be paid for again"
                assert attempt.job.request is not None
                assert _prompt(number) == attempt.job.request.prompt


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_damage_alters_nothing_and_does_not_stop_the_queue(tmp_path: Path, suffix: str) -> None:
    salvages = 0
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        bench = await _filled(tmp_path / str(seed))
        if not suffix:
            await bench.spool.sweep()  # truncates the log: all is in the database
        left = bench.directory

        def spoil(left: Path = left, rng: random.Random = rng) -> None:
            _spoil(left / f"spool.db{suffix}", rng)

        await bench.crash(spoil)
        await _nothing_is_altered(bench)
        await bench.spool.accept(new_job("after"))
        await bench.reopen()
        damaged = [event for event in bench.events if isinstance(event, SpoolDamaged)]
        salvages += len(damaged)
        for event in damaged:
            assert Path(event.moved_to).exists()  # noqa: ASYNC240  a test may wait for a disk
        stats = bench.spool.stats()
        assert stats.accepted_total == sum(stats.by_state.values()) + stats.purged_total + stats.lost_total
        await bench.close()
    assert salvages or suffix


async def test_damage_while_running_is_salvaged_without_restart(tmp_path: Path) -> None:
    bench = await _filled(tmp_path)
    await bench.reopen()  # nothing is in memory
    size_bytes = bench.database.stat().st_size
    with bench.database.open("r+b") as file:
        file.seek(size_bytes // 2)
        file.write(b"\xff" * (size_bytes - size_bytes // 2))

    await _nothing_is_altered(bench)

    assert [event for event in bench.events if isinstance(event, SpoolDamaged)]
    await bench.spool.accept(new_job("after"))
    await bench.close()


async def test_cut_file_loses_what_was_cut_off_and_no_more(tmp_path: Path) -> None:
    bench = await _filled(tmp_path)
    await bench.spool.sweep()
    await bench.close()
    data = bench.database.read_bytes()
    bench.database.write_bytes(data[: len(data) // 2])

    bench.renew()
    await bench.open()

    (event,) = (event for event in bench.events if isinstance(event, SpoolDamaged))
    assert event.saved > JOBS // 4
    assert JOBS == event.saved + event.lost
    await _nothing_is_altered(bench)
    await bench.close()


@pytest.mark.parametrize(("has_mark", "lost"), [(True, JOBS), (False, 1)])
async def test_damaged_header_starts_an_empty_queue_and_keeps_the_file(
    tmp_path: Path, *, has_mark: bool, lost: int
) -> None:
    bench = await _filled(tmp_path)
    await bench.spool.sweep()

    def spoil() -> None:
        path = tmp_path / "spool-0" / "spool.db"
        path.write_bytes(b"x" * 4096 + path.read_bytes()[4096:])
        if not has_mark:
            path.with_name("spool.mark").unlink()

    await bench.crash(spoil)

    damaged = [event for event in bench.events if isinstance(event, SpoolDamaged)]
    assert [(0, lost)] == [(event.saved, event.lost) for event in damaged]
    assert [] == [event for event in bench.events if isinstance(event, SpoolFellBack)]
    await bench.spool.accept(new_job("after"))
    await bench.close()


async def test_interrupted_salvage_is_finished(tmp_path: Path) -> None:
    bench = await _filled(tmp_path)

    await bench.close()
    bench.database.rename(bench.database.with_name("spool.db.salvage"))  # killed just before the last step

    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    assert JOBS == spool.stats().accepted_total
    await bench.close()


async def test_incomplete_salvage_is_thrown_away(tmp_path: Path) -> None:
    bench = await _filled(tmp_path)
    await bench.close()
    apsw.Connection(str(bench.directory / "spool.db.salvage")).close()

    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    assert JOBS == spool.stats().accepted_total
    assert not (bench.directory / "spool.db.salvage").exists()
    await bench.close()
