"""A companion has the life of its block, no more and no less."""

import asyncio

import pytest

from edgeclient.core.companion import companion


async def test_companion_is_cancelled_at_the_end_of_the_block() -> None:
    started = asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with companion(work(), name="work"):
        await started.wait()

    assert ended == ["cancelled"]


async def test_error_of_the_block_leaves_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with companion(asyncio.Event().wait(), name="work"):  # type: ignore[arg-type]  # the result does not matter
            raise KeyError


async def test_error_of_the_companion_is_not_lost() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        async with companion(work(), name="work"):
            await failed.wait()


async def test_cancelling_the_owner_cancels_the_companion() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def owner() -> None:
        async with companion(work(), name="work"):
            await asyncio.Event().wait()

    task = asyncio.create_task(owner())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
