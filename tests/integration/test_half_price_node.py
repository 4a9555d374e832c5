"""A whole node and the simulated cloud: jobs that can wait go out in batches, and each is accounted for."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import builders
from harness.node import Node

from edgeclient.client import EdgeClient
from edgeclient.config.row_schema import CallerConfig, PriceConfig
from edgeclient.core.half_price_events import BatchChanged
from edgeclient.core.job_events import JobFinished
from edgeclient.core.quota_events import BatchAnswered, BudgetSpent
from edgeclient.simulator import BatchPace, Entry, Fault, Kind, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, job_pb2

JOBS = 1000
QUICK = {"mode": "file", "linger_s": 0.2, "poll_s": 0.05, "settle_s": 1.0, "request_timeout_s": 1.0}
ECHO = builders.model(id="sim-echo")
MODELS: dict[str, Any] = {"models": ["sim-echo"]}


def half_price_node(sim: Simulator | None, folder: Path, **over: Any) -> Node:
    spool = {"directory": str(folder / "spool"), "disk_floor_bytes": 0, "max_caller_share": 1.0, "resume_spread_s": 0.0}
    rows = {name: over.pop(name, ()) for name in ("prices", "callers", "targets")}
    return Node(sim, spool=spool, half_price=QUICK | MODELS | over, models=(ECHO,), **rows)


def request(prompt: str, **over: Any) -> chat_pb2.ChatRequest:
    fields: dict[str, Any] = {"prompt": prompt, "model": "sim-echo", "priority": chat_pb2.PRIORITY_LOW}
    return chat_pb2.ChatRequest(**(fields | over))


async def submitted(client: EdgeClient, prompts: list[str]) -> AsyncIterator[job_pb2.Job]:
    """Some at a time, as a connection carries them."""
    for begin in range(0, len(prompts), 50):
        some = (client.submit(request(each), deferrable=True) for each in prompts[begin : begin + 50])
        for job in await asyncio.gather(*some):
            yield job


def billed(sim: Simulator) -> list[Entry]:
    return [entry for entry in sim.ledger.entries if entry.prompt_tokens_billed]


async def ended(client: EdgeClient, ids: list[str]) -> list[job_pb2.Job]:
    return [await client.wait_job(job_id) for job_id in ids]


async def test_thousand_jobs_are_each_accounted_for_and_billed_at_most_once_at_half_price(tmp_path: Path) -> None:
    fault = Fault(kind="data_inspection_failed", text="bad", call=Kind.BATCH_FILE)
    price = PriceConfig(model="sim-echo", input_per_million=800.0, output_per_million=2000.0)
    async with (
        asyncio.timeout(90),
        Simulator(SimulatorConfig(faults=(fault,))) as sim,
        half_price_node(sim, tmp_path, prices=(price,)) as node,
        EdgeClient(node.address) as client,
    ):
        prompts = [f"{'bad' if number % 20 == 0 else 'good'} {number}" for number in range(JOBS)]
        ids = [job.id async for job in submitted(client, prompts)]
        jobs = await ended(client, ids)
        await node.seen(BatchChanged, lambda event: event.state == "cleaning")
    by_state = Counter(job.state for job in jobs)
    assert {job_pb2.JOB_STATE_SUCCEEDED: 950, job_pb2.JOB_STATE_FAILED: 50} == by_state
    for prompt, job in zip(prompts, jobs, strict=True):
        if job.state == job_pb2.JOB_STATE_SUCCEEDED:
            assert (prompt, "dashscope/batch") == (job.response.message.content, job.response.target)
            usage = job.response.usage
            assert usage.cost_nanos == (usage.prompt_tokens * 800_000 + usage.completion_tokens * 2_000_000) // 2
    bills = Counter((entry.custom_id or "").partition(".")[0] for entry in billed(sim))
    assert dict.fromkeys((job.id for job in jobs if job.state == job_pb2.JOB_STATE_SUCCEEDED), 1) == bills
    assert {Kind.BATCH_FILE} == {entry.kind for entry in billed(sim)}
    assert 950 == len(node.told(BatchAnswered)) == sum(e.state == "succeeded" for e in node.told(JobFinished))


async def test_mode_chat_asks_the_synchronous_endpoint_at_half_price(tmp_path: Path) -> None:
    price = PriceConfig(model="sim-echo", input_per_million=800.0, output_per_million=2000.0)
    async with asyncio.timeout(60), Simulator() as sim:
        over = {"mode": "chat", "base_url": sim.batch_chat_url}
        async with half_price_node(sim, tmp_path, prices=(price,), **over) as node, EdgeClient(node.address) as client:
            job = await client.submit(request("one two"), deferrable=True)
            (done,) = await ended(client, [job.id])
            live = await client.submit(request("three"))
            await ended(client, [live.id])
        kinds = {entry.kind: entry.stream for entry in billed(sim)}
    assert ("one two", "dashscope/batch") == (done.response.message.content, done.response.target)
    assert 0 < done.response.usage.cost_nanos
    assert {Kind.BATCH_CHAT, Kind.LIVE} == set(kinds)
    assert not kinds[Kind.BATCH_CHAT]
    assert 1 == len(node.told(BatchAnswered))


async def test_without_the_switch_and_without_low_priority_jobs_are_sent_live(tmp_path: Path) -> None:
    async with asyncio.timeout(60), Simulator() as sim:
        for mode, over in (("off", {}), ("file", {"priority": chat_pb2.PRIORITY_NORMAL})):
            async with half_price_node(sim, tmp_path / mode, mode=mode) as node, EdgeClient(node.address) as client:
                job = await client.submit(request("now", **over), deferrable=True)
                await ended(client, [job.id])
    assert [Kind.LIVE] * 2 == [entry.kind for entry in billed(sim)]


async def test_job_that_the_provider_holds_is_running_and_ends_after_a_restart(tmp_path: Path) -> None:
    pace = BatchPace(manual=True)
    async with asyncio.timeout(60), Simulator(SimulatorConfig(batch_pace=pace)) as sim:
        async with half_price_node(sim, tmp_path) as node, EdgeClient(node.address) as client:
            job = await client.submit(request("one"), deferrable=True)
            await node.seen(BatchChanged, lambda event: event.state == "submitted")
            assert job_pb2.JOB_STATE_RUNNING == (await client.get_job(job.id)).state
        (batch,) = sim.batches.newest_first()
        await sim.batches.finish(batch)
        async with half_price_node(sim, tmp_path) as node, EdgeClient(node.address) as client:
            (done,) = await ended(client, [job.id])
    assert "one" == done.response.message.content
    assert 1 == len(billed(sim))


async def test_mode_chat_is_held_against_the_budget_of_the_caller(tmp_path: Path) -> None:
    price = PriceConfig(model="sim-echo", input_per_million=1000.0, output_per_million=1000.0)
    caller = CallerConfig(name="*", models=["sim-echo"], budget_per_day=0.03)  # the first request, and not the second
    async with asyncio.timeout(60), Simulator() as sim:
        over = {"mode": "chat", "base_url": sim.batch_chat_url, "prices": (price,), "callers": (caller,)}
        async with half_price_node(sim, tmp_path, **over) as node, EdgeClient(node.address) as client:
            paid = await client.submit(request("one", max_tokens=20), deferrable=True)
            (done,) = await ended(client, [paid.id])
            unpaid = await client.submit(request("two", max_tokens=30), deferrable=True)
            told = await node.seen(BudgetSpent)
            waiting = await client.get_job(unpaid.id)
    assert (job_pb2.JOB_STATE_SUCCEEDED, "one") == (done.state, done.response.message.content)
    assert "callers[0].budget_per_day" == told.limit
    assert job_pb2.JOB_STATE_PENDING == waiting.state
    assert 1 == len(billed(sim))


async def test_batch_is_asked_for_where_it_was_made_and_a_model_that_is_not_served_there_goes_live(
    tmp_path: Path,
) -> None:
    held = SimulatorConfig(batch_pace=BatchPace(manual=True))
    async with asyncio.timeout(60), Simulator(held) as beijing, Simulator(held) as singapore:
        sims = {"beijing": beijing, "singapore": singapore}
        rows = [
            builders.target(
                name,
                base_url=sim.base_url,
                ca_file=str(sim.ca_file or ""),
                keyless=False,
                account="ours",
                models=["sim-echo", "qwen-flash", "qwen-plus"] if sim is beijing else ["sim-echo"],
            )
            for name, sim in sims.items()
        ]
        over: dict[str, Any] = {"targets": rows, "models": ["sim-echo", "qwen-flash"]}
        first = half_price_node(None, tmp_path, target="singapore", **over)
        async with first as node, EdgeClient(node.address) as client:
            job = await client.submit(request("one"), deferrable=True)
            live = await client.submit(request("two", model="qwen-flash"), deferrable=True)
            (done_live,) = await ended(client, [live.id])
            await node.seen(BatchChanged, lambda event: event.state == "submitted")
        assert "beijing" == done_live.response.target
        (batch,) = singapore.batches.newest_first()
        assert not beijing.batches.newest_first()
        await singapore.batches.finish(batch)
        second = half_price_node(None, tmp_path, target="beijing", **over)
        async with second as node, EdgeClient(node.address) as client:
            (done,) = await ended(client, [job.id])
            await node.seen(BatchChanged, lambda event: event.state == "cleaning")
    assert ("one", "singapore/batch") == (done.response.message.content, done.response.target)
    assert [Kind.BATCH_FILE] == [entry.kind for entry in billed(singapore)]
    assert [Kind.LIVE] == [entry.kind for entry in billed(beijing)]
