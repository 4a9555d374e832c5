"""Near the end of the disk and of the cap: what was accepted comes first, also after a restart."""

import asyncio
import errno
from pathlib import Path

import pytest
from simulated_disk import simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import Throttled
from edgeclient.v1 import chat_pb2

MIB = 1024 * 1024
PROMPT = "x" * 50_000
ROOM_FOR_ONE_BYTES = 60_000
ROOM_FOR_ONE_WRITES = 90  # in a row: an answer takes 30 to 50 of them, seven answers together over 140


async def _answered(bench: SpoolBench, job_id: str) -> bool:
    attempt = await bench.spool.begin(job_id)
    assert attempt is not None
    return await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="y" * 60_000))


async def test_answers_outrank_the_cap_after_a_restart_too(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path, max_bytes=MIB, max_request_bytes=MIB // 2)
    await bench.open()
    number = 0
    while bench.spool.stats().free_bytes > ROOM_FOR_ONE_BYTES:
        await bench.spool.accept(new_job(f"job-{number}", prompt=PROMPT))
        number += 1
    for each in range(number - 1):
        assert await _answered(bench, f"job-{each}")
    assert 0 == bench.database.with_name("ballast").stat().st_size

    await bench.crash()

    assert await _answered(bench, f"job-{number - 1}")
    assert bench.database.stat().st_size > MIB
    await bench.close()


async def test_near_the_end_of_the_disk_the_ballast_has_room_for_what_is_in_the_log_alone(tmp_path: Path) -> None:
    with simulated_disk("near the end", everywhere=True) as disk, disk.mounted(tmp_path):
        bench = SpoolBench(tmp_path, ballast_bytes=MIB)
        disk.free_bytes = 4 * MIB
        await bench.open()
        for number in range(40):
            await bench.spool.accept(new_job(f"job-{number}", prompt=PROMPT))

        session = bench.spool._thread._commits.session
        assert session is not None
        assert 0 < session.connection.pragma("page_count") * 4096 - bench.database.stat().st_size <= MIB
        await bench.close()


async def test_room_in_the_file_is_used_before_the_disk(tmp_path: Path) -> None:
    with simulated_disk("free pages", everywhere=True) as disk, disk.mounted(tmp_path):
        bench = SpoolBench(tmp_path)
        await bench.open()
        disk.free_bytes = ROOM_FOR_ONE_BYTES  # in the log, but not in the file as well
        with pytest.raises(Throttled, match="the disk of the queue is full"):
            await bench.spool.accept(new_job("refused", prompt=PROMPT))
        disk.free_bytes = None
        for number in range(4):
            await bench.spool.accept(new_job(f"job-{number}", prompt=PROMPT))
        await bench.spool.erase_caller("device-7")

        disk.free_bytes = ROOM_FOR_ONE_BYTES
        for number in range(3):
            await bench.spool.accept(new_job(f"again-{number}", prompt=PROMPT))
        await bench.close()


async def test_log_is_emptied_on_a_full_disk_when_something_is_erased(tmp_path: Path) -> None:
    with simulated_disk("full log", everywhere=True) as disk, disk.mounted(tmp_path):
        bench = SpoolBench(tmp_path)
        await bench.open()
        await bench.spool.accept(new_job("job-1", prompt=PROMPT))
        ballast, synced = bench.directory / "ballast", disk.trace.count("sync")

        def full_after_the_commit(_number: int, call: str) -> int:
            is_committed = disk.trace.count("sync") > synced
            return errno.ENOSPC if is_committed and call == "write" and ballast.stat().st_size else 0

        disk.fault = full_after_the_commit
        await bench.spool.erase("device-7", "job-1")

        assert 0 == ballast.stat().st_size
        assert 0 == (bench.directory / "spool.db-wal").stat().st_size
        await bench.close()


async def test_what_finds_no_room_together_finds_it_one_by_one(tmp_path: Path) -> None:
    with simulated_disk("little room", everywhere=True) as disk, disk.mounted(tmp_path):
        bench = SpoolBench(tmp_path)
        await bench.open()
        for number in range(8):
            await bench.spool.accept(new_job(f"job-{number}", prompt=PROMPT))
        attempts = [await bench.spool.begin(f"job-{number}") for number in range(8)]
        refused = 0
        in_a_row = 0

        def room_for_a_small_one(_number: int, call: str) -> int:
            nonlocal refused, in_a_row
            in_a_row = in_a_row + 1 if call == "write" else 0
            if in_a_row <= ROOM_FOR_ONE_WRITES:
                return 0
            refused, in_a_row = refused + 1, 0
            return errno.ENOSPC

        disk.fault = room_for_a_small_one
        done = await asyncio.gather(
            *(bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="answer")) for attempt in attempts if attempt)
        )

        assert [True] * 8 == done
        assert refused >= 2  # with the ballast, and without it
        await bench.close()
