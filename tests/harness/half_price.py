"""The half-price worker on a real queue, with the simulated cloud behind it; it can be cut off at any of its steps."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import builders

from edgeclient.config.cache_schema import CacheConfig
from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.config.row_schema import CallerConfig
from edgeclient.config.schema import UpstreamConfig
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.cache import ResponseCache
from edgeclient.core.call import Call, Handler
from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.events import DefectFound, Event, Uplink
from edgeclient.core.half_price import BatchProvider, FinishAnswer, LineResult, ProviderBatch
from edgeclient.core.jobs import TERMINAL, Job, JobKind, JobState, NewJob
from edgeclient.core.models import ModelSpec
from edgeclient.core.spool import content_digest
from edgeclient.policy.demands import Demands
from edgeclient.policy.half_price_answer import Answers
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.quota import Quota
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.runtime import SystemClock
from edgeclient.simulator import Kind, Simulator
from edgeclient.spool.half_price.purse import Purse
from edgeclient.spool.half_price.roads import Roads
from edgeclient.spool.half_price.worker import HalfPriceWorker
from edgeclient.spool.sealing import PlainVault
from edgeclient.spool.spool import SqliteSpool
from edgeclient.stages.cache import Cache
from edgeclient.upstream.batch.files import FileBatches
from edgeclient.upstream.transport import Transport
from edgeclient.v1 import chat_pb2

CALLER = "device-7"
ECHO = builders.model(id="sim-echo")
FREE = PriceTable(())
GUARD_S = 20.0
T = TypeVar("T")


class FixedKey:
    def current(self) -> str:
        return "sk-test"


@dataclass
class Power:
    """Cuts everything off at one of the steps that it is told of.

    Attributes:
        at: The step, by its name or by its number; None: none.
        blind: So many listings do not show what there is.
        steps: Those that were reached, in order.
    """

    at: str | int | None = None
    blind: int = 0
    steps: list[str] = field(default_factory=list)
    out: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self, name: str) -> None:
        if self.out.is_set():
            await asyncio.Future()
        self.steps.append(name)
        if self.at in (name, len(self.steps)):
            self.out.set()
            await asyncio.Future()


class FragileSpool(SqliteSpool):
    """A queue that the power may leave before or after each operation."""

    power: Power

    async def operate(self, run: Callable[..., T], *, scrubs: bool = False) -> T:
        name = getattr(run.func if isinstance(run, partial) else run, "__name__", "operation")
        await self.power.step(f"before {name}")
        result = await super().operate(run, scrubs=scrubs)
        await self.power.step(f"after {name}")
        return result


class FragileProvider:
    """A way to the provider that the power may leave before or after each request."""

    def __init__(self, inner: FileBatches, power: Power) -> None:
        self.target = inner.target
        self.line = inner.line
        self._inner = inner
        self._power = power

    async def _do(self, name: str, /, *values: Any, **named: Any) -> Any:
        await self._power.step(f"before {name}")
        result = await getattr(self._inner, name)(*values, **named)
        await self._power.step(f"after {name}")
        return result

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        return str(await self._do("upload", name, lines))

    async def create(self, file_id: str, *, name: str, window_h: int) -> ProviderBatch:
        created: ProviderBatch = await self._do("create", file_id, name=name, window_h=window_h)
        return created

    async def named(self, name: str, *, file_id: str) -> list[ProviderBatch]:
        found: list[ProviderBatch] = await self._do("named", name, file_id=file_id)
        if self._power.blind:
            self._power.blind -= 1
            return []
        return found

    async def batch(self, batch_id: str) -> ProviderBatch:
        seen: ProviderBatch = await self._do("batch", batch_id)
        return seen

    async def cancel(self, batch_id: str) -> None:
        await self._do("cancel", batch_id)

    async def delete(self, file_id: str) -> None:
        await self._do("delete", file_id)

    async def results(self, file_id: str, model: ModelSpec) -> AsyncIterator[LineResult]:
        await self._power.step("before results")
        async for result in self._inner.results(file_id, model):
            yield result
            await self._power.step("after a line")


@dataclass(frozen=True)
class Interfaces:
    """As they are wired in a node in the mode `file`."""

    files: BatchProvider
    finish: FinishAnswer
    model_of: Callable[[str], ModelSpec] = lambda _: ECHO
    serves: Callable[[str], str | None] = str
    uplink: Callable[[str], Uplink] = lambda _: Uplink.ONLINE
    chat: Handler | None = None


@dataclass(kw_only=True)
class Desk:
    """A worker that works.

    Attributes:
        spool, roads, worker: What works.
        events: All that was observed.
        quota: The budgets of callers.
        power: What keeps it working.
    """

    spool: SqliteSpool
    roads: Roads
    worker: HalfPriceWorker
    events: list[Event]
    power: Power
    quota: Quota

    async def accept(self, prompt: str, **over: Any) -> str:
        request = builders.chat_request(prompt=prompt, model="sim-echo", priority=chat_pb2.PRIORITY_LOW)
        facts: dict[str, Any] = {
            "id": f"job-{prompt}",
            "caller": CALLER,
            "kind": JobKind.JOB,
            "request": request,
            "digest": content_digest(request),
            "priority": chat_pb2.PRIORITY_LOW,
            "ttl_s": 72 * 3600.0,
            "deferred": True,
        }
        return (await self.roads.accept(NewJob(**(facts | over)))).job.id

    async def job(self, job_id: str, *, content: bool = True) -> Job:
        found = await self.spool.get(CALLER, job_id, content=content)
        assert found is not None
        return found

    async def until(self, job_id: str, *states: JobState) -> Job:
        """The job, once it is in one of these states."""
        changes = self.spool.changes()
        async with asyncio.timeout(GUARD_S):
            while (job := await self.job(job_id)).state not in states:
                await anext(changes)
        return job

    async def ended(self, job_ids: Sequence[str]) -> list[Job]:
        return [await self.until(job_id, *TERMINAL) for job_id in job_ids]

    async def told(self, condition: Callable[[Event], bool]) -> Event:
        async with asyncio.timeout(GUARD_S):
            while True:
                for event in self.events:
                    if condition(event):
                        return event
                await self.heard.wait()
                self.heard.clear()

    heard: asyncio.Event = field(default_factory=asyncio.Event)


def admit(call: Call) -> None:
    if call.request.prompt == "inadmissible":
        raise Rejected(Reason.ERROR_REASON_INVALID_REQUEST, "not any more")
    call.model = ECHO


def settings(**over: Any) -> HalfPriceConfig:
    quick: dict[str, Any] = {
        "mode": "file",
        "models": ["sim-echo"],
        "linger_s": 0.2,
        "poll_s": 0.02,
        "settle_s": 0.3,
        "request_timeout_s": 0.3,
    }
    return HalfPriceConfig(**(quick | over))


@asynccontextmanager
async def desk(
    sim: Simulator,
    folder: Path,
    *,
    power: Power | None = None,
    uplink: Callable[[str], Uplink] = lambda _: Uplink.ONLINE,
    callers: Sequence[CallerConfig] = (),
    prices: PriceTable = FREE,
    cache: ResponseCache | None = None,
    **over: Any,
) -> AsyncIterator[Desk]:
    """At the end everything is cut off as it stands."""
    power = power or Power()
    events: list[Event] = []
    config, clock, rng = settings(**over), SystemClock(), Random(7)
    upstream = UpstreamConfig(base_url=sim.base_url, ca_file=str(sim.ca_file or ""), proxy="none")
    made: list[Desk] = []

    def observe(event: Event) -> None:
        events.append(event)
        for each in made:
            each.heard.set()

    transport = Transport(upstream, FixedKey(), observe=observe, clock=clock, environ={})
    limits = SpoolConfig(directory=str(folder), disk_floor_bytes=0, max_caller_share=1.0, retry_max_s=2.0)
    spool = FragileSpool(limits, vault=PlainVault(), observe=observe)
    spool.power = Power()  # opening is not what is tried here
    roads = Roads(spool)
    await roads.open()
    spool.power = power
    files = FragileProvider(FileBatches(config, transport, target="dashscope/batch"), power)
    finish = Answers(prices, model_of=lambda _: ECHO, target="dashscope/batch")
    quota = Quota(callers=callers, now_s=clock.monotonic_s(), wall_s=clock.wall_s())
    demands = Demands(TokenEstimate(factor=1.0, assumed_output_tokens=20), prices)
    worker = HalfPriceWorker(
        spool,
        roads,
        half_price=Interfaces(files, finish, uplink=uplink),
        config=config,
        spool_config=limits,
        admit=admit,
        purse=Purse(quota, demand=partial(demands.demand, batch=True), clock=clock),
        cache=Cache(cache, CacheConfig(), realm="sim", observe=observe),
        uplink=uplink,
        observe=observe,
        clock=clock,
        rng=rng,
    )
    made.append(Desk(spool=spool, roads=roads, worker=worker, events=events, power=power, quota=quota))
    life = asyncio.create_task(worker.run(), name="half price")
    try:
        yield made[0]
    finally:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life
        await spool.close()
        await transport.close()
    assert not [event for event in events if isinstance(event, DefectFound)]


def bills(sim: Simulator) -> Counter[str]:
    """How often each job was billed, at half price or live."""
    entries = [entry for entry in sim.ledger.entries if entry.prompt_tokens_billed]
    assert {Kind.BATCH_FILE} >= {entry.kind for entry in entries}
    return Counter((entry.custom_id or "").partition(".")[0] for entry in entries)
