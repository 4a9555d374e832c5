"""What becomes of jobs at half price when something goes otherwise than planned: a real queue, a simulated cloud."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from harness.half_price import CALLER, Desk, Power, bills, desk

from edgeclient.cli.job_view import jobs_table
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.events import Event, Uplink
from edgeclient.core.half_price_events import (
    BatchChanged,
    BatchFileKept,
    BatchRefused,
    BatchStuck,
    SentLive,
)
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.core.jobs import Job, JobState
from edgeclient.simulator import Batch, BatchPace, Fault, Kind, Simulator, SimulatorConfig
from edgeclient.spool.job_view import view_of_row
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.sealing import PlainVault

MANUAL = SimulatorConfig(batch_pace=BatchPace(manual=True))


def is_batch(state: str) -> Any:
    return lambda event: isinstance(event, BatchChanged) and event.state == state


async def only_batch(sim: Simulator, node: Desk) -> Batch:
    """The batch that the cloud has, once the node knows it."""
    await node.told(is_batch("submitted"))
    (batch,) = sim.batches.newest_first()
    return batch


def no_checksum(*_: object) -> int:
    return 0


def damage(file: Path) -> None:
    """A counter of the ledger is not what was written any more; every other row is sound."""
    with closing(apsw.Connection(str(file))) as database:
        database.create_scalar_function("crc32", no_checksum, 1, deterministic=True)
        database.execute("UPDATE ledger SET accepted_total = accepted_total + 1").fetchall()


def left_in(folder: Path, text: bytes) -> list[Path]:
    return [file for file in folder.iterdir() if text in file.read_bytes()]


async def released(node: Desk, job_id: str) -> Job:
    """The job, once it waits on the ordinary road."""
    await node.told(lambda event: isinstance(event, SentLive | BatchRefused))
    while job_id not in [job.id for job in await node.roads.ordinary.waiting()]:
        await node.until(job_id, JobState.QUEUED, JobState.RETRY_WAIT)
    return await node.job(job_id)


@pytest.mark.parametrize("kind", ["close", "tcp_reset", "http_504", "hang"])
async def test_lost_answer_to_the_order_leads_to_no_second_batch(tmp_path: Path, kind: str) -> None:
    async with Simulator() as sim, desk(sim, tmp_path) as node:
        sim.faults.add(Fault(kind=kind, path="*/batches", method="POST", executed=True, count=1))
        job = await node.until(await node.accept("a"), JobState.SUCCEEDED)
        assert ({"job-a": 1}, 1) == (bills(sim), len(sim.batches.newest_first()))
    assert job.response is not None
    assert [event for event in node.events if isinstance(event, BatchStuck)]


async def test_late_listing_leads_to_no_second_batch(tmp_path: Path) -> None:
    async with Simulator() as sim, desk(sim, tmp_path, power=Power(blind=3), settle_s=20) as node:
        sim.faults.add(Fault(kind="close", path="*/batches", method="POST", executed=True, count=1))
        await node.until(await node.accept("a"), JobState.SUCCEEDED)
        assert ({"job-a": 1}, 1, 0) == (bills(sim), len(sim.batches.newest_first()), node.power.blind)


async def test_line_that_is_refused_fails_and_one_that_is_throttled_waits_for_another_try(tmp_path: Path) -> None:
    faults = (
        Fault(kind="data_inspection_failed", text="bad", call=Kind.BATCH_FILE),
        Fault(kind="limit_requests", text="later", call=Kind.BATCH_FILE),
    )
    async with Simulator(SimulatorConfig(faults=faults)) as sim, desk(sim, tmp_path) as node:
        bad, later, good = [await node.accept(text) for text in ("bad", "later", "good")]
        assert 1 == (await node.until(good, JobState.SUCCEEDED)).attempt_count
        assert 1 == (await node.until(later, JobState.RETRY_WAIT)).attempt_count
        assert JobState.FAILED is (await node.until(bad, JobState.FAILED)).state
        assert later in [job.id for job in await node.roads.deferred.waiting()]
        assert {"job-good": 1} == bills(sim)


async def test_batch_that_fails_its_check_goes_the_ordinary_road(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim, desk(sim, tmp_path, models=["sim-echo"]) as node:
        job_id = await node.accept("a")
        batch = await only_batch(sim, node)
        batch.content = batch.content.replace(b"sim-echo", b"sim-none")
        await sim.batches.finish(batch)
        job = await released(node, job_id)
    assert (JobState.QUEUED, 0) == (job.state, job.attempt_count)
    assert not bills(sim)


async def test_expired_batch_gives_its_unfinished_jobs_back_without_counting(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim, desk(sim, tmp_path) as node:
        ids = [await node.accept(text) for text in "abc"]
        batch = await only_batch(sim, node)
        await sim.batches.step(batch)
        await sim.batches.step(batch, lines=1)
        sim.batches.expire(batch)
        await node.told(is_batch("cleaning"))
        jobs = [await node.job(job_id) for job_id in ids]
        (done,) = [job for job in jobs if job.state is JobState.SUCCEEDED]
        assert {done.id: 1} == bills(sim)
        assert {0, 1} >= {job.attempt_count for job in jobs if job is not done}


async def test_batch_is_cancelled_when_nobody_wants_any_of_it(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(MANUAL) as sim, desk(sim, tmp_path) as node:
        one, other = await node.accept("one"), await node.accept("other")
        batch = await only_batch(sim, node)
        assert JobState.SUBMITTED is (await node.spool.cancel(CALLER, one)).state  # type: ignore[union-attr]
        await node.spool.erase(CALLER, other)
        await sim.ledger.wait_until(lambda: batch.status.value == "cancelling")
        await sim.batches.finish(batch)
        job = await node.until(one, JobState.CANCELLED)
        assert job.error is not None
        assert not job.error.possibly_billed
    assert not bills(sim)


async def test_batch_goes_on_for_those_who_want_it_and_a_late_answer_counts(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim, desk(sim, tmp_path) as node:
        one, other = await node.accept("one"), await node.accept("other")
        batch = await only_batch(sim, node)
        await node.spool.cancel(CALLER, one)
        await sim.batches.finish(batch)
        states = [(await node.until(job_id, JobState.SUCCEEDED)).state for job_id in (one, other)]
    assert [JobState.SUCCEEDED] * 2 == states


async def test_erased_job_leaves_nothing_here_and_nothing_at_the_provider(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(MANUAL) as sim, desk(sim, tmp_path) as node:
        kept, erased = await node.accept("kept"), await node.accept("a-secret", id="job-x")
        batch = await only_batch(sim, node)
        await node.spool.erase(CALLER, erased)
        await sim.batches.finish(batch)
        await node.until(kept, JobState.SUCCEEDED)
        await sim.ledger.wait_until(lambda: sum(e.method == "DELETE" for e in sim.ledger.entries) == 2)
        assert JobState.ERASED is (await node.job(erased)).state
        assert [] == sim.files.newest_first()
    assert not left_in(tmp_path, b"a-secret")


async def test_file_that_cannot_be_deleted_is_told_and_tried_again(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator() as sim:
        sim.faults.add(Fault(kind="http_502", path="*/files/*", method="DELETE", count=1))
        async with desk(sim, tmp_path) as node:
            await node.until(await node.accept("a"), JobState.SUCCEEDED)
            await node.told(lambda event: isinstance(event, BatchFileKept))
        assert 1 == len(sim.files.newest_first())
        async with desk(sim, tmp_path):
            await sim.ledger.wait_until(lambda: not sim.files.newest_first())


async def test_nothing_is_asked_while_the_uplink_is_offline(tmp_path: Path) -> None:
    state = [Uplink.OFFLINE]
    async with Simulator() as sim, desk(sim, tmp_path, uplink=lambda _: state[0]) as node:
        job_id = await node.accept("a")
        await node.spool.sweep()
        assert [] == list(sim.ledger.entries)
        state[0] = Uplink.ONLINE
        node.worker.uplink_changed(Event())
        await node.until(job_id, JobState.SUCCEEDED)


async def test_batch_is_collected_where_it_was_made_while_new_ones_cannot_be(tmp_path: Path) -> None:
    home = [Uplink.ONLINE]

    def uplink(made: str) -> Uplink:
        return Uplink.ONLINE if made else home[0]

    async with Simulator(MANUAL) as sim, desk(sim, tmp_path, uplink=uplink) as node:
        first = await node.accept("a")
        batch = await only_batch(sim, node)
        home[0] = Uplink.OFFLINE
        second = await node.accept("b")
        await sim.batches.finish(batch)
        await node.until(first, JobState.SUCCEEDED)
        assert [batch] == sim.batches.newest_first()
        assert JobState.QUEUED is (await node.job(second)).state


async def test_batch_waits_for_the_way_to_where_it_was_made(tmp_path: Path) -> None:
    there = [Uplink.ONLINE]

    def uplink(made: str) -> Uplink:
        return there[0] if made else Uplink.ONLINE

    async with Simulator(MANUAL) as sim, desk(sim, tmp_path, uplink=uplink) as node:
        job_id = await node.accept("a")
        batch = await only_batch(sim, node)
        there[0] = Uplink.OFFLINE
        await sim.batches.finish(batch)
        other = await node.accept("b")  # it is ordered, so time enough for a look at the first one has passed
        await node.told(lambda event: isinstance(event, BatchChanged) and event.batch_id not in ("", batch.id))
        assert JobState.SUCCEEDED is not (await node.job(job_id)).state
        there[0] = Uplink.ONLINE
        node.worker.uplink_changed(Event())
        await node.until(job_id, JobState.SUCCEEDED)
        assert JobState.SUCCEEDED is not (await node.job(other)).state


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        ({"ttl_s": 24 * 3600.0}, "ttl"),
        ({"prompt": "x" * 3000}, "size"),
        ({"prompt": "inadmissible"}, "model"),
    ],
)
async def test_job_that_does_not_fit_goes_the_ordinary_road(tmp_path: Path, over: dict[str, Any], cause: str) -> None:
    async with Simulator() as sim, desk(sim, tmp_path, max_line_bytes=2000) as node:
        prompt = over.pop("prompt", "a")
        await node.accept(prompt, id="job-a", **over)
        await released(node, "job-a")
        assert [cause] == [event.cause for event in node.events if isinstance(event, SentLive)]
        assert [] == list(sim.ledger.entries)


async def test_too_few_do_not_wait_for_company_for_ever(tmp_path: Path) -> None:
    async with Simulator() as sim, desk(sim, tmp_path, min_lines=3) as node:
        await node.accept("a")
        await released(node, "job-a")
        assert ["alone"] == [event.cause for event in node.events if isinstance(event, SentLive)]


async def test_limit_of_lines_makes_several_batches(tmp_path: Path) -> None:
    async with Simulator() as sim, desk(sim, tmp_path, max_lines=2, linger_s=0.5) as node:
        ids = await asyncio.gather(*(node.accept(text) for text in "abcde"))
        await node.ended(ids)
        assert 3 == len(sim.batches.newest_first())
        assert dict.fromkeys(ids, 1) == bills(sim)


async def test_operator_sees_which_batch_holds_a_job(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim:
        async with desk(sim, tmp_path) as node:
            await node.accept("a")
            batch = await only_batch(sim, node)
        with OperatorQueue(tmp_path, vault=PlainVault(), config=SpoolConfig(directory=str(tmp_path))) as queue:
            (job,) = queue.jobs()
    assert (JobState.SUBMITTED, batch.id) == (job.state, job.batch_id)
    assert batch.id in jobs_table([view_of_row(job)])


async def test_jobs_whose_batch_is_known_survive_a_damaged_queue(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim:
        async with desk(sim, tmp_path) as node:
            job_id = await node.accept("a")
            batch = await only_batch(sim, node)
        damage(tmp_path / "spool.db")
        await sim.batches.finish(batch)
        async with desk(sim, tmp_path) as again:
            await again.told(lambda event: isinstance(event, SpoolDamaged))
            await again.until(job_id, JobState.SUCCEEDED)
        assert {job_id: 1} == bills(sim)


async def test_job_whose_batch_is_lost_is_uncertain(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim:
        async with desk(sim, tmp_path) as node:
            job_id = await node.accept("a")
            await only_batch(sim, node)
            await node.spool.operate(lambda session: session.connection.execute("DELETE FROM batch").fetchall())
        async with desk(sim, tmp_path) as again:
            job = await again.until(job_id, JobState.UNCERTAIN)
    assert job.error is not None
    assert job.error.possibly_billed


async def test_each_road_tells_of_changes_from_the_call_on_and_only_of_its_own_jobs(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(20),
        Simulator(MANUAL) as sim,
        desk(sim, tmp_path, uplink=lambda _: Uplink.OFFLINE) as node,
    ):
        feeds = [road.changes() for road in (node.roads.ordinary, node.roads.deferred)]
        await node.accept("now", deferred=False)
        await node.accept("later")
        assert ["job-now", "job-later"] == [(await anext(feed)).id for feed in feeds]
        await node.roads.release(["job-later"])
        assert "job-later" == (await anext(feeds[0])).id
        assert ["job-now", "job-later"] == [job.id for job in await node.roads.ordinary.waiting()]
        assert [] == await node.roads.deferred.waiting()
