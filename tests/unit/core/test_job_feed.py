"""Nobody who waits for a job misses its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import builders
import pytest
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.core.errors import Stopping
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.jobs import JobKind, JobState, NewJob
from edgeclient.core.spool import content_digest


@pytest.fixture
async def spool() -> MemorySpool:
    spool = MemorySpool(clock=FakeClock())
    request = builders.chat_request()
    digest = content_digest(request)
    for job_id in ("a", "b"):
        await spool.accept(NewJob(id=job_id, caller="c", kind=JobKind.JOB, request=request, digest=digest))
    return spool


@pytest.fixture
async def feed(spool: MemorySpool) -> AsyncIterator[JobFeed]:
    feed = JobFeed(spool)
    task = asyncio.create_task(feed.run(), name="feed")
    async with asyncio.timeout(20):
        yield feed
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_all_who_wait_learn_of_the_end(spool: MemorySpool, feed: JobFeed) -> None:
    waiting = [asyncio.create_task(feed.ended("c", "a"), name=f"wait {number}") for number in range(3)]
    await asyncio.sleep(0)
    await spool.cancel("c", "a")

    ended = await asyncio.gather(*waiting)

    assert [JobState.CANCELLED] * 3 == [job.state for job in ended if job is not None]


async def test_job_that_has_ended_or_is_not_there_is_told_at_once(spool: MemorySpool, feed: JobFeed) -> None:
    await spool.cancel("c", "a")

    assert await feed.ended("c", "a") is not None
    assert await feed.ended("c", "unknown") is None
    assert await feed.ended("another caller", "a") is None


async def test_change_between_look_and_sleep_is_not_missed(spool: MemorySpool, feed: JobFeed) -> None:
    with feed.watch("c", ["a"]) as watch:
        await spool.cancel("c", "a")
        await watch.changed()


async def test_change_of_another_job_wakes_nobody(spool: MemorySpool, feed: JobFeed) -> None:
    with feed.watch("c", ["a"]) as one, feed.watch("c") as every:
        await asyncio.sleep(0)
        await spool.cancel("c", "b")
        await every.changed()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await one.changed()


async def test_who_comes_after_the_stop_does_not_wait(feed: JobFeed) -> None:
    feed.stop()

    with pytest.raises(Stopping):
        await feed.ended("c", "a")
