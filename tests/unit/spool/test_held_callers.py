"""Jobs of a caller that is at its own limit wait without a commit, and keep nobody else waiting."""

from collections import Counter
from typing import Any

import builders
import pytest
from drainer_bench import CALLER, Bench, Provider, quiet, until

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import Reason, Throttled
from edgeclient.core.events import RetryScheduled
from edgeclient.core.jobs import JobState
from edgeclient.v1 import chat_pb2

CHATTY, QUIET = "chatty", "quiet"


class Limited(Provider):
    """Refuses calls of some callers before their turn, as a dispatcher with limits does.

    Attributes:
        wait_s: By caller, when there is room again.
        room: By caller, how many pass before that.
        asked_for: Callers of all that came, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wait_s: dict[str, float] = {}
        self.room: Counter[str] = Counter()
        self.asked_for: list[str] = []

    async def __call__(self, call: Call) -> Reply:
        self.asked_for.append(call.caller)
        if call.caller in self.wait_s and not self.room[call.caller]:
            raise Throttled(Reason.ERROR_REASON_RATE_LIMITED, "reached", retry_after_s=self.wait_s[call.caller])
        self.room[call.caller] -= 1
        return await super().__call__(call)


def limited_bench(**wait_s: float) -> tuple[Bench, Limited]:
    provider = Limited()
    provider.wait_s.update(wait_s)
    return Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=4), provider=provider), provider


async def accept(bench: Bench, caller: str, count: int, **over: Any) -> list[str]:
    ids = [f"{caller}-{len(bench.spool._rows)}-{place}" for place in range(count)]
    for job_id in ids:
        await bench.accept(job_id, caller=caller, request=builders.chat_request(prompt=job_id), **over)
    return ids


def states(bench: Bench, ids: list[str]) -> set[JobState]:
    return {bench.job(job_id).state for job_id in ids}


async def test_jobs_of_a_caller_at_its_limit_cost_one_look_and_no_commit() -> None:
    bench, provider = limited_bench(chatty=60.0)
    async with bench.running():
        held = await accept(bench, CHATTY, 20)
        revisions = [bench.job(job_id).revision for job_id in held]
        await quiet()
        bench.clock.advance(59.9)
        await quiet()

    assert [CHATTY] == provider.asked_for
    assert {JobState.QUEUED} == states(bench, held)
    assert revisions == [bench.job(job_id).revision for job_id in held]
    assert [] == bench.told(RetryScheduled)


async def test_jobs_of_others_go_on_at_once() -> None:
    bench, _ = limited_bench(chatty=60.0)
    async with bench.running():
        held = await accept(bench, CHATTY, 20)
        free = await accept(bench, QUIET, 5)
        await quiet()

    assert {JobState.SUCCEEDED} == states(bench, free)
    assert {JobState.QUEUED} == states(bench, held)


async def test_caller_has_its_turns_again_when_the_limit_says_and_in_order() -> None:
    bench, provider = limited_bench(chatty=10.0)
    async with bench.running():
        held = await accept(bench, CHATTY, 6)
        await quiet()
        provider.room[CHATTY] = 3
        bench.clock.advance(10.0)
        await quiet()
        assert held[:3] == provider.asked
        provider.room[CHATTY] = 3
        bench.clock.advance(10.0)
        await quiet()

    assert held == provider.asked
    assert {1} == {bench.job(job_id).attempt_count for job_id in held}
    assert 6 + 4 >= len(provider.asked_for)  # and once for each that was under way when it was reached


async def test_caller_that_comes_back_takes_turns_with_the_others() -> None:
    bench, provider = limited_bench(chatty=10.0)
    async with bench.running():
        await accept(bench, CHATTY, 1)
        await quiet()
        provider.holds = True
        await accept(bench, CHATTY, 30)
        await accept(bench, QUIET, 30)
        provider.wait_s.clear()
        bench.clock.advance(10.0)
        for _ in range(10):
            await quiet()
            for job_id in list(provider.open):
                provider.answer(job_id)
        served = Counter(call.caller for call in provider.calls[:20])

    assert 8 <= served[CHATTY] <= 12


async def test_job_that_a_budget_does_not_pay_for_lets_cheaper_ones_of_its_caller_go_on() -> None:
    bench, provider = limited_bench(chatty=40_000.0)
    async with bench.running():
        dear = await accept(bench, CHATTY, 1)
        await quiet()
        del provider.wait_s[CHATTY]
        cheap = await accept(bench, CHATTY, 3)
        await quiet()
        assert ({JobState.QUEUED}, {JobState.SUCCEEDED}) == (states(bench, dear), states(bench, cheap))

        bench.clock.advance(300.0)  # a budget can be raised
        await until(lambda: {JobState.SUCCEEDED} == states(bench, dear))


@pytest.mark.parametrize("how", ["cancel", "erase", "ttl"])
async def test_job_that_leaves_while_its_caller_is_held_is_never_sent(how: str) -> None:
    bench, provider = limited_bench(chatty=60.0)
    async with bench.running():
        (job_id,) = await accept(bench, CHATTY, 1, ttl_s=30.0)
        await quiet()
        if how == "ttl":
            bench.clock.advance(30.2)
        else:
            await (bench.spool.cancel if how == "cancel" else bench.spool.erase)(CHATTY, job_id)
        await quiet()
        provider.wait_s.clear()
        bench.clock.advance(60.0)
        await quiet()

    assert [] == provider.asked
    assert {JobState.CANCELLED, JobState.ERASED, JobState.EXPIRED} > states(bench, [job_id])
    assert 0 == len(bench.drainer._room)


async def test_urgent_job_of_a_held_caller_waits_as_well_and_keeps_nobody_waiting() -> None:
    bench, provider = limited_bench(chatty=60.0)
    async with bench.running():
        await accept(bench, CHATTY, 1)
        await quiet()
        urgent = await accept(bench, CHATTY, 1, priority=chat_pb2.PRIORITY_HIGH)
        free = await accept(bench, CALLER, 1, priority=chat_pb2.PRIORITY_LOW)
        await quiet()

    assert (({JobState.QUEUED}), {JobState.SUCCEEDED}) == (states(bench, urgent), states(bench, free))
    assert 2 == len(provider.asked_for)


async def test_thousand_jobs_of_a_held_caller_are_neither_read_nor_written() -> None:
    bench, provider = limited_bench(chatty=60.0)
    peek, read = bench.spool.peek, []

    async def counted(job_id: str) -> Any:
        read.append(job_id)
        return await peek(job_id)

    bench.spool.peek = counted  # type: ignore[method-assign]  # only here
    async with bench.running():
        await accept(bench, CHATTY, 1000)
        free = await accept(bench, QUIET, 50)
        await quiet()
        await until(lambda: {JobState.SUCCEEDED} == states(bench, free))

    assert 51 == len(read) == len(provider.asked_for)
