"""What the files of a dead node tell is read right."""

from pathlib import Path

import pytest
from proof.remains import Remains, remains
from spool_bench import SpoolBench, new_job

from edgeclient.core.jobs import JobKind

PAGE_BYTES, FRAME_BYTES, HEADER_BYTES = 4096, 24 + 4096, 32


async def _left(root: Path) -> Path:
    """A queue with one job under way, one that waits and one live call, as a kill leaves it."""
    bench = SpoolBench(root)
    spool = await bench.open()
    await spool.accept(new_job("job-1", idempotency_key="k1"))
    await spool.accept(new_job("job-2", idempotency_key="k2"))
    await spool.accept(new_job("call-3", kind=JobKind.CALL, idempotency_key="k3"))
    await spool.begin("job-1")
    left = root / "left"
    left.mkdir()
    for file in bench.directory.iterdir():
        (left / file.name).write_bytes(file.read_bytes())
    await bench.close()
    return left


async def test_attempts_and_keys_are_found(tmp_path: Path) -> None:
    found = remains(await _left(tmp_path), keys=["k1", "k2", "k9"])

    assert (1, False, frozenset({"k1", "k2"})) == (found.epoch, found.torn, found.stored)
    assert [("k1", 1, True), ("k3", 1, False)] == sorted((each.key, each.epoch, each.is_job) for each in found.sending)
    assert all(each.id for each in found.sending)


async def test_looking_changes_nothing(tmp_path: Path) -> None:
    left = await _left(tmp_path)
    before = {file.name: file.read_bytes() for file in left.iterdir()}

    remains(left)

    assert before == {file.name: file.read_bytes() for file in left.iterdir()}


@pytest.mark.parametrize("cut_bytes", [1, PAGE_BYTES, FRAME_BYTES])
async def test_a_log_that_ends_within_a_transaction_is_torn(tmp_path: Path, cut_bytes: int) -> None:
    left = await _left(tmp_path)
    log = left / "spool.db-wal"
    data = log.read_bytes()
    assert len(data) > HEADER_BYTES + 2 * FRAME_BYTES

    log.write_bytes(data[:-cut_bytes])

    assert remains(left).torn


async def test_frames_of_an_earlier_log_are_no_torn_transaction(tmp_path: Path) -> None:
    left = await _left(tmp_path)
    log = left / "spool.db-wal"
    old = bytearray(log.read_bytes()[-FRAME_BYTES:])
    old[4:8] = bytes(4)  # no commit
    old[8:16] = b"old salt"

    log.write_bytes(log.read_bytes() + old)

    assert not remains(left).torn


def test_a_node_that_was_killed_before_it_had_files_leaves_nothing(tmp_path: Path) -> None:
    assert Remains() == remains(tmp_path)


def test_a_file_without_tables_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "spool.db").touch()

    assert Remains() == remains(tmp_path)
