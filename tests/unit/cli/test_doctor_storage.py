"""The sentences about the disk of the queue."""

from pathlib import Path
from typing import Any

import pytest

from edgeclient.cli.doctor_disk import FolderFacts, FsyncFacts, QueueFacts, filesystem_of
from edgeclient.cli.doctor_storage import judge_folder, judge_fsync, judge_queue, size
from edgeclient.cli.doctor_verdict import Level, Verdict
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.spool.glance import Sizes

MIB = 1024**2
CONFIG = SpoolConfig(directory="/q", max_bytes=100 * MIB, ballast_bytes=4 * MIB, disk_floor_bytes=64 * MIB)


def folder(**over: Any) -> Verdict:
    facts: dict[str, Any] = {
        "directory": "/q",
        "exists": True,
        "filesystem": "ext4",
        "free_bytes": 1024 * MIB,
    }
    return judge_folder(FolderFacts(**(facts | over)), CONFIG)


def test_a_folder_with_room_is_told_with_what_a_full_queue_wants() -> None:
    verdict = folder()

    assert (Level.OK, "/q: 1 GiB free on ext4, a full queue wants 168 MiB") == (verdict.level, verdict.line)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_cannot_be_written_fails_with_what_is_in_the_way(*, exists: bool) -> None:
    verdict = folder(obstacle="/q belongs to root", exists=exists)

    expected = (Level.FAIL, "/q cannot be written", "/q belongs to root")
    assert expected == (verdict.level, verdict.line, verdict.seen)


def test_a_folder_that_will_be_made_is_fine() -> None:
    verdict = folder(exists=False)

    assert Level.OK is verdict.level
    assert "the daemon makes it" in verdict.line


@pytest.mark.parametrize(
    ("free_mib", "level"),
    [(67, Level.FAIL), (68, Level.WARNING), (167, Level.WARNING), (168, Level.OK)],
)
def test_room_is_counted_to_the_byte(free_mib: int, level: Level) -> None:
    assert level is folder(free_bytes=free_mib * MIB).level


def test_what_the_queue_has_already_is_not_wanted_again() -> None:
    has = Sizes(database_bytes=100 * MIB, ballast_bytes=4 * MIB)

    assert Level.OK is folder(free_bytes=64 * MIB, sizes=has).level


@pytest.mark.parametrize(("kind", "word"), [("tmpfs", "memory"), ("overlay", "container"), ("nfs4", "network")])
def test_a_file_system_that_forgets_is_a_warning(kind: str, word: str) -> None:
    verdict = folder(filesystem=kind)

    assert Level.WARNING is verdict.level
    assert word in verdict.means


def test_the_file_system_is_that_of_the_longest_mount_point() -> None:
    mounts = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /var/my\\040queue rw,x shared:1 - xfs /dev/sdb rw\n"
        "3 1 0:9 / /var rw - tmpfs tmpfs rw\n"
        "nonsense\n"
    )

    found = [filesystem_of(Path(path), mounts) for path in ("/var/my queue/q", "/var/lib", "/variant")]
    assert ["xfs", "tmpfs", "ext4"] == found


def test_an_fsync_is_told_as_commits_a_second() -> None:
    verdict = judge_fsync(FsyncFacts(times_s=(0.004,) * 49 + (0.009,)))

    assert Level.OK is verdict.level
    assert "fsync p50 4.0 ms, p99 9.0 ms: about 250 commits/s" in verdict.line


def test_a_disk_that_stops_now_and_then_is_a_warning() -> None:
    verdict = judge_fsync(FsyncFacts(times_s=(0.004,) * 9 + (0.5,)))

    assert Level.WARNING is verdict.level
    assert "SD cards" in verdict.means


def test_a_disk_that_is_too_quick_lies() -> None:
    verdict = judge_fsync(FsyncFacts(times_s=(0.000002,) * 10))

    assert Level.WARNING is verdict.level
    assert "forgets it at a power cut" in verdict.means


@pytest.mark.parametrize(("problem", "seen"), [("No space left", "No space left"), ("", "not one fsync ended")])
def test_a_disk_that_takes_nothing_fails(problem: str, seen: str) -> None:
    verdict = judge_fsync(FsyncFacts(problem=problem))

    assert (Level.FAIL, seen) == (verdict.level, verdict.seen)


def queue(**over: Any) -> Verdict:
    facts: dict[str, Any] = {"holder": "", "is_made": True, "is_encrypted": False, "fit_problem": ""}
    return judge_queue(QueueFacts(**(facts | over)))


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "not encrypted; no daemon has it"),
        ({"holder": "77"}, "not encrypted; in use by a daemon, pid 77, which is as it should be"),
        ({"holder": None}, "not encrypted; who has it may only root see"),
        ({"is_encrypted": True}, "encrypted, and the key fits; no daemon has it"),
        ({"is_made": False}, "no queue yet; no daemon has it"),
        ({"is_made": False, "holder": "77"}, "the queue is new; in use by a daemon, pid 77, which is as it should be"),
    ],
)
def test_a_queue_is_told_with_who_has_it(facts: dict[str, Any], line: str) -> None:
    assert (Level.OK, line) == (queue(**facts).level, queue(**facts).line)


def test_a_node_key_that_cannot_be_used_fails() -> None:
    verdict = queue(key_problem="spool.encryption_key_file: /k is empty")

    assert (Level.FAIL, "spool.encryption_key_file: /k is empty") == (verdict.level, verdict.seen)


def test_a_node_key_of_another_queue_fails() -> None:
    verdict = queue(fit_problem="was made with another node key")

    assert (Level.FAIL, "the queue was made with another node key") == (verdict.level, verdict.seen)


def test_sizes_are_short() -> None:
    assert ["0 bytes", "2 KiB", "1.5 MiB", "73.9 GiB"] == [size(n) for n in (0, 2048, 3 * MIB // 2, 79_350_000_000)]
