"""The half-price synchronous endpoint of the simulated cloud."""

import asyncio
import ssl

import httpx
import pytest
from sim_clients import GUARD_S, ask, http

from edgeclient.simulator import Fault, Kind, ModelLimits, Outcome, Simulator, SimulatorConfig


def url(sim: Simulator) -> str:
    return f"{sim.batch_chat_url}/chat/completions"


async def test_answer_is_that_of_a_live_call_at_half_the_price() -> None:
    async with Simulator() as sim, http(sim) as client:
        live = await client.post("/chat/completions", json=ask("冰箱不制冷怎么办?", model="qwen-plus"))
        batched = await client.post(url(sim), json=ask("冰箱不制冷怎么办?", model="qwen-plus"))

    assert live.json()["choices"] == batched.json()["choices"]
    assert "3600" == batched.headers["x-dashscope-timeout"]
    assert [(Kind.LIVE, 1.0), (Kind.BATCH_CHAT, 0.5)] == [(each.kind, each.price_factor) for each in sim.ledger.entries]
    assert ["live", "batch_chat"] == sim.ledger.paid_more_than_once()[0].ways


@pytest.mark.parametrize("http2", [True, False])
async def test_host_that_begins_with_batch_is_the_same_endpoint(*, http2: bool) -> None:
    async with Simulator(SimulatorConfig(extra_names=("batch.localhost",))) as sim:
        context = ssl.create_default_context(cafile=sim.ca_file)
        async with httpx.AsyncClient(http2=http2, verify=context) as client:
            headers = {"host": "batch.localhost", "authorization": "Bearer k"}
            await client.post(f"{sim.base_url}/chat/completions", json=ask(), headers=headers)

    assert [Kind.BATCH_CHAT] == [entry.kind for entry in sim.ledger.entries]


@pytest.mark.parametrize(
    ("over", "status", "part"),
    [
        ({"stream": True}, 400, "Streaming is not supported"),
        ({"model": "qwen-plus-2025-07-28"}, 404, "not supported by the Batch API"),
        ({"model": "qwen-max"}, 404, "not supported by the Batch API"),
        ({"temperature": 7}, 400, "temperature"),
    ],
)
async def test_call_that_it_does_not_serve_is_refused_and_free(over: dict[str, object], status: int, part: str) -> None:
    async with Simulator() as sim, http(sim) as client:
        refused = await client.post(url(sim), json=ask() | over)

    assert status == refused.status_code
    assert part in refused.json()["error"]["message"]
    assert 0 == sim.ledger.totals.calls_billed


async def test_nothing_but_chats_is_served() -> None:
    async with Simulator() as sim, http(sim) as client:
        statuses = [(await client.get(f"{sim.batch_chat_url}/{path}")).status_code for path in ("models", "batches")]

    assert [404, 404] == statuses


async def test_rate_limits_and_context_cache_are_for_live_calls() -> None:
    config = SimulatorConfig(limits=(ModelLimits(model="*", rpm=1),), cache_min_tokens=64)
    async with Simulator(config) as sim, http(sim) as client:
        answers = [await client.post(url(sim), json=ask("word " * 200)) for _ in range(3)]

    assert [200, 200, 200] == [answer.status_code for answer in answers]
    assert 0 == answers[2].json()["usage"]["prompt_tokens_details"]["cached_tokens"]


async def test_call_waits_in_silence_for_its_turn() -> None:
    async with Simulator(SimulatorConfig(batch_chat_wait_ms=60, ttft_ms=20)) as sim, http(sim) as client:
        live = await client.post("/chat/completions", json=ask())
        batched = await client.post(url(sim), json=ask())

    assert [200, 200] == [live.status_code, batched.status_code]
    fast, slow = (entry.duration_ms or 0 for entry in sim.ledger.entries)
    assert fast < slow
    assert slow >= 75  # timers of some loops count whole milliseconds


async def test_wait_has_an_end_with_a_timeout_that_is_free() -> None:
    config = SimulatorConfig(batch_chat_wait_ms=60_000, batch_chat_longest_s=0.05)
    async with Simulator(config) as sim, http(sim) as client:
        refused = await client.post(url(sim), json=ask())

    assert (500, "request_timeout") == (refused.status_code, refused.json()["error"]["code"])
    assert 0 == sim.ledger.totals.calls_billed


@pytest.mark.parametrize(
    ("config", "billed"),
    [(SimulatorConfig(batch_chat_wait_ms=60_000), 0), (SimulatorConfig(latency_ms=60_000), 3)],
)
async def test_client_that_leaves_pays_once_the_model_computes(config: SimulatorConfig, billed: int) -> None:
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(url(sim), json=ask("one two three"), timeout=0.2)
        await client.aclose()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    (entry,) = sim.ledger.entries
    assert (Outcome.CUT_BY_CLIENT, billed) == (entry.outcome, entry.tokens_billed)


async def test_faults_find_batch_chats_by_their_way() -> None:
    rule = Fault(kind="model_serving_error", call=Kind.BATCH_CHAT)
    async with Simulator(SimulatorConfig(faults=(rule,))) as sim, http(sim) as client:
        statuses = [(await client.post(path, json=ask())).status_code for path in ("/chat/completions", url(sim))]

    assert [200, 503] == statuses
