"""A task that accompanies a block of code: it has an owner and a name, and it ends with its owner.

For work that must go on *while* something else is awaited and has no result of its own. A TaskGroup would wrap the
error of the block in an ExceptionGroup; here it leaves as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def companion(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run `work` beside the block and cancel it at the end of the block.

    Raises:
        Exception: What `work` failed with, if the block itself did not fail.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    except BaseException:
        await _end(task)
        raise
    await _end(task)
    if not task.cancelled() and (failure := task.exception()) is not None:
        raise failure


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
