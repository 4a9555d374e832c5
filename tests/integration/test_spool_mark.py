"""Commits that were acknowledged and are gone are counted, once; and nothing else ever looks like that."""

import os
import random
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from simulated_disk import simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.errors import CallError
from edgeclient.core.job_events import SpoolDamaged, SpoolFellBack
from edgeclient.core.jobs import JobState
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.vault import KeyedVault
from edgeclient.spool.verification import verified
from edgeclient.v1 import chat_pb2

ROUNDS = int(os.environ.get("SPOOL_ROUNDS", "25"))


def told(bench: SpoolBench) -> list[tuple[int, int]]:
    return [(event.commits, event.lost) for event in bench.events if isinstance(event, SpoolFellBack)]


def nothing_is_missing(bench: SpoolBench) -> None:
    stats = bench.spool.stats()
    assert stats.accepted_total == sum(stats.by_state.values()) + stats.purged_total + stats.lost_total


def operated(bench: SpoolBench) -> OperatorQueue:
    return OperatorQueue(bench.directory, vault=bench.vault, config=bench.config)


async def opened(root: Path, *job_ids: str, vault: KeyedVault | None = None) -> SpoolBench:
    bench = SpoolBench(root, vault=vault)
    spool = await bench.open()
    for job_id in job_ids:
        await spool.accept(new_job(job_id))
    return bench


async def crashed(bench: SpoolBench, meanwhile: Callable[[], None]) -> None:
    """`kill -9`, and what happens to the files before the next start."""
    await bench.kill()
    meanwhile()
    await bench.open()


def cut(path: Path, size_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:size_bytes])


async def test_deleted_log_is_told_counted_and_told_only_once(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "kept-1", "kept-2")
    await bench.reopen()
    await bench.spool.accept(new_job("gone-1"))
    await bench.spool.accept(new_job("gone-2"))
    attempt = await bench.spool.begin("kept-1")
    assert attempt is not None
    await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="gone"))
    seq = max(job.seq for job in await bench.spool.list_jobs("device-7", states=[], before_seq=None, limit=9))
    revision = max(job.revision for job in await bench.spool.list_jobs("device-7", states=[], before_seq=None, limit=9))

    await crashed(bench, (bench.directory.parent / "spool-1" / "spool.db-wal").unlink)

    assert [(4, 2)] == told(bench)
    assert (4, 2) == (bench.spool.stats().accepted_total, bench.spool.stats().lost_total)
    nothing_is_missing(bench)
    new = await bench.spool.accept(new_job("after"))
    assert seq < new.job.seq
    assert revision < new.job.revision
    await bench.crash()
    await bench.reopen()
    assert [(4, 2)] == told(bench)
    nothing_is_missing(bench)
    await bench.close()


async def test_torn_log_is_told(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "kept")
    size_bytes = (bench.directory / "spool.db-wal").stat().st_size
    await bench.spool.accept(new_job("torn"))

    await crashed(bench, lambda: cut(bench.directory / "spool.db-wal", size_bytes + 4096))

    assert [(1, 1)] == told(bench)
    assert ["kept"] == [job.id for job in await bench.spool.waiting()]
    nothing_is_missing(bench)
    await bench.close()


async def test_older_copy_put_in_place_is_told_once(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "kept")
    await bench.close()
    shutil.copy(bench.database, tmp_path / "copy")
    bench.renew()
    await bench.open()
    await bench.spool.accept(new_job("gone"))
    await bench.close()

    shutil.copy(tmp_path / "copy", bench.database)
    bench.renew()
    await bench.open()

    assert [1] == [lost for _, lost in told(bench)]
    nothing_is_missing(bench)
    await bench.reopen()
    assert 1 == len(told(bench))
    await bench.close()


async def test_what_is_missing_after_a_fault_is_counted_without_a_restart(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "kept")
    await bench.close()
    shutil.copy(bench.database, tmp_path / "copy")
    bench.renew()
    await bench.open()
    await bench.spool.accept(new_job("gone"))
    await bench.close()
    shutil.copy(tmp_path / "copy", bench.database)

    found = []
    for _ in range(2):
        session = bench.spool._store.open(live=set(), again=True, check=True).session
        found.append((session.missing and session.missing.accepts, session.ledger.lost_total))
        session.close()

    assert [(1, 1), (None, 1)] == found


