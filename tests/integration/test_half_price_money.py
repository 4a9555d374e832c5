"""Jobs at half price are held against the budgets of their callers, from the order of a batch to the bill of a line."""

from math import inf
from pathlib import Path

import builders
import pytest
from harness.half_price import CALLER, ECHO, Desk, Power, bills, desk

from edgeclient.config.row_schema import CallerConfig, PriceConfig
from edgeclient.core.call import Call
from edgeclient.core.deadline import Deadline
from edgeclient.core.events import Event
from edgeclient.core.half_price_events import BatchChanged, BatchMissing, SentLive
from edgeclient.core.jobs import JobState
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.policy.demands import Demands
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.runtime import SystemClock
from edgeclient.simulator import BatchPace, Fault, Kind, Simulator, SimulatorConfig

PRICES = PriceTable([PriceConfig(model="sim-echo", input_per_million=1000.0, output_per_million=1000.0)])
MANUAL = SimulatorConfig(batch_pace=BatchPace(manual=True))


def most_nanos() -> int:
    """What one line may cost, as the node estimates it."""
    request = builders.chat_request(prompt="a", model="sim-echo")
    call = Call(id="a", request=request, caller=CALLER, deadline=Deadline(), model=ECHO)
    estimate = TokenEstimate(factor=1.0, assumed_output_tokens=20)
    return Demands(estimate, PRICES).demand(call, batch=True).cost_nanos


def money_for(lines: float) -> list[CallerConfig]:
    return [CallerConfig(name=CALLER, budget_per_day=lines * most_nanos() / NANOS)]


def budget(node: Desk) -> BudgetState:
    (state,) = node.quota.budgets(SystemClock().monotonic_s())
    return state


def cleaning(event: Event) -> bool:
    return isinstance(event, BatchChanged) and event.state == "cleaning"


async def test_batch_takes_no_more_jobs_than_their_caller_can_pay(tmp_path: Path) -> None:
    async with Simulator() as sim, desk(sim, tmp_path, callers=money_for(3.5), prices=PRICES) as node:
        ids = [await node.accept(prompt) for prompt in "abcde"]
        paid = await node.ended(ids[:3])

        assert dict.fromkeys(ids[:3], 1) == bills(sim)
        assert [JobState.QUEUED] * 2 == [(await node.job(job_id)).state for job_id in ids[3:]]
        spent_nanos = sum(job.response.usage.cost_nanos for job in paid if job.response is not None)
        await node.told(cleaning)
        assert (spent_nanos, 0) == (budget(node).spent_nanos, budget(node).reserved_nanos)
        assert 0 < spent_nanos < 3 * most_nanos()
        assert budget(node).refused


async def test_what_a_batch_may_cost_is_held_while_the_provider_has_it(tmp_path: Path) -> None:
    async with Simulator(MANUAL) as sim, desk(sim, tmp_path, callers=money_for(10), prices=PRICES) as node:
        ids = [await node.accept(prompt) for prompt in "ab"]
        for job_id in ids:
            await node.until(job_id, JobState.SUBMITTED)

        assert (0, 2 * most_nanos()) == (budget(node).spent_nanos, budget(node).reserved_nanos)


async def test_line_that_failed_costs_nothing(tmp_path: Path) -> None:
    faults = (Fault(kind="data_inspection_failed", text="bad", call=Kind.BATCH_FILE),)
    config = SimulatorConfig(faults=faults)
    async with Simulator(config) as sim, desk(sim, tmp_path, callers=money_for(10), prices=PRICES) as node:
        await node.ended([await node.accept("bad")])
        await node.told(cleaning)

        assert (0, 0) == (budget(node).spent_nanos, budget(node).reserved_nanos)


async def test_batch_that_was_not_ordered_gives_all_of_it_back(tmp_path: Path) -> None:
    config = SimulatorConfig(faults=(Fault(kind="limit_requests", path="*/batches", method="POST"),))
    async with Simulator(config) as sim, desk(sim, tmp_path, callers=money_for(1.5), prices=PRICES) as node:
        await node.accept("a")
        await node.told(cleaning)

        assert (0, 0) == (budget(node).spent_nanos, budget(node).reserved_nanos)


async def test_job_that_its_caller_can_never_pay_goes_where_that_is_told(tmp_path: Path) -> None:
    async with Simulator() as sim, desk(sim, tmp_path, callers=money_for(0.5), prices=PRICES) as node:
        job_id = await node.accept("a")
        told = await node.told(lambda event: isinstance(event, SentLive))

        assert (1, "budget") == (getattr(told, "count", 0), getattr(told, "cause", ""))
        assert job_id in {job.id for job in await node.roads.ordinary.waiting()}
        assert not bills(sim)


async def test_what_a_missing_batch_may_cost_is_held_until_it_tells(tmp_path: Path) -> None:
    hidden = SimulatorConfig(batch_pace=BatchPace(listed_s=inf))
    async with Simulator(hidden) as sim, desk(sim, tmp_path, callers=money_for(10), prices=PRICES) as node:
        sim.faults.add(Fault(kind="close", path="*/batches", method="POST", executed=True, count=1))
        job_id = await node.accept("a")
        await node.until(job_id, JobState.UNCERTAIN)
        await node.told(lambda event: isinstance(event, BatchMissing))
        assert (0, most_nanos()) == (budget(node).spent_nanos, budget(node).reserved_nanos)

        sim.batches.newest_first()[0].listed_at_s = 0.0
        job = await node.until(job_id, JobState.SUCCEEDED)
        await node.told(cleaning)
        assert job.response is not None
        assert (job.response.usage.cost_nanos, 0) == (budget(node).spent_nanos, budget(node).reserved_nanos)


@pytest.mark.parametrize("point", ["after plan", "after upload", "after hand_over"])
async def test_restart_that_takes_a_batch_back_holds_nothing_for_it(tmp_path: Path, point: str) -> None:
    power = Power(at=point)
    async with Simulator() as sim:
        async with desk(sim, tmp_path, callers=money_for(1.5), prices=PRICES, power=power) as node:
            job_id = await node.accept("a")
            await power.out.wait()
            assert most_nanos() == budget(node).reserved_nanos
        async with desk(sim, tmp_path, callers=money_for(1.5), prices=PRICES) as node:
            (job,) = await node.ended([job_id])
            assert job.response is not None
            assert {job_id: 1} == bills(sim)
