"""A folder that the queue cannot use: the daemon says in one sentence what is wrong and what would be right, and loses
nothing. Would you know what to do at three in the morning?
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from acceptance.daemon import Daemon, for_cloud
from harness.rights import mere_user, need_modes_that_count
from harness.volume import Volume
from spool_bench import SpoolBench, new_job

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Simulator

STRANGER = 12_345
FILES = ("spool.db", "spool.db-wal", "spool.lock", "spool.mark", "ballast")


@pytest.fixture
async def queue(tmp_path: Path) -> SpoolBench:
    """As a daemon that was killed leaves it: what was accepted is in the log."""
    bench = SpoolBench(tmp_path / "queue")
    await bench.open()
    await bench.spool.accept(new_job("accepted"))
    await bench.kill()
    return bench


async def refusal(sim: Simulator, folder: Path, *under: str) -> str:
    """What a daemon says that does not start."""
    settings = {**for_cloud(sim), "spool.directory": str(folder), "spool.disk_floor_bytes": "0"}
    finished = await Daemon(settings, under=under).fails()

    start, sentence, *rest = finished.err.splitlines()
    assert ("Error: the daemon cannot start:", []) == (start, rest)
    assert ExitCode.CONFIG == finished.code
    beginning = f"  1. spool.directory: {folder} cannot be used: "
    assert sentence.startswith(beginning)
    return sentence.removeprefix(beginning)


async def nothing_is_lost(queue: SpoolBench) -> None:
    spool = await queue.open()
    attempt = await spool.begin("accepted")
    await queue.close()
    assert attempt is not None
    assert attempt.job.request is not None
    assert new_job().request == attempt.job.request


@pytest.mark.parametrize(
    ("mode", "what"), [(0o500, "without the right to write"), (0o600, "without the right to enter")]
)
async def test_folder_is_told_by_its_mode(
    sim: Simulator, tmp_path: Path, queue: SpoolBench, mode: int, what: str
) -> None:
    need_modes_that_count(tmp_path)
    queue.directory.chmod(mode)
    told = await refusal(sim, queue.directory, *mere_user())
    queue.directory.chmod(0o700)

    has = f"which belongs to uid {os.geteuid()} and has mode {mode:04o}"
    assert f"edgeclient may not use {queue.directory}, {has}; chmod it to 0700" == told, what
    await nothing_is_lost(queue)


@pytest.mark.parametrize("name", FILES)
async def test_file_is_told_by_its_mode(sim: Simulator, tmp_path: Path, queue: SpoolBench, name: str) -> None:
    need_modes_that_count(tmp_path)
    path = queue.directory / name
    path.chmod(0o400)
    told = await refusal(sim, queue.directory, *mere_user())
    path.chmod(0o600)

    has = f"which belongs to uid {os.geteuid()} and has mode 0400"
    assert f"edgeclient may not use {path}, {has}; chmod it to 0600" == told
    await nothing_is_lost(queue)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
async def test_folder_of_somebody_else_is_told_with_both_ids(sim: Simulator, tmp_path: Path, queue: SpoolBench) -> None:
    need_modes_that_count(tmp_path)
    queue.directory.chmod(0o755)
    os.chown(queue.directory, STRANGER, STRANGER)
    told = await refusal(sim, queue.directory, *mere_user())
    os.chown(queue.directory, 0, 0)

    has = f"which belongs to uid {STRANGER} and has mode 0755"
    assert f"edgeclient, as uid 0, may not use {queue.directory}, {has}; chown it to uid 0" == told
    await nothing_is_lost(queue)


async def test_folder_that_cannot_be_made_is_told_with_its_parent(sim: Simulator, tmp_path: Path) -> None:
    need_modes_that_count(tmp_path)
    told = await refusal(sim, tmp_path / "closed" / "queue", *mere_user())

    uid = os.geteuid()
    has = f"which belongs to uid {uid} and has mode 0500"
    assert f"it cannot be made in {tmp_path / 'closed'}, {has}; make it and chown it to uid {uid}" == told


@pytest.mark.parametrize("name", FILES)
async def test_folder_in_place_of_a_file_is_told(sim: Simulator, queue: SpoolBench, name: str) -> None:
    path = queue.directory / name
    path.rename(queue.directory / "aside")
    path.mkdir()
    told = await refusal(sim, queue.directory)
    path.rmdir()
    (queue.directory / "aside").rename(path)

    assert f"{path} is no file; move it away" == told
    await nothing_is_lost(queue)


async def test_read_only_volume_is_told_and_left_alone(sim: Simulator, tmp_path: Path, queue: SpoolBench) -> None:
    async with volume(tmp_path, "size=8m", queue) as disk:
        await disk.turn_read_only()
        told = await refusal(sim, disk.folder / "queue", *disk.inside)
        left = contents(disk.seen / "queue")

    assert f"{disk.folder / 'queue'} is on a volume that is mounted read-only" == told
    assert contents(queue.directory) == left


async def test_disk_without_inodes_is_told_and_left_alone(sim: Simulator, tmp_path: Path, queue: SpoolBench) -> None:
    await queue.open()
    await queue.close()  # a clean end takes the log with it, so the next start makes one
    async with volume(tmp_path, "size=8m,nr_inodes=20", queue) as disk:
        with suppress(OSError):
            for number in range(20):
                (disk.seen / f"file-{number}").touch()
        told = await refusal(sim, disk.folder / "queue", *disk.inside)
        left = contents(disk.seen / "queue")

    assert told.startswith("its disk has no inode left (")
    assert told.endswith("); delete files there, `df -i` shows how many are left")
    assert contents(queue.directory)["spool.db"] == left["spool.db"]


async def test_disk_too_small_for_a_queue_is_told(sim: Simulator, tmp_path: Path) -> None:
    async with volume(tmp_path, "size=64k") as disk:
        told = await refusal(sim, disk.folder / "queue", *disk.inside)

    assert "its disk is full (database or disk is full); free some space there, `df` shows how much is left" == told


@asynccontextmanager
async def volume(folder: Path, options: str, queue: SpoolBench | None = None) -> AsyncIterator[Volume]:
    """A disk of its own, with a copy of the queue on it."""
    place = folder / "volume"
    place.mkdir()
    async with Volume(place, options) as disk:
        if queue is not None:
            shutil.copytree(queue.directory, disk.seen / "queue")
        yield disk


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
