"""A batch whose order was cut off and that no listing shows: its jobs are in doubt, and it settles them if it comes."""

import asyncio
from math import inf
from pathlib import Path

import pytest
from harness.half_price import CALLER, Desk, bills, desk

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.events import Event
from edgeclient.core.half_price_events import BatchCameLate, BatchChanged, BatchLinesSettled, BatchMissing, BatchStuck
from edgeclient.core.jobs import JobState, ResendPolicy
from edgeclient.simulator import Batch, BatchPace, Fault, Simulator, SimulatorConfig
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.sealing import PlainVault

HIDDEN = SimulatorConfig(batch_pace=BatchPace(manual=True, listed_s=inf))
LOST = Fault(kind="close", path="*/batches", method="POST", executed=True, count=1)
HOLD, ONCE = ResendPolicy.HOLD, ResendPolicy.RESEND_ONCE


async def missing(node: Desk) -> BatchMissing:
    told = await node.told(lambda event: isinstance(event, BatchMissing))
    assert isinstance(told, BatchMissing)
    return told


async def come_late(node: Desk, batch: Batch) -> BatchCameLate:
    """The listing shows the batch at last, and the node has seen it."""
    batch.listed_at_s = 0.0
    told = await node.told(lambda event: isinstance(event, BatchCameLate))
    assert isinstance(told, BatchCameLate)
    return told


async def second_batch(sim: Simulator, node: Desk) -> tuple[Batch, Batch]:
    """The first batch and the one that was ordered after it, once the node has that one."""
    first = sim.batches.newest_first()[-1]
    await node.told(
        lambda event: isinstance(event, BatchChanged) and event.state == "submitted" and event.batch_id != first.id
    )
    return first, sim.batches.newest_first()[0]


def outcomes(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.outcome, event.count) for event in events if isinstance(event, BatchLinesSettled)]


def open_batches(node: Desk) -> list[tuple[str, int, int]]:
    """What the metrics tell: states that are not empty, with batches and lines."""
    found = node.worker.open_batches().items()
    return [(state, each.batch_count, each.line_count) for state, each in found if each.batch_count]


async def test_open_batches_are_counted_by_state(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path, max_lines=2) as node:
        for text in "abc":
            await node.accept(text)
        assert not open_batches(node)
        await sim.ledger.wait_until(lambda: [("submitted", 2, 3)] == open_batches(node))
        await sim.batches.finish(sim.batches.newest_first()[0])
        await sim.ledger.wait_until(lambda: ("submitted", 1, 2) in open_batches(node))


async def test_held_job_is_in_doubt_until_its_batch_comes_to_light_and_settles_it(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path) as node:
        sim.faults.add(LOST)
        job_id = await node.accept("a")
        doubtful = await node.until(job_id, JobState.UNCERTAIN)
        assert 1 == (await missing(node)).line_count
        assert [("missing", 1, 1)] == open_batches(node)
        (batch,) = sim.batches.newest_first()
        assert doubtful.error is not None
        assert doubtful.error.possibly_billed
        assert doubtful.end_ms
        await sim.batches.finish(batch)
        assert (1, 1) == ((late := await come_late(node, batch)).wanted_count, late.line_count)
        job = await node.until(job_id, JobState.SUCCEEDED)
        assert job.response is not None
        assert ("a", 1) == (job.response.message.content, job.attempt_count)
        assert ({job_id: 1}, 1) == (bills(sim), len(sim.batches.newest_first()))
        assert [("missing", 1), ("succeeded", 1)] == outcomes(node.events)


@pytest.mark.parametrize(("policy", "state", "bill"), [(HOLD, JobState.UNCERTAIN, 0), (ONCE, JobState.SUCCEEDED, 1)])
async def test_order_that_was_never_placed_leaves_the_same_doubt(
    tmp_path: Path, policy: ResendPolicy, state: JobState, bill: int
) -> None:
    async with asyncio.timeout(20), Simulator() as sim, desk(sim, tmp_path) as node:
        sim.faults.add(Fault(kind="hang", path="*/batches", method="POST", executed=False, count=1))
        job_id = await node.accept("a", resend_policy=policy)
        await node.until(job_id, state)
        await missing(node)
        assert bill == bills(sim)[job_id] == len(sim.batches.newest_first())


async def test_line_of_a_late_batch_that_was_not_billed_may_be_sent_again(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path) as node:
        sim.faults.add(LOST)
        job_id = await node.accept("a")
        await node.until(job_id, JobState.UNCERTAIN)
        (batch,) = sim.batches.newest_first()
        await sim.batches.step(batch)
        sim.batches.expire(batch)
        await come_late(node, batch)
        _, second = await second_batch(sim, node)
        await sim.batches.finish(second)
        await node.until(job_id, JobState.SUCCEEDED)
        assert {job_id: 1} == bills(sim)


