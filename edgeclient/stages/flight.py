"""One call that several callers may wait for: an idempotency key in use.

The work runs in a task of its own, so that it depends on nobody in particular: as long as somebody waits, it goes on,
whoever began it. It never outlives its last waiter: that one cancels it on leaving and waits for its end. While the
work writes its record it is not cancelled but marked, because a record that was begun and not finished would have to be
taken for an attempt whose outcome is not known.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from edgeclient.core.call import Delta, Emit, Reply


class Flight:
    """Work for one key and those who wait for it.

    Args:
        digest: Hash of the content that the key stands for.
        emit: Takes the pieces for the caller that began it; None for a unary call.

    Attributes:
        digest: As given.
        abandoned: Nobody waits any more; whoever comes now waits for the end and begins anew.
    """

    __slots__ = ("_cancellable", "_emit", "_emit_error", "_task", "_waiting_count", "abandoned", "digest")

    def __init__(self, *, digest: bytes, emit: Emit | None) -> None:
        self.digest = digest
        self.abandoned = False
        self._emit = emit
        self._emit_error: Exception | None = None
        self._cancellable = False
        self._waiting_count = 0
        self._task: asyncio.Task[Reply] | None = None

    def begin(self, work: Coroutine[Any, Any, Reply], *, name: str, over: Callable[[], object]) -> None:
        """Start the work; `over` is called when it has ended."""

        def ended(task: asyncio.Task[Reply]) -> None:
            over()
            if not task.cancelled():
                task.exception()  # who waited has it; if nobody did, it has been recorded

        self._task = asyncio.create_task(work, name=name)
        self._task.add_done_callback(ended)

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """In this block the work may be cancelled, because nobody waits any more."""
        if self.abandoned:
            raise asyncio.CancelledError
        self._cancellable = True
        try:
            yield
        finally:
            self._cancellable = False

    @property
    def emit(self) -> Emit | None:
        """What the work hands its pieces to."""
        return self._hand_on if self._emit is not None else None

    async def lead(self) -> Reply:
        """Wait as the caller that began it, who got the pieces as well."""
        try:
            reply = await self._wait(None)
        except asyncio.CancelledError:
            self._emit = None
            raise
        if self._emit_error is not None:
            raise self._emit_error
        return reply

    async def follow(self, *, limit_s: float | None) -> Reply:
        """Wait as somebody else.

        Raises:
            TimeoutError: It is not over after `limit_s`.
        """
        return await self._wait(limit_s)

    async def over(self) -> None:
        """Return when it has ended, in whatever way, without an interest in it."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _wait(self, limit_s: float | None) -> Reply:
        task = self._task
        if task is None:
            raise RuntimeError("a flight is waited for once it has begun")
        self._waiting_count += 1
        try:
            done, _ = await asyncio.wait([task], timeout=limit_s)
        finally:
            self._waiting_count -= 1
            if not self._waiting_count and not task.done():
                await self._abandon(task)
        if not done:
            raise TimeoutError
        return task.result()

    async def _abandon(self, task: asyncio.Task[Reply]) -> None:
        self.abandoned = True
        if self._cancellable:
            task.cancel()
        await asyncio.wait([task])

    async def _hand_on(self, delta: Delta) -> None:
        """Give a piece to the caller that began it, while it is there. Its broken connection is not the others'."""
        if self._emit is None:
            return
        try:
            await self._emit(delta)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._emit = None  # the wire's way to say that the caller has left
        except Exception as error:
            self._emit, self._emit_error = None, error
            if self._waiting_count <= 1:
                raise
