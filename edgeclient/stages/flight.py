"""One call that several callers may wait for: an idempotency key in use.

The work runs in a task of its own, so that it depends on nobody in particular: as long as somebody waits, it goes on,
whoever began it. It never outlives its last waiter: that one cancels it on leaving and waits for its end. While the
work writes its record it is not cancelled but marked, because a record that was begun and not finished would have to be
taken for an attempt whose outcome is not known.

So the work has a call of its own, made of the one that began it. Its time is over when that of the last one to wait is:
whoever joins puts its deadline off, and who began it may leave before its end, like everybody else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.deadline import Deadline


class Flight:
    """Work for one key and those who wait for it.

    Args:
        digest: Hash of the content that the key stands for.
        call: The call that begins it.

    Attributes:
        digest: As given.
        call: What the work answers.
        abandoned: Nobody waits any more; whoever comes now waits for the end and begins anew.
    """

    __slots__ = (
        "_cancellable",
        "_emit",
        "_emit_error",
        "_leader",
        "_task",
        "_waiting_count",
        "abandoned",
        "call",
        "digest",
    )

    def __init__(self, *, digest: bytes, call: Call) -> None:
        self.digest = digest
        self.call = replace(call, emit=self._hand_on if call.emit is not None else None, joinable=True)
        self.abandoned = False
        self._leader = call
        self._emit = call.emit
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

    async def lead(self, *, now_s: float) -> Reply | None:
        """Wait as the caller that began it, who gets the pieces as well; None: its time is over, others go on."""
        task = self._begun
        try:
            done = await self._wait(task, self._leader.deadline, now_s=now_s, leads=True)
        finally:
            self._emit = None
            self._tell_leader()
        if not done:
            return None
        if self._emit_error is not None:
            raise self._emit_error
        return task.result()

    async def follow(self, deadline: Deadline, *, now_s: float) -> Reply | None:
        """Wait as somebody else; None: it is not over by then."""
        return self._begun.result() if await self.attend(deadline, now_s=now_s) else None

    async def attend(self, deadline: Deadline, *, now_s: float) -> bool:
        """Return when it has ended, True, or at the deadline; until just before, it has the time to.

        Args:
            deadline: When whoever asks stops to wait. The notice is for being told what became of the work.
            now_s: The present time.
        """
        self.put_off(deadline.just_before(now_s))
        return await self._wait(self._begun, deadline, now_s=now_s)

    def put_off(self, deadline: Deadline) -> None:
        """Somebody waits until then."""
        self.call.deadline = max(self.call.deadline, deadline)

    @asynccontextmanager
    async def waited_for(self) -> AsyncIterator[asyncio.Task[Reply]]:
        """Somebody waits for the work in this block; the last one to leave before its end cancels it."""
        task = self._begun
        self._waiting_count += 1
        try:
            yield task
        finally:
            self._waiting_count -= 1
            if not self._waiting_count and not task.done():
                await self._abandon(task)

    async def over(self) -> None:
        """Return when it has ended, in whatever way, without an interest in it."""
        if self._task is not None:
            await asyncio.wait([self._task])

    @property
    def answered(self) -> bool:
        """It has ended with an answer."""
        task = self._task
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    @property
    def _begun(self) -> asyncio.Task[Reply]:
        if self._task is None:
            raise RuntimeError("a flight is waited for once it has begun")
        return self._task

    async def _wait(self, task: asyncio.Task[Reply], deadline: Deadline, *, now_s: float, leads: bool = False) -> bool:
        """Wait for the end, at most until the deadline; whether it has come."""
        async with self.waited_for():
            done, _ = await asyncio.wait([task], timeout=deadline.remaining_s(now_s))
            if not done and leads and self.call.deadline <= deadline:
                done, _ = await asyncio.wait([task])  # nobody has put the deadline off, so it ends now and says why
            return bool(done)

    async def _abandon(self, task: asyncio.Task[Reply]) -> None:
        self.abandoned = True
        if self._cancellable:
            task.cancel()
        await asyncio.wait([task])

    async def _hand_on(self, delta: Delta) -> None:
        """Give a piece to the caller that began it, while it is there. Its broken connection is not the others'."""
        if self._emit is None:
            return
        self._tell_leader()
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

    def _tell_leader(self) -> None:
        """What is known of the work is what its beginner is told and what is reported of it."""
        work, leader = self.call, self._leader
        leader.committed, leader.source, leader.shared = work.committed, work.source, work.shared
        leader.model, leader.target, leader.attempt_count = work.model, work.target, work.attempt_count
        leader.served_as = work.served_as
        leader.upstream_s, leader.first_piece_at_s = work.upstream_s, work.first_piece_at_s
