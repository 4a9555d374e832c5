"""Jobs in the line of the dispatcher when the process dies: on the disk they wait, so each is sent once."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import builders
import pytest
from spool_bench import SpoolBench, new_job

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.core.call import Call, Reply, road
from edgeclient.core.companion import companion
from edgeclient.core.dispatch_events import CallTurnedAway
from edgeclient.core.events import Event, Uplink
from edgeclient.core.job_events import JobFinished
from edgeclient.core.jobs import Job, JobState, ResendPolicy
from edgeclient.policy.quota import Demand, Quota, Spent
from edgeclient.runtime import SystemClock
from edgeclient.spool.drainer import Drainer
from edgeclient.spool.sealing import PlainVault, vault_of
from edgeclient.spool.spool import SqliteSpool
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.v1 import chat_pb2

SERVED = 4
WAITING = 4  # more than that do not stand in the line
LIMITED = (LimitConfig(model="*", requests_per_minute=SERVED, requests_per_second=SERVED),)
CALLER = "device-7"


class Cloud:
    """Bills what arrives, and answers it."""

    def __init__(self) -> None:
        self.billed: Counter[str] = Counter()

    async def __call__(self, call: Call) -> Reply:
        call.attempt_count += 1
        self.billed[call.id] += 1
        return Reply(response=chat_pb2.ChatResponse(message=chat_pb2.Message(content=call.request.prompt)))


class Seen:
    """How often something was, and a wait for that."""

    def __init__(self) -> None:
        self._count = 0
        self._more = asyncio.Event()

    def again(self) -> None:
        self._count += 1
        self._more.set()

    async def times(self, count: int) -> None:
        while self._count < count:
            self._more.clear()
            await self._more.wait()


class Life:
    """The drainer and the line of one process, on its queue."""

    def __init__(
        self, spool: SqliteSpool, bench: SpoolBench, cloud: Cloud, rows: tuple[LimitConfig | CallerConfig, ...] = ()
    ) -> None:
        self.came, self.left, self.ended = Seen(), Seen(), Seen()
        clock = SystemClock()
        quota = Quota(
            limits=[row for row in rows if isinstance(row, LimitConfig)],
            callers=[row for row in rows if isinstance(row, CallerConfig)],
            now_s=clock.monotonic_s(),
            wall_s=clock.wall_s(),
        )
        self.dispatch = Dispatch(
            DispatchConfig(),
            target="dashscope",
            max_in_flight=100,
            reservations=Reservations(quota, demand=_demand, spent=_spent),
            observe=self._observe,
            clock=clock,
        )
        self._send = road(self.dispatch, to=cloud)
        self.drainer = Drainer(
            spool,
            send=self._sent,
            admit=_admit,
            uplink=lambda: Uplink.ONLINE,
            rebooted=lambda: False,
            places=self.dispatch.room_for_jobs,
            config=bench.config,
            observe=self._observe,
            clock=clock,
            rng=Random(1),
        )

    async def _sent(self, call: Call) -> Reply:
        self.came.again()
        return await self._send(call)

    def _observe(self, event: Event) -> None:
        if isinstance(event, JobFinished):
            self.ended.again()
        if isinstance(event, CallTurnedAway):
            self.left.again()

    @asynccontextmanager
    async def lived(self) -> AsyncIterator[None]:
        async with companion(self.drainer.run(), name="drainer"), asyncio.timeout(30):
            yield


def _admit(call: Call) -> None:
    call.model = builders.model()


def _demand(call: Call) -> Demand:
    return Demand(model="qwen-plus", caller=call.caller, tokens=10, cost_nanos=0)


def _spent(_call: Call, _reply: Reply) -> Spent:
    return Spent(tokens=10, cost_nanos=0)


async def accept(
    bench: SpoolBench, count: int, policy: ResendPolicy = ResendPolicy.HOLD, *, caller: str = CALLER
) -> list[str]:
    """More jobs."""
    ids = [f"job-{bench.spool.stats().accepted_total + place}" for place in range(count)]
    for job_id in ids:
        await bench.spool.accept(new_job(job_id, resend_policy=policy, caller=caller))
    return ids


async def jobs(spool: SqliteSpool, ids: list[str]) -> list[Job]:
    """What has become of them."""
    found = [await spool.get(CALLER, job_id) for job_id in ids]
    return [job for job in found if job is not None]


@pytest.mark.parametrize("policy", list(ResendPolicy))
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_jobs_in_the_line_at_a_crash_wait_and_are_sent_once(
    tmp_path: Path, policy: ResendPolicy, *, encrypted: bool
) -> None:
    key_file = tmp_path / "node.key"
    key_file.touch(mode=0o600)
    key_file.write_text(os.urandom(32).hex())
    vault = vault_of(str(key_file)) if encrypted else PlainVault()
    bench, cloud = SpoolBench(tmp_path, vault=vault, resume_spread_s=0.0), Cloud()
    life = Life(await bench.open(), bench, cloud, LIMITED)
    async with life.lived():
        served = await accept(bench, SERVED, policy)
        await life.ended.times(SERVED)
        waiting = await accept(bench, 2 * WAITING, policy)
        await life.came.times(SERVED + WAITING)
        await bench.kill()
    assert set(served) == set(cloud.billed)

    spool = await bench.open()
    assert {(JobState.QUEUED, 0)} == {(job.state, job.attempt_count) for job in await jobs(spool, waiting)}
    assert (0, 0) == (spool.stats().uncertain_total, spool.stats().resent_total)

    life = Life(spool, bench, cloud)
    async with life.lived():
        await life.ended.times(len(waiting))
    assert dict.fromkeys(served + waiting, 1) == cloud.billed
    assert {(JobState.SUCCEEDED, 1)} == {(job.state, job.attempt_count) for job in await jobs(spool, waiting)}
    await bench.close()


async def test_jobs_in_the_line_are_cancelled_at_once_and_for_free(tmp_path: Path) -> None:
    bench, cloud = SpoolBench(tmp_path, resume_spread_s=0.0), Cloud()
    spool = await bench.open()
    life = Life(spool, bench, cloud, LIMITED)
    async with life.lived():
        await accept(bench, SERVED)
        await life.ended.times(SERVED)
        waiting = await accept(bench, WAITING)
        await life.came.times(SERVED + WAITING)
        for job_id in waiting:
            await spool.cancel(CALLER, job_id)
        await life.left.times(WAITING)
        await life.ended.times(SERVED + WAITING)

    assert {JobState.CANCELLED} == {job.state for job in await jobs(spool, waiting)}
    assert {False} == {job.error.possibly_billed for job in await jobs(spool, waiting) if job.error is not None}
    assert SERVED == len(cloud.billed)
    await bench.close()


async def test_node_that_stops_leaves_the_line_at_once_and_the_jobs_as_they_were(tmp_path: Path) -> None:
    bench, cloud = SpoolBench(tmp_path, resume_spread_s=0.0), Cloud()
    spool = await bench.open()
    life = Life(spool, bench, cloud, LIMITED)
    async with life.lived():
        await accept(bench, SERVED)
        await life.ended.times(SERVED)
        waiting = await accept(bench, WAITING)
        await life.came.times(SERVED + WAITING)
        life.dispatch.stop()
        life.drainer.stop()
        assert await life.drainer.drained(5.0)

    assert {(JobState.QUEUED, 0)} == {(job.state, job.attempt_count) for job in await jobs(spool, waiting)}
    await bench.close()


async def test_jobs_of_a_caller_at_its_limit_wait_without_a_commit_and_others_go_on(tmp_path: Path) -> None:
    bench, cloud = SpoolBench(tmp_path, resume_spread_s=0.0), Cloud()
    spool = await bench.open()
    life = Life(spool, bench, cloud, (CallerConfig(name=CALLER, requests_per_minute=SERVED),))
    async with life.lived():
        await accept(bench, SERVED)
        await life.ended.times(SERVED)
        held = await accept(bench, 10 * WAITING)
        before = await jobs(spool, held)
        await life.left.times(1)
        others = await accept(bench, 20, caller="device-8")
        await life.ended.times(SERVED + len(others))

    assert before == await jobs(spool, held)
    assert {JobState.QUEUED} == {job.state for job in before}
    assert SERVED + len(others) == len(cloud.billed)
    await bench.close()
