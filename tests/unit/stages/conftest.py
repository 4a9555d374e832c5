"""What the tests of the durable stages share: the end of the road under the test's control."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.errors import CallError
from edgeclient.core.events import Uplink
from edgeclient.core.job_feed import JobFeed
from edgeclient.v1 import chat_pb2


class Provider:
    """The rest of the road: gives calls their turn and answers when the test says so, and keeps what was sent.

    Attributes:
        charges: What was sent so far may have been billed; False: all of it was certainly free.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.asked = asyncio.Event()
        self.turn = asyncio.Event()
        self.turn.set()
        self.called = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.errors: list[CallError] = []
        self.cancelled_count = 0
        self.charges = True
        self.pieces: tuple[str, ...] = ()

    async def __call__(self, call: Call) -> Reply:
        self.asked.set()
        await self.turn.wait()
        if call.before_send is not None:
            await call.before_send()
        self.calls.append(call)
        call.attempt_count += 1
        call.maybe_paid = self.charges
        self.called.set()
        try:
            for piece in self.pieces:
                if call.emit is not None:
                    call.committed = True
                    await call.emit(Delta(content=piece))
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled_count += 1
            raise
        if self.errors:
            error = self.errors.pop(0)
            if call.after_free is not None and not error.possibly_billed:
                await call.after_free()
            raise error
        response = chat_pb2.ChatResponse(
            model="qwen-plus",
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
            target="dashscope",
            attempt_count=call.attempt_count,
        )
        response.message.content = f"answer {len(self.calls)}"
        return Reply(response=response, upstream_request_id="req-1")


class Link:
    """The state of the uplink."""

    def __init__(self) -> None:
        self.state = Uplink.ONLINE

    def __call__(self) -> Uplink:
        return self.state


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def cloud() -> Provider:
    """Another one, such as that of the time after a crash."""
    return Provider()


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def spool(clock: FakeClock) -> MemorySpool:
    return MemorySpool(clock=clock)


@pytest.fixture
async def feed(spool: MemorySpool) -> AsyncIterator[JobFeed]:
    feed = JobFeed(spool)
    task = asyncio.create_task(feed.run(), name="feed")
    async with asyncio.timeout(20):
        yield feed
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
