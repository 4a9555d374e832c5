"""A whole node before a simulated cloud: stored jobs are answered from the cache and fill it, by the rules of calls."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import builders
import pytest
from fakes.command_line import command
from harness.cloud import chats
from harness.node import Node

from edgeclient.client import EdgeClient
from edgeclient.config.row_schema import CallerConfig, PriceConfig
from edgeclient.core.cache_events import AnswerReused
from edgeclient.core.half_price_events import BatchChanged
from edgeclient.core.job_events import JobFinished
from edgeclient.core.quota_events import BudgetSpent
from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, error_pb2, job_pb2

UPSTREAM, CACHE = chat_pb2.RESPONSE_SOURCE_UPSTREAM, chat_pb2.RESPONSE_SOURCE_CACHE
PRICE = PriceConfig(model="qwen-plus", input_per_million=800.0, output_per_million=2000.0)
HALF_PRICE = {"mode": "file", "linger_s": 0.05, "poll_s": 0.05, "models": ["qwen-plus"]}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(keep_bodies=True, sampling=True)) as sim:
        yield sim


def job_node(sim: Simulator, folder: Path, **sections: Any) -> Node:
    spool = {"directory": str(folder / "spool"), "disk_floor_bytes": 0, "resume_spread_s": 0.0}
    return Node(sim, spool=spool, prices=(PRICE,), **sections)


def fixed(**fields: Any) -> chat_pb2.ChatRequest:
    return builders.chat_request(**({"prompt": "what is wrong?", "temperature": 0.0} | fields))


async def done(client: EdgeClient, request: chat_pb2.ChatRequest, *, deferrable: bool = False) -> job_pb2.Job:
    job = await client.submit(request, deferrable=deferrable)
    return await client.wait_job(job.id)


async def test_job_and_call_answer_each_other(sim: Simulator, tmp_path: Path) -> None:
    async with job_node(sim, tmp_path) as node, EdgeClient(node.address) as client:
        asked = await done(client, fixed(prompt="first a job"))
        call = await node.chat.Chat(fixed(prompt="first a job"))
        first = await node.chat.Chat(fixed(prompt="first a call"))
        given = await done(client, fixed(prompt="first a call"))

    assert 2 == len(chats(sim))
    assert [UPSTREAM, CACHE, UPSTREAM, CACHE] == [each.source for each in (asked.response, call, first, given.response)]
    assert asked.response.message == call.message
    assert first.message == given.response.message


async def test_job_from_the_cache_is_told_as_what_it_is_and_costs_nothing(sim: Simulator, tmp_path: Path) -> None:
    async with job_node(sim, tmp_path) as node, EdgeClient(node.address) as client:
        first, second = [await done(client, fixed()) for _ in range(2)]
        (reused,) = node.told(AnswerReused)
        finished = await node.seen(JobFinished, lambda event: event.job_id == second.id)

    assert 1 == len(chats(sim))
    assert job_pb2.JOB_STATE_SUCCEEDED == second.state
    assert (1, 0, 0) == (first.attempt_count, second.attempt_count, second.response.attempt_count)
    assert second.response.HasField("cache_age")
    assert second.id == second.response.id
    assert first.response.usage == second.response.usage
    assert (first.response.usage.cost_nanos, "cache") == (reused.cost_nanos, reused.source)
    assert ("succeeded", 0, "qwen-plus") == (finished.state, finished.attempt_count, finished.model)


async def test_budget_that_is_spent_leaves_what_is_in_the_cache(sim: Simulator, tmp_path: Path) -> None:
    callers = (CallerConfig(name="*", budget_per_day=0.5, models=["qwen-plus"]),)  # of which one answer takes most
    async with job_node(sim, tmp_path, callers=callers) as node, EdgeClient(node.address) as client:
        first, second = [await done(client, fixed(max_tokens=200)) for _ in range(2)]
        other = await client.submit(fixed(prompt="another", max_tokens=200))
        await node.seen(BudgetSpent)
        waits = await client.get_job(other.id)

    assert [UPSTREAM, CACHE] == [first.response.source, second.response.source]
    assert job_pb2.JOB_STATE_PENDING == waits.state
    assert 1 == len(chats(sim))


@pytest.mark.parametrize(
    ("first", "second", "asked"), [("USE", "USE", 1), ("USE", "REFRESH", 2), ("USE", "BYPASS", 2), ("BYPASS", "USE", 2)]
)
async def test_policies_are_those_of_calls(sim: Simulator, tmp_path: Path, first: str, second: str, asked: int) -> None:
    async with job_node(sim, tmp_path) as node, EdgeClient(node.address) as client:
        for policy in (first, second):
            await done(client, fixed(temperature=1.0, cache_policy=f"CACHE_POLICY_{policy}"))

    assert asked == len(chats(sim))


@pytest.mark.parametrize("deferrable", [False, True])
async def test_job_that_wants_nothing_but_the_cache_asks_nobody(
    sim: Simulator, tmp_path: Path, *, deferrable: bool
) -> None:
    only = fixed(cache_policy=chat_pb2.CACHE_POLICY_ONLY, priority=chat_pb2.PRIORITY_LOW)
    async with job_node(sim, tmp_path, half_price=HALF_PRICE) as node, EdgeClient(node.address) as client:
        missed = await done(client, only, deferrable=deferrable)
        nobody = (len(chats(sim)), len(sim.files.newest_first()))
        await node.chat.Chat(fixed())
        given = await done(client, only, deferrable=deferrable)

    assert (job_pb2.JOB_STATE_FAILED, error_pb2.ERROR_REASON_CACHE_MISS) == (missed.state, missed.error.reason)
    assert not missed.error.possibly_billed
    assert (0, 0) == nobody
    assert CACHE == given.response.source


async def test_caller_is_given_its_own_answers_alone(sim: Simulator, tmp_path: Path) -> None:
    tokens = {name: f"token-of-{name}" for name in ("one", "two")}
    callers = tuple(
        CallerConfig(name=name, token_sha256=[hashlib.sha256(token.encode()).hexdigest()])
        for name, token in tokens.items()
    )
    async with job_node(sim, tmp_path, callers=callers) as node:
        for name in ("one", "two", "one"):
            async with EdgeClient(node.address, token=tokens[name]) as client:
                await done(client, fixed())

    assert 2 == len(chats(sim))


async def test_batch_fills_the_cache_and_what_is_in_it_needs_no_batch(sim: Simulator, tmp_path: Path) -> None:
    asked = fixed(priority=chat_pb2.PRIORITY_LOW)
    async with (
        asyncio.timeout(30),
        job_node(sim, tmp_path, half_price=HALF_PRICE) as node,
        EdgeClient(node.address) as client,
    ):
        first = await done(client, asked, deferrable=True)
        call = await node.chat.Chat(fixed())
        second = await done(client, asked, deferrable=True)
        placed = [event for event in node.told(BatchChanged) if event.state == "submitted"]
        finished = await node.seen(JobFinished, lambda event: event.job_id == second.id)

    assert (1, 1) == (len(placed), len([entry for entry in sim.ledger.entries if entry.prompt_tokens_billed]))
    assert [UPSTREAM, CACHE, CACHE] == [each.source for each in (first.response, call, second.response)]
    assert (0, second.id, "qwen-plus") == (second.attempt_count, second.response.id, finished.model)
    assert first.response.usage == second.response.usage


async def test_synchronous_half_price_reads_and_fills_it(sim: Simulator, tmp_path: Path) -> None:
    asked = fixed(priority=chat_pb2.PRIORITY_LOW)
    half_price = {"mode": "chat", "base_url": sim.batch_chat_url, "models": ["qwen-plus"]}
    async with job_node(sim, tmp_path, half_price=half_price) as node, EdgeClient(node.address) as client:
        first, second = [await done(client, asked, deferrable=True) for _ in range(2)]

    assert [UPSTREAM, CACHE] == [first.response.source, second.response.source]
    assert 1 == len([entry for entry in sim.ledger.entries if entry.prompt_tokens_billed])


async def test_answers_of_jobs_are_erased_with_their_caller(sim: Simulator, tmp_path: Path) -> None:
    cache, settings = tmp_path / "cache", tmp_path / "edgeclient.toml"
    settings.write_text(f'[spool]\ndirectory = "{tmp_path / "spool"}"\n[cache]\ndirectory = "{cache}"\n')
    sections = {"cache": {"directory": str(cache), "max_bytes": 0}}
    async with job_node(sim, tmp_path, **sections) as node, EdgeClient(node.address) as client:
        answer = (await done(client, fixed())).response.message.content.encode()
    assert answer in b"".join(file.read_bytes() for file in cache.iterdir())

    erased = await command("jobs", "erase", "--config", settings, "--caller", "anonymous", "--yes")

    assert (0, "") == (erased.code, erased.err)
    assert answer not in b"".join(file.read_bytes() for file in cache.iterdir())
