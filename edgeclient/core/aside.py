"""A thread for what blocks and cannot be interrupted, a resolver or a disk, that nobody waits for at the end.

The executor of the event loop would be waited for when the process ends, as long as a dead DNS server takes.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(function: Callable[[], T], *, name: str) -> T:
    """The result of a function that blocks; it is left alone when nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # of a function that did not raise

    def run() -> None:
        result: T | None = None
        problem: BaseException | None = None
        try:
            result = function()
        except Exception as error:  # noqa: BLE001  it belongs to whoever waits
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
