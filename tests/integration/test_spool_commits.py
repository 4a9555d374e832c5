"""Group commit, cancelled waits, the feed, and the counts."""

import asyncio
from pathlib import Path

import pytest
from simulated_disk import simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import Throttled
from edgeclient.core.jobs import JobKind, JobState, NewJob
from edgeclient.v1 import chat_pb2


async def test_who_waits_together_shares_one_fsync(tmp_path: Path) -> None:
    with simulated_disk("group") as disk:
        syncs = []
        bench = SpoolBench(tmp_path)
        bench.options = {"vfs": disk.name}
        bench._spool = bench._new()
        spool = await bench.open()
        disk.fault = lambda number, call: syncs.append(number) if call == "sync" else None

        await asyncio.gather(*(spool.accept(new_job(f"job-{number}")) for number in range(200)))

        assert 1 <= len(syncs) < 20
        await bench.close()


async def test_one_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, max_jobs=3)
    spool = await bench.open()

    results = await asyncio.gather(
        *(spool.accept(new_job(f"job-{number}")) for number in range(5)), return_exceptions=True
    )

    assert [False, False, False, True, True] == [isinstance(each, Throttled) for each in results]
    assert 3 == spool.stats().accepted_total
    await bench.close()


async def test_cancelled_accept_is_on_the_disk_or_nowhere_and_counted(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    tasks = [asyncio.ensure_future(spool.accept(new_job(f"job-{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert len(await spool.waiting()) == spool.stats().accepted_total
    await bench.close()


async def test_cancelled_begin_leaves_no_attempt_behind(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    await spool.accept(new_job())
    task = asyncio.ensure_future(spool.begin("job-1"))
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    async with asyncio.timeout(5):
        while (attempt := await spool.begin("job-1")) is None:
            pass
    assert 1 == attempt.job.attempt_count
    await bench.close()


async def test_cancelled_live_call_is_forgotten(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    task = asyncio.ensure_future(spool.accept(new_job(kind=JobKind.CALL, idempotency_key="key")))
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    async with asyncio.timeout(5):
        while await spool.find("device-7", "key") is not None:
            pass
    await bench.close()


async def test_cancelled_success_is_kept(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    await spool.accept(new_job())
    attempt = await spool.begin("job-1")
    assert attempt is not None
    task = asyncio.ensure_future(spool.succeed(attempt, chat_pb2.ChatResponse(model="paid")))
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    job = await spool.get("device-7", "job-1")
    assert job is not None
    assert job.response is not None
    assert (JobState.SUCCEEDED, "paid") == (job.state, job.response.model)
    await bench.close()


async def test_slow_reader_gets_the_newest_state_of_each_job(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    changes = spool.changes()
    for job_id in ("job-1", "job-2"):
        await spool.accept(new_job(job_id))
    await spool.begin("job-1")

    newest = {job.id: job.state for job in [await anext(changes), await anext(changes)]}

    assert {"job-1": JobState.SENDING, "job-2": JobState.QUEUED} == newest
    await bench.close()
    with pytest.raises(StopAsyncIteration):
        await anext(changes)


async def test_full_cap_refuses_the_new_and_keeps_the_old(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, max_bytes=1024 * 1024, max_request_bytes=512 * 1024)
    spool = await bench.open()
    accepted: list[NewJob] = []
    while spool.stats().free_bytes > 60_000:
        accepted.append(new_job(f"job-{len(accepted)}", prompt="x" * 50_000))
        await spool.accept(accepted[-1])

    with pytest.raises(Throttled, match="its size"):
        await spool.accept(new_job("one-more", prompt="x" * 70_000))
    for each in accepted:
        attempt = await spool.begin(each.id)
        assert attempt is not None
        assert await spool.succeed(attempt, chat_pb2.ChatResponse(model="y" * 60_000))
    assert bench.database.stat().st_size <= 2 * 1024 * 1024
    await bench.close()


async def test_disk_floor_is_left_to_others(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, disk_floor_bytes=1 << 60)
    spool = await bench.open()

    with pytest.raises(Throttled, match="the disk of the queue is full"):
        await spool.accept(new_job())
    await bench.close()


async def test_repeat_is_answered_though_the_queue_is_full(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, max_jobs=1)
    spool = await bench.open()
    await spool.accept(new_job("job-1", idempotency_key="key"))

    repeat = await spool.accept(new_job("job-2", idempotency_key="key"))

    assert (True, "job-1") == (repeat.duplicate, repeat.job.id)
    with pytest.raises(Throttled):
        await spool.accept(new_job("job-3", idempotency_key="another"))
    await bench.close()


async def test_repeats_take_no_room_from_those_behind_them(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, max_bytes=1024 * 1024, max_request_bytes=512 * 1024)
    spool = await bench.open()
    known = [new_job(f"job-{number}", prompt="x" * 40_000, idempotency_key=f"key-{number}") for number in range(9)]
    for new in known:
        await spool.accept(new)
    while spool.stats().free_bytes > 100_000:
        await spool.accept(new_job(f"filler-{spool.stats().free_bytes}", prompt="x" * 20_000))
    late = new_job("late", prompt="x" * 40_000)

    *repeats, accepted = await asyncio.gather(*map(spool.accept, [*known, late]))

    assert [True] * 9 == [repeat.duplicate for repeat in repeats]
    assert not accepted.duplicate
    await bench.close()
