"""What a whole node counts, of live chats and of jobs, and what is left of it after a restart."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import builders
import grpc.aio
import httpx
import pytest
from fakes.command_line import command
from harness.node import Node
from harness.rpc_failure import failure_of

from edgeclient.config.row_schema import CallerConfig, PriceConfig
from edgeclient.core.job_events import JobFinished
from edgeclient.core.quota_events import BudgetSpent, QuotasRead
from edgeclient.simulator import ModelLimits, Simulator, SimulatorConfig
from edgeclient.v1 import job_pb2, job_pb2_grpc

TOKEN = "token-of-the-camera"
AS_CAMERA = (("authorization", f"Bearer {TOKEN}"),)
PRICES = [PriceConfig(model="Qwen Plus", input_per_million=1000.0, output_per_million=1000.0)]  # a thousandth a token


def camera(**over: Any) -> list[CallerConfig]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return [CallerConfig(**({"name": "camera", "token_sha256": [digest], "models": ["qwen-plus"]} | over))]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig()) as sim:
        yield sim


async def page(node: Node) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=f"http://{node.admin}", trust_env=False) as client:
        told: dict[str, Any] = (await client.get("/usage")).json()
    return told


async def sums(node: Node, *names: str) -> dict[str, tuple[int, ...]]:
    """Of each caller."""
    told = await page(node)
    rows = [dict(zip(told["columns"], values, strict=True)) for values in told["rows"]]
    return {row["caller"]: tuple(row[name] for name in names) for row in rows}


async def test_chats_and_jobs_are_counted_for_their_callers(sim: Simulator, tmp_path: Path) -> None:
    async with Node(sim, callers=camera(), prices=PRICES, spool={"directory": str(tmp_path)}) as node:
        answer = await node.chat.Chat(builders.chat_request(max_tokens=20), metadata=AS_CAMERA, timeout=10)
        await node.chat.Chat(builders.chat_request(max_tokens=20), timeout=10)
        jobs = job_pb2_grpc.JobServiceStub(node.channel)
        request = job_pb2.SubmitJobRequest(request=builders.chat_request(prompt="later", max_tokens=20))
        await jobs.SubmitJob(request, metadata=AS_CAMERA, timeout=10)
        finished = await node.seen(JobFinished)

        counted = await sums(node, "requests", "attempts", "prompt_tokens", "cost_nanos", "failed")
        await node.stopped()
        again = Node(sim, callers=camera(), prices=PRICES, spool={"directory": str(tmp_path)})
        async with again:
            assert await sums(again, "requests", "attempts", "prompt_tokens", "cost_nanos", "failed") == counted

    assert finished.model == "qwen-plus"
    requests, attempts, prompt_tokens, cost_nanos, failed = counted["camera"]
    assert (requests, attempts, failed) == (2, 2, 0)
    assert prompt_tokens > answer.usage.prompt_tokens
    assert cost_nanos > answer.usage.cost_nanos > 0
    assert counted["anonymous"][:2] == (1, 1)


async def test_a_spent_budget_refuses_its_caller_says_so_once_and_survives_a_restart(
    sim: Simulator, tmp_path: Path
) -> None:
    sections: dict[str, Any] = {
        "callers": camera(budget_per_day=0.2),
        "prices": PRICES,
        "spool": {"directory": str(tmp_path)},
        "quota": {"assumed_output_tokens": 20},
    }
    request = builders.chat_request(max_tokens=20)
    async with Node(sim, **sections) as node:
        answered = 0
        with suppress(grpc.aio.AioRpcError):  # it is looked at below
            while answered < 20:
                await node.chat.Chat(request, metadata=AS_CAMERA, timeout=10)
                answered += 1
        failure = await failure_of(node.chat.Chat(request, metadata=AS_CAMERA, timeout=10))
        spent = await node.seen(BudgetSpent)
        await node.chat.Chat(request, timeout=10)  # another caller

    async with Node(sim, **sections) as node:
        after = await failure_of(node.chat.Chat(request, metadata=AS_CAMERA, timeout=10))

    assert 1 < answered < 12
    for told in (failure, after):
        assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert "callers[0].budget_per_day, 0.2 CNY" in told.sentence
        assert told.retry_delay_ms is not None
        assert 0 < told.retry_delay_ms <= 1.3 * 86_400_000  # until midnight, and some jitter
    assert (spent.caller, spent.value) == ("camera", 0.2)
    assert 0.1 < spent.spent <= 0.2
    assert len(node.told(BudgetSpent)) <= 1


async def test_usage_is_shown_while_the_node_runs_and_after_it_stopped(sim: Simulator, tmp_path: Path) -> None:
    async with Node(sim, callers=camera(), prices=PRICES, spool={"directory": str(tmp_path)}) as node:
        await node.chat.Chat(builders.chat_request(max_tokens=20), metadata=AS_CAMERA, timeout=10)
        running = await command("usage", "--admin", node.admin, "--csv")
    stopped = await command("usage", "--directory", tmp_path, "--csv")

    assert running.out.splitlines()[1].startswith("camera,qwen-plus,CNY,1,0,1,")
    assert stopped.out == running.out


async def test_what_the_provider_tells_of_its_limits_holds() -> None:
    cloud = SimulatorConfig(limits=(ModelLimits(model="qwen-plus", rpm=120),))
    async with Simulator(cloud) as sim, Node(sim, upstream={"read_quotas": "always"}) as node:
        told = await node.seen(QuotasRead)
        await node.chat.Chat(builders.chat_request(max_tokens=20), timeout=10)
        limits = (await page(node))["limits"]

    assert told.model_count > 10
    assert {each["limit"]: each["most"] for each in limits} == {"requests_per_minute": 120, "requests_per_second": 2}


async def test_erased_callers_are_named_no_more(sim: Simulator, tmp_path: Path) -> None:
    async with Node(sim, callers=camera(), prices=PRICES, spool={"directory": str(tmp_path)}) as node:
        await node.chat.Chat(builders.chat_request(max_tokens=20), metadata=AS_CAMERA, timeout=10)
    erased = await command("jobs", "erase", "--caller", "camera", "--directory", tmp_path, "--yes")
    shown = await command("usage", "--directory", tmp_path, "--csv")

    assert erased.code == 0, erased.err
    assert shown.out.splitlines()[1].startswith("(erased),qwen-plus,CNY,1,0,1,")