async def test_job_that_may_be_sent_once_more_is_and_the_late_batch_is_cancelled_and_told(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path) as node:
        sim.faults.add(LOST)
        job_id = await node.accept("a", resend_policy=ONCE)
        waiting = await node.until(job_id, JobState.RETRY_WAIT)
        assert waiting.error is not None
        assert waiting.error.possibly_billed
        first, second = await second_batch(sim, node)
        stats = node.spool.stats()
        assert (1, 1) == (stats.uncertain_total, stats.resent_total)
        assert 0 == (await come_late(node, first)).wanted_count
        await sim.ledger.wait_until(lambda: first.status.value == "cancelling")
        await sim.batches.finish(second)
        await sim.batches.finish(first)
        job = await node.until(job_id, JobState.SUCCEEDED)
        assert ({job_id: 1}, 2) == (bills(sim), job.attempt_count)
        assert [("resent", 1), ("succeeded", 1)] == outcomes(node.events)


async def test_late_batch_answers_those_who_wait_for_it_and_no_others(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path) as node:
        sim.faults.add(LOST)
        held, resent = await node.accept("held"), await node.accept("resent", resend_policy=ONCE)
        await missing(node)
        first, second = await second_batch(sim, node)
        await sim.batches.finish(first)
        await sim.batches.finish(second)
        assert (1, 2) == ((late := await come_late(node, first)).wanted_count, late.line_count)
        jobs = await node.ended([held, resent])
        assert ["held", "resent"] == [job.response.message.content for job in jobs if job.response is not None]
        assert {held: 1, resent: 2} == bills(sim)


async def test_cancelled_job_ends_when_its_batch_is_missing(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path, settle_s=1.0) as node:
        sim.faults.add(LOST)
        job_id = await node.accept("a", resend_policy=ONCE)
        await node.until(job_id, JobState.SUBMITTED)
        await node.spool.cancel(CALLER, job_id)
        job = await node.until(job_id, JobState.CANCELLED)
        assert job.error is not None
        assert job.error.possibly_billed
        await missing(node)
        (batch,) = sim.batches.newest_first()
        assert 0 == (await come_late(node, batch)).wanted_count
        await sim.ledger.wait_until(lambda: batch.status.value == "cancelling")


async def test_job_that_an_operator_sends_again_is_answered_by_its_new_batch_alone(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim:
        sim.faults.add(LOST)
        async with desk(sim, tmp_path) as node:
            job_id = await node.accept("a")
            await node.until(job_id, JobState.UNCERTAIN)
            await missing(node)
        with OperatorQueue(tmp_path, vault=PlainVault(), config=SpoolConfig(directory=str(tmp_path))) as queue:
            assert queue.retry(job_id)
        async with desk(sim, tmp_path) as again:
            first, second = await second_batch(sim, again)
            assert 0 == (await come_late(again, first)).wanted_count
            await sim.ledger.wait_until(lambda: first.status.value == "cancelling")
            await sim.batches.finish(first)
            await sim.batches.finish(second)
            await again.until(job_id, JobState.SUCCEEDED)
        assert {job_id: 1} == bills(sim)


async def long_ago(node: Desk) -> None:
    """Everything at the provider is older than a batch can become."""
    older = "UPDATE batch SET since_due = since_due - 1000 * 3600 * 100"
    await node.spool.operate(lambda session: session.connection.execute(older).fetchall())


@pytest.mark.parametrize("fault", [None, Fault(kind="http_502", path="*/batches", method="GET")])
async def test_batch_that_never_comes_is_given_up_with_its_file(tmp_path: Path, fault: Fault | None) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim:
        sim.faults.add(LOST)
        async with desk(sim, tmp_path) as node:
            job_id = await node.accept("a")
            await missing(node)
            await long_ago(node)
        if fault is not None:
            sim.faults.add(fault)
        async with desk(sim, tmp_path) as again:
            await sim.ledger.wait_until(lambda: not sim.files.newest_first())
            assert JobState.UNCERTAIN is (await again.job(job_id)).state
            assert [("unknown", 1)] == outcomes(again.events)


async def test_jobs_do_not_wait_for_ever_for_a_listing_that_fails(tmp_path: Path) -> None:
    async with asyncio.timeout(20), Simulator(HIDDEN) as sim, desk(sim, tmp_path) as node:
        sim.faults.add(LOST)
        sim.faults.add(Fault(kind="http_502", path="*/batches", method="GET"))
        job_id = await node.accept("a")
        await node.told(lambda event: isinstance(event, BatchStuck) and "502" in event.problem)
        assert JobState.SUBMITTED is (await node.job(job_id)).state
        await long_ago(node)
        await node.until(job_id, JobState.UNCERTAIN)