async def test_whole_folder_put_back_is_what_it_was(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "kept")
    await bench.close()
    shutil.copytree(bench.directory, tmp_path / "copy")
    bench.renew()
    await bench.open()
    await bench.spool.accept(new_job("gone"))
    await bench.close()

    shutil.rmtree(bench.directory)
    shutil.copytree(tmp_path / "copy", bench.directory)
    bench.renew()
    await bench.open()

    assert [] == told(bench)
    await bench.close()


@pytest.mark.parametrize("left", ["older", "torn", "empty", "none", "garbage", "ahead by a flip"])
async def test_mark_that_a_power_cut_left_behind_is_no_alarm(tmp_path: Path, left: str) -> None:
    bench = await opened(tmp_path, "job-1")
    older = (bench.directory / "spool.mark").read_bytes()
    await bench.spool.accept(new_job("job-2"))
    newer = (bench.directory / "spool.mark").read_bytes()
    assert len(older) == len(newer)
    content = {"older": older, "torn": newer[:50], "empty": b"", "garbage": b"\xff" * 256}
    content["ahead by a flip"] = re.sub(rb"^(\S+ \S+ \d+) \d+", rb"\1 7", newer)

    def leave() -> None:
        mark = bench.directory / "spool.mark"
        mark.unlink() if left == "none" else mark.write_bytes(content[left])

    await crashed(bench, leave)

    assert [] == told(bench)
    assert 0 == bench.spool.stats().lost_total
    assert newer < (bench.directory / "spool.mark").read_bytes()  # it goes on: the number of the start is one higher
    await bench.close()


async def test_another_queue_in_the_same_folder_is_not_compared(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "job-1", "job-2", "job-3")
    await bench.close()
    for path in (bench.database, bench.directory / "spool.db-wal"):
        path.unlink(missing_ok=True)

    bench.renew()
    await bench.open()

    assert [] == told(bench)
    assert (0, 0) == (bench.spool.stats().accepted_total, bench.spool.stats().lost_total)
    await bench.spool.accept(new_job("new"))
    await bench.crash()
    assert [] == told(bench)
    await bench.close()


async def test_salvage_is_no_alarm_and_loses_the_mark_for_nobody(tmp_path: Path) -> None:
    bench = await opened(tmp_path, *(f"job-{number}" for number in range(30)))
    await bench.spool.sweep()

    def spoil() -> None:
        data = bytearray(bench.database.read_bytes())
        data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
        bench.database.write_bytes(data)

    await crashed(bench, spoil)

    assert [] == told(bench)
    (event,) = (event for event in bench.events if isinstance(event, SpoolDamaged))
    assert event.lost == bench.spool.stats().lost_total
    nothing_is_missing(bench)
    await bench.close()
    shutil.copy(bench.database, tmp_path / "copy")
    bench.renew()
    await bench.open()
    await bench.spool.accept(new_job("after"))
    await bench.close()
    shutil.copy(tmp_path / "copy", bench.database)
    bench.renew()
    await bench.open()
    assert [1] == [lost for _, lost in told(bench)]
    await bench.close()


async def test_damage_and_a_lost_log_together_count_nobody_twice(tmp_path: Path) -> None:
    bench = await opened(tmp_path, *(f"job-{number}" for number in range(30)))
    await bench.spool.sweep()
    await bench.spool.accept(new_job("in the log"))

    def spoil() -> None:
        (bench.directory / "spool.db-wal").unlink()
        data = bytearray(bench.database.read_bytes())
        data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
        bench.database.write_bytes(data)

    await crashed(bench, spoil)

    assert 31 == bench.spool.stats().accepted_total
    nothing_is_missing(bench)
    await bench.close()


async def test_what_an_operator_does_moves_the_mark_and_is_no_alarm(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "job-1", "job-2", vault=KeyedVault(bytes(32)))
    await bench.close()
    shutil.copy(bench.database, tmp_path / "copy")

    with operated(bench) as queue:
        queue.cancel("job-1")
        queue.rekey(KeyedVault(b"\x01" * 32))
    bench.vault = KeyedVault(b"\x01" * 32)
    bench.renew()
    await bench.open()
    assert [] == told(bench)
    await bench.close()

    with operated(bench) as queue:
        queue.erase("job-2")
        commits = queue.session.ledger.commit_count
    shutil.copy(tmp_path / "copy", bench.database)
    bench.vault = KeyedVault(bytes(32))
    with operated(bench) as queue:
        assert queue.session.ledger.commit_count == commits  # the numbers go on
        assert "commits are missing" in verified(queue.desk).problems[0]


