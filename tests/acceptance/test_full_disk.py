"""A disk that is really full: new work is refused until there is room again, and nothing else.

What was accepted is finished, cancelled and erased meanwhile, without a restart and with one.
"""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from acceptance.daemon import Daemon, for_cloud
from harness.volume import Volume

from edgeclient.client import EdgeClient, EdgeError
from edgeclient.simulator import Simulator
from edgeclient.v1 import job_pb2

BALLAST_BYTES = 1024 * 1024
PROMPT = "Is 97 degrees hot? " * 5000


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Volume]:
    folder = tmp_path / "disk"
    folder.mkdir()
    async with Volume(folder, "size=8m") as volume:
        yield volume


def settings(sim: Simulator, disk: Volume) -> dict[str, str]:
    return {
        **for_cloud(sim),
        "upstream.probe_interval_s": "1",
        "spool.directory": str(disk.folder / "queue"),
        "spool.disk_floor_bytes": "0",
        "spool.ballast_bytes": str(BALLAST_BYTES),
        "spool.max_caller_share": "1",
        "spool.resume_spread_s": "0",
    }


async def filled(node: EdgeClient) -> list[str]:
    """Submit until nothing more is taken; returns what was."""
    accepted: list[str] = []
    while True:
        try:
            job = await node.submit(f"{len(accepted)}: {PROMPT}")
        except EdgeError as error:
            assert "QUEUE_FULL" == error.reason  # noqa: PT017  or it is taken
            assert "the disk of the queue is full; nothing was stored" in error.message  # noqa: PT017
            return accepted
        accepted.append(job.id)


async def states(node: EdgeClient) -> dict[str, int]:
    return {job.id: job.state async for job in node.list_jobs()}


async def test_full_disk_stops_new_work_and_nothing_else(sim: Simulator, disk: Volume) -> None:
    await sim.stop()
    async with Daemon(settings(sim, disk), under=disk.inside) as daemon, EdgeClient(daemon.address) as node:
        accepted = await filled(node)
        assert len(accepted) > 10
        disk.fill()
        assert 0 == disk.free_bytes

        cancelled, erased, *others = accepted
        assert job_pb2.JOB_STATE_CANCELLED == (await node.cancel_job(cancelled)).state
        await node.delete_job(erased)
        disk.fill()
        await sim.start()
        for job_id in others:
            assert job_pb2.JOB_STATE_SUCCEEDED == (await node.wait_job(job_id, timeout_s=30)).state
        disk.fill()
        daemon.signal(signal.SIGKILL)
        await daemon.code()

    async with Daemon(settings(sim, disk), under=disk.inside) as daemon, EdgeClient(daemon.address) as node:
        assert {*others, cancelled} <= (await states(node)).keys()
        for job_id in others:
            await node.delete_job(job_id)
        disk.clear()
        for _ in range(3):
            await accepted_again(node)


async def accepted_again(node: EdgeClient) -> None:
    """The queue takes its ballast on again some seconds after there is room for it."""
    while True:
        try:
            await node.submit(PROMPT)
        except EdgeError as error:
            assert "QUEUE_FULL" == error.reason  # noqa: PT017  or it is taken
        else:
            return
