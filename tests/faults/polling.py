"""Waiting for what tells nobody that it has changed: tables of the kernel, pages of another process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

GUARD_S: Final = 90.0
_EVERY_S: Final = 0.05


async def until(holds: Callable[[], Awaitable[bool]], *, guard_s: float = GUARD_S) -> float:
    """Look until it holds; how long that took.

    Raises:
        TimeoutError: It does not.
    """
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    async with asyncio.timeout(guard_s):
        while True:
            if await holds():
                return loop.time() - begun_s
            await asyncio.sleep(_EVERY_S)
