"""Where a crash meets a call with a key, and what whoever repeats that key gets: the table of this module.

the call          what is on the disk    a repeat after the crash    bills
stands in line    nothing                is sent                     1
is to be sent     the intent             is told OUTCOME_UNKNOWN     0
was refused       nothing, it pauses     is sent                     1
was sent          the intent             is told OUTCOME_UNKNOWN     1
was answered      the answer             gets that answer            1
"""

import asyncio
from collections import Counter
from pathlib import Path

import builders
import pytest
from spool_bench import SpoolBench

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.core.call import Call, Handler, Reply, road
from edgeclient.core.errors import CallError, Reason, Unavailable
from edgeclient.core.events import Uplink
from edgeclient.core.job_feed import JobFeed
from edgeclient.policy.quota import Demand, Quota, Spent
from edgeclient.runtime import SystemClock
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.stages.idempotency import Idempotency
from edgeclient.v1 import chat_pb2

WAITING = 5


class Cloud:
    """Bills what arrives, and answers it when the test says so.

    Attributes:
        reached: Set when a call is to be sent.
        lets_in: Whether it may leave then.
        refuses: All that leaves, for free.
        billed: By prompt.
    """

    def __init__(self) -> None:
        self.billed: Counter[str] = Counter()
        self.refuses = False
        self.reached, self.arrived, self.lets_in, self.answers = (asyncio.Event() for _ in range(4))

    async def __call__(self, call: Call) -> Reply:
        self.reached.set()
        await self.lets_in.wait()
        call.attempt_count += 1
        if self.refuses:
            raise Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503")
        call.maybe_paid = True
        self.billed[call.request.prompt] += 1
        self.arrived.set()
        await self.answers.wait()
        return Reply(response=chat_pb2.ChatResponse(message=chat_pb2.Message(content=f"to {call.request.prompt}")))

    @classmethod
    def at_work(cls) -> "Cloud":
        """One that holds nothing up."""
        cloud = cls()
        cloud.lets_in.set()
        cloud.answers.set()
        return cloud


class Life:
    """The road of one process, with room for one attempt at a time."""

    def __init__(self, bench: SpoolBench, cloud: Cloud) -> None:
        clock = SystemClock()
        dispatch = Dispatch(
            DispatchConfig(),
            target="dashscope",
            max_in_flight=1,
            reservations=Reservations(
                Quota(now_s=clock.monotonic_s(), wall_s=clock.wall_s()), demand=_demand, spent=_spent
            ),
            observe=lambda _event: None,
            clock=clock,
        )
        idempotency = Idempotency(
            bench.spool, JobFeed(bench.spool), bench.config, uplink=lambda: Uplink.ONLINE, clock=clock
        )
        self._road = road(idempotency, self._retry, dispatch, to=cloud)
        self._came = asyncio.Semaphore(0)
        self.pauses = asyncio.Event()
        self._count = 0

    def ask(self, key: str) -> "asyncio.Task[Reply]":
        """Ask the question that belongs to the key."""
        self._count += 1
        request = builders.chat_request(prompt=f"question {key}", idempotency_key=key)
        call = builders.call(id=f"{key}-{id(self)}-{self._count}", request=request)
        return asyncio.create_task(self._road(call), name=call.id)

    async def came(self, count: int) -> None:
        """Return when so many more have come to the line."""
        for _ in range(count):
            await self._came.acquire()

    async def _retry(self, call: Call, forward: Handler) -> Reply:
        self._came.release()
        try:
            return await forward(call)
        except Unavailable:
            self.pauses.set()
            await asyncio.Event().wait()  # which no process here outlives
            raise


def _demand(call: Call) -> Demand:
    return Demand(model="qwen-plus", caller=call.caller, tokens=10, cost_nanos=0)


def _spent(_call: Call, _reply: Reply) -> Spent:
    return Spent(tokens=10, cost_nanos=0)


async def told(task: "asyncio.Task[Reply]") -> tuple[str, bool]:
    """The answer, or the reason; and whether it was perhaps billed."""
    try:
        reply = await task
    except CallError as error:
        return error.reason_name, error.possibly_billed
    return reply.response.message.content, False


async def ended(*tasks: "asyncio.Task[Reply]") -> None:
    """Of the process that was killed, and goes on here."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.mark.parametrize(
    ("point", "expected", "bills"),
    [
        ("is to be sent", ("OUTCOME_UNKNOWN", True), 0),
        ("was refused", ("to question k", False), 0),
        ("was sent", ("OUTCOME_UNKNOWN", True), 1),
        ("was answered", ("to question k", False), 1),
    ],
)
async def test_call_that_a_crash_meets(
    tmp_path: Path, cloud: Cloud, point: str, expected: tuple[str, bool], bills: int
) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    async with asyncio.timeout(20):
        life, cloud.refuses = Life(bench, cloud), point == "was refused"
        call = life.ask("k")
        await cloud.reached.wait()
        if point != "is to be sent":
            cloud.lets_in.set()
            await (life.pauses if cloud.refuses else cloud.arrived).wait()
        if point == "was answered":
            cloud.answers.set()
            await call
        await bench.kill()
        await bench.open()
        later = Cloud.at_work()
        repeats = [await told(Life(bench, later).ask("k")) for _ in range(2)]

    assert [expected] * 2 == repeats
    assert (bills, point == "was refused") == (cloud.billed.total(), later.billed.total())
    await ended(call)
    await bench.close()


async def test_calls_in_line_at_a_crash_are_sent_by_their_repeats_once_each(tmp_path: Path, cloud: Cloud) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    async with asyncio.timeout(20):
        life, keys = Life(bench, cloud), [f"k{number}" for number in range(WAITING)]
        cloud.lets_in.set()
        sent = life.ask("sent")
        await cloud.arrived.wait()
        waiting = [life.ask(key) for key in keys]
        await life.came(1 + WAITING)
        await bench.kill()
        await bench.open()
        later = Cloud.at_work()
        after = Life(bench, later)
        answers = [await told(task) for key in keys for task in (after.ask(key), after.ask(key))]
        cut = await told(after.ask("sent"))
        replayed = [await told(after.ask(key)) for key in keys]

    assert [(f"to question {key}", False) for key in keys for _ in range(2)] == answers
    assert [(f"to question {key}", False) for key in keys] == replayed
    assert ("OUTCOME_UNKNOWN", True) == cut
    assert ({"question sent": 1}, {f"question {key}": 1 for key in keys}) == (cloud.billed, later.billed)
    await ended(sent, *waiting)
    await bench.close()