async def test_operator_who_writes_first_counts_what_is_missing(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "job-1")
    await bench.close()
    shutil.copy(bench.database, tmp_path / "copy")
    bench.renew()
    await bench.open()
    await bench.spool.accept(new_job("gone"))
    await bench.close()
    shutil.copy(tmp_path / "copy", bench.database)

    with operated(bench) as queue:
        (problem,) = verified(queue.desk).problems
        assert "and 1 requests with them" in problem
    with operated(bench) as queue:  # to look changes nothing
        assert (1, 1) == (len(verified(queue.desk).problems), queue.stats().lost_total)
        queue.cancel("job-1")
    with operated(bench) as queue:
        assert ([], 1) == (verified(queue.desk).problems, queue.stats().lost_total)
    bench.renew()
    await bench.open()

    assert [] == told(bench)
    nothing_is_missing(bench)
    assert 1 == bench.spool.stats().lost_total
    await bench.close()


async def test_mark_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    bench.directory.mkdir()
    (bench.directory / "spool.mark").symlink_to("/nowhere/mark")
    await bench.open()

    await bench.spool.accept(new_job())
    await bench.reopen()

    assert [] == told(bench)
    assert ["job-1"] == [job.id for job in await bench.spool.waiting()]
    await bench.close()


async def test_mark_is_for_the_owner_and_says_nothing_of_content(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    await bench.spool.accept(
        new_job("secret-id", caller="secret", prompt="secret", label="secret", idempotency_key="s")
    )

    mark = bench.directory / "spool.mark"
    word, queue_id, *numbers, _ = mark.read_text("ascii").split()
    assert "edgeclient-mark-1" == word
    assert 32 == len(queue_id)
    assert all(number.isdigit() for number in numbers)
    assert 0o600 == stat.S_IMODE(mark.stat().st_mode)
    await bench.close()


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
async def test_power_cut_is_told_exactly_if_it_lost_what_was_acknowledged(tmp_path: Path, synchronous: str) -> None:
    """The newest mark is on the disk whatever else is: the worst case. A disk that honours flush is never ahead of."""
    alarms = 0
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        accepted: list[str] = []
        with simulated_disk(f"mark-{synchronous}-{seed}") as disk:
            bench = SpoolBench(tmp_path / str(seed) / "before")
            bench.options = {"vfs": disk.name, "synchronous": synchronous}
            bench.renew()
            await bench.open()
            disk.power_ends_at = disk.calls + rng.randrange(1, 120)
            while disk.has_power:
                try:
                    await bench.spool.accept(new_job(f"job-{len(accepted)}", prompt="x" * rng.randrange(4000)))
                except CallError:
                    break
                accepted.append(f"job-{len(accepted)}")
            await bench.close()
            after = SpoolBench(tmp_path / str(seed) / "after")
            after.directory.parent.mkdir()
            disk.leave(after.directory, rng)
        shutil.copy(bench.directory / "spool.mark", after.directory / "spool.mark")
        await after.open()

        there = {job.id for job in await after.spool.waiting()}
        lost = len({*accepted} - there)
        damaged = [event for event in after.events if isinstance(event, SpoolDamaged)]
        assert lost <= after.spool.stats().lost_total
        if not damaged:
            assert (lost > 0) == (after.spool.stats().lost_total > 0)
            assert bool(told(after)) >= (lost > 0)
        alarms += len(told(after))
        nothing_is_missing(after)
        await after.close()
    assert (alarms > 0) == (synchronous == "NORMAL")


async def test_states_that_fell_back_are_as_they_were(tmp_path: Path) -> None:
    bench = await opened(tmp_path, "job-1")
    await bench.reopen()
    assert await bench.spool.begin("job-1") is not None

    await crashed(bench, (bench.directory.parent / "spool-1" / "spool.db-wal").unlink)

    assert [(1, 0)] == told(bench)
    assert [JobState.QUEUED] == [state for state, count in bench.spool.stats().by_state.items() if count]
    assert 0 == bench.spool.stats().lost_total
    await bench.close()
