"""A drainer with all that it needs, in the hand of a test: the provider, the clock, the uplink and the queue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import builders
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.companion import companion
from edgeclient.core.events import Event, Uplink, UplinkChanged
from edgeclient.core.jobs import Accepted, Job, JobKind, JobState, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.spool.drainer import Drainer
from edgeclient.v1 import chat_pb2

CALLER = "device-7"
E = TypeVar("E", bound=Event)


class Provider:
    """Answers what a test puts into its hand: each call waits in `open` until it is answered, or follows the script."""

    def __init__(self) -> None:
        self.script: list[Exception | None] = []
        self.holds = False
        self.calls: list[Call] = []
        self.open: dict[str, asyncio.Future[None]] = {}
        self.widest = 0

    async def __call__(self, call: Call) -> Reply:
        await begins(call)
        call.attempt_count += 1
        self.calls.append(call)
        if self.script:
            failure = self.script.pop(0)
            if failure is not None:
                raise failure
        elif self.holds:
            self.open[call.id] = asyncio.get_running_loop().create_future()
            self.widest = max(self.widest, len(self.open))
            try:
                await self.open[call.id]
            except asyncio.CancelledError:
                call.upstream_s += 0.5  # it had left
                raise
            finally:
                self.open.pop(call.id, None)
        return Reply(response=chat_pb2.ChatResponse(message=chat_pb2.Message(content=f"to {call.request.prompt}")))

    @property
    def asked(self) -> list[str]:
        return [call.id for call in self.calls]

    def answer(self, job_id: str) -> None:
        self.open.pop(job_id).set_result(None)

    def fail(self, job_id: str, error: Exception) -> None:
        self.open.pop(job_id).set_exception(error)


@dataclass
class Bench:
    """A drainer with all that it needs, in the hand of a test."""

    config: SpoolConfig = field(default_factory=lambda: SpoolConfig(resume_spread_s=0.0))
    clock: FakeClock = field(default_factory=FakeClock)
    provider: Provider = field(default_factory=Provider)
    events: list[Event] = field(default_factory=list)
    uplink: Uplink = Uplink.ONLINE
    rebooted: bool = True
    admit: Callable[[Call], None] = lambda _: None

    def __post_init__(self) -> None:
        self.spool = MemorySpool(clock=self.clock)
        self.drainer = self.started()

    def started(self) -> Drainer:
        return Drainer(
            self.spool,
            send=self.provider,
            admit=self.admit,
            uplink=lambda: self.uplink,
            rebooted=lambda: self.rebooted,
            config=self.config,
            observe=self.events.append,
            clock=self.clock,
            rng=Random(1),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with companion(self.drainer.run(), name="drainer"):
            yield

    async def accept(self, job_id: str = "job-1", **over: Any) -> Job:
        return (await self.accepted(job_id, **over)).job

    async def accepted(self, job_id: str = "job-1", **over: Any) -> Accepted:
        request = over.pop("request", None) or builders.chat_request(prompt=job_id)
        facts: dict[str, Any] = {
            "id": job_id,
            "caller": CALLER,
            "kind": JobKind.JOB,
            "request": request,
            "digest": content_digest(request),
        }
        return await self.spool.accept(NewJob(**(facts | over)))

    def job(self, job_id: str = "job-1") -> Job:
        return self.spool._rows[job_id].job

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def reaches(self, state: JobState, job_id: str = "job-1") -> Job:
        await until(lambda: self.job(job_id).state is state and job_id not in self.drainer._running)
        return self.job(job_id)

    def goes(self, after: Uplink) -> None:
        before, self.uplink = self.uplink, after
        self.drainer.uplink_changed(UplinkChanged(target="dashscope", before=before, after=after, cause="test"))


async def begins(call: Call) -> None:
    """It is the turn of an attempt, as whoever sends jobs says."""
    assert call.before_send is not None
    await call.before_send()


async def until(is_so: Callable[[], object]) -> None:
    """Let the others work until it is so; no time passes."""
    for _ in range(2000):
        if is_so():
            return
        await _others()
    raise AssertionError("it did not come to that")


async def quiet() -> None:
    """Let the others work until there is nothing left to do; no time passes."""
    for _ in range(100):
        await _others()


async def _others() -> None:
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn
