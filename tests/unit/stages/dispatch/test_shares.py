"""Who gets how much where all want more: simulated in full, in simulated time."""

import asyncio
from collections import Counter
from random import Random

import builders
import pytest
from fakes.desk import Desk
from fakes.timed_clock import settle

from edgeclient.core.call import Call, Reply

BACKLOG = 10_000
MOST_JOBS = 16  # spool.max_in_flight
CALLS = 1500


def jain(counts: list[int]) -> float:
    return sum(counts) ** 2 / (len(counts) * sum(count * count for count in counts))


class Busy:
    """Live calls that come at random and, beside them, a queue of jobs that is never empty."""

    def __init__(self, *, places: int, load: float, backlog: int) -> None:
        self.desk = Desk(places=places, max_waiting=100_000)
        self.latencies_s: list[float] = []
        self.jobs_done = 0
        self._left = backlog
        self._running = 0
        self._arrivals_per_s = load * places  # an answer takes a second in the mean
        self._arrival, self._live, self._job = Random(1), Random(2), Random(3)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._arrive())
            self._begin_jobs()
            while len(self.latencies_s) < CALLS:
                await self.desk.clock.run(5.0)
            self._left = 0
            while self._running:
                await self.desk.clock.run(5.0)
        self.latencies_s.sort()

    @property
    def p99_s(self) -> float:
        return self.latencies_s[len(self.latencies_s) * 99 // 100]

    async def _arrive(self) -> None:
        for number in range(CALLS):
            await self.desk.clock.sleep(self._arrival.expovariate(self._arrivals_per_s))
            self._group.create_task(self._ask(f"live-{number}", f"caller-{number % 10}", self._live.expovariate(1.0)))

    async def _ask(self, name: str, caller: str, takes_s: float) -> None:
        begun_s = self.desk.clock.monotonic_s()
        call = builders.call(id=name, caller=caller)
        await self.desk.stage(call, self._takes(takes_s))
        self.latencies_s.append(self.desk.clock.monotonic_s() - begun_s)

    def _begin_jobs(self) -> None:
        """As the drainer does, whenever an attempt of a job has ended."""
        while self._left and self._running < min(MOST_JOBS, self.desk.stage.room_for_jobs()):
            self._left -= 1
            self._running += 1
            self._group.create_task(self._do(f"job-{self._left}"))

    async def _do(self, name: str) -> None:
        call = builders.call(id=name, caller="jobs", background=True)
        await self.desk.stage(call, self._takes(self._job.expovariate(1.0)))
        self.jobs_done += 1
        self._running -= 1
        self._begin_jobs()

    def _takes(self, duration_s: float) -> "Takes":
        return Takes(self.desk, duration_s)


class Takes:
    """A provider that answers after so long."""

    def __init__(self, desk: Desk, duration_s: float) -> None:
        self._desk = desk
        self._duration_s = duration_s

    async def __call__(self, _call: Call) -> Reply:
        await self._desk.clock.sleep(self._duration_s)
        return Reply()


@pytest.mark.parametrize(("places", "load"), [(100, 0.6), (20, 0.9), (4, 0.5)])
async def test_backlog_of_ten_thousand_jobs_slows_live_calls_by_a_fifth_at_most_and_moves_on(
    places: int, load: float
) -> None:
    alone, beside = Busy(places=places, load=load, backlog=0), Busy(places=places, load=load, backlog=BACKLOG)
    await alone.run()
    await beside.run()

    assert beside.p99_s <= 1.2 * alone.p99_s
    assert beside.jobs_done > 30


@pytest.mark.parametrize("places", [1, 8])
async def test_caller_that_sends_a_hundred_times_as_much_gets_no_more_than_others(places: int) -> None:
    desk = Desk(places=places, max_waiting=100_000)
    for number in range(2000):
        desk.ask(f"chatty/{number}", caller="chatty")
    for caller in range(9):
        for number in range(20):
            desk.ask(f"quiet-{caller}/{number}", caller=f"quiet-{caller}")
    await settle()
    while len(desk.upstream.order) < places + 180:
        desk.upstream.finish()
        await settle()

    served = Counter(name.partition("/")[0] for name in desk.upstream.order[places:])
    assert jain(list(served.values())) >= 0.95
    for task in desk.tasks.values():
        task.cancel()
    await settle()
    assert desk.is_empty
