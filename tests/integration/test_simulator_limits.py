"""Rate limits, quotas, context cache, sampling and pace of the simulated cloud, over real HTTP."""

import asyncio
from typing import Any

import httpx
import pytest
from fakes.clock import FakeClock
from sim_clients import GUARD_S, ask, chunks_of, http

from edgeclient.simulator import Kind, ModelLimits, ModelPace, Outcome, Simulator, SimulatorConfig


def still() -> float:
    """A clock that stands."""
    return 1_000.0


def limited(**limits: Any) -> SimulatorConfig:
    return SimulatorConfig(limits=(ModelLimits(model="*", **limits),))


@pytest.mark.parametrize(
    ("limits", "code", "part"),
    [
        ({"rpm": 1}, "limit_requests", "request limit"),
        ({"tpm": 20}, "insufficient_quota", "billing"),
        ({"tpm": 600}, "insufficient_quota", "Allocated quota exceeded"),
        ({"burst_rpm": 1}, "limit_burst_rate", "increased too quickly"),
        ({"burst_tpm": 20}, "limit_burst_rate", "increased too quickly"),
    ],
)
async def test_each_rule_refuses_in_the_words_of_the_provider(limits: dict[str, Any], code: str, part: str) -> None:
    async with Simulator(limited(**limits), clock=still) as sim, http(sim) as client:
        first = await client.post("/chat/completions", json=ask("one two three"))
        second = await client.post("/chat/completions", json=ask("one two three"))

    assert [200, 429] == [first.status_code, second.status_code]
    assert code == second.json()["error"]["code"]
    assert part in second.json()["error"]["message"]
    assert "retry-after" not in second.headers


async def test_calls_at_a_time_are_limited_until_the_stream_ends() -> None:
    config = SimulatorConfig(limits=(ModelLimits(model="*", concurrency=1),), tokens_per_s=200, tokens_per_chunk=1)
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim) as client:
        body = ask("word " * 2_000, stream=True)
        async with client.stream("POST", "/chat/completions", json=body) as response:
            await anext(response.aiter_lines())
            refused = await client.post("/chat/completions", json=ask("x"))
        await client.aclose()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)
        async with http(sim) as later:
            passed = await later.post("/chat/completions", json=ask("x"))

    assert [429, 200] == [refused.status_code, passed.status_code]
    assert "too many requests in route" in refused.json()["error"]["message"].lower()


async def test_tokens_of_a_stream_count_while_they_come() -> None:
    config = SimulatorConfig(limits=(ModelLimits(model="*"),), tokens_per_s=100, tokens_per_chunk=1)
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim) as client:
        body = ask("word " * 2_000, stream=True)
        async with client.stream("POST", "/chat/completions", json=body) as response:
            await anext(response.aiter_lines())
            await sim.ledger.wait_until(lambda: sim.ledger.entries[0].tokens_generated >= 3)
            (use,) = sim.rates.report()
            generated = sim.ledger.entries[0].tokens_generated

    assert sim.ledger.entries[0].prompt_tokens + generated == use["now"]["tokens_per_minute"]
    assert 1 == use["now"]["concurrency"]


async def test_client_that_asks_to_wait_outlasts_the_growth_rule() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(limited(burst_rpm=1)) as sim, http(sim) as client:
        await client.post("/chat/completions", json=ask())
        headers = {"x-dashscope-wait-timeout": "5"}
        waiting = asyncio.create_task(client.post("/chat/completions", json=ask(), headers=headers))
        await sim.ledger.wait_until(lambda: len(sim.ledger.entries) == 2)
        sim.rates.set_rows([ModelLimits(model="*", burst_rpm=2)])
        response = await waiting

    (use,) = sim.rates.report()
    assert (200, 2, 0) == (response.status_code, use["admitted"], use["refused"])


async def test_wait_for_the_growth_rule_has_an_end() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(limited(burst_rpm=1)) as sim, http(sim) as client:
        await client.post("/chat/completions", json=ask())
        headers = {"x-dashscope-wait-timeout": "1"}
        response = await client.post("/chat/completions", json=ask(), headers=headers)

    assert (429, "limit_burst_rate") == (response.status_code, response.json()["error"]["code"])
    assert 1 == sim.rates.report()[0]["refused_by_rule"]["burst_requests"]


async def test_client_that_leaves_while_it_waits_for_the_growth_rule_pays_nothing() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(limited(burst_rpm=1)) as sim, http(sim) as client:
        await client.post("/chat/completions", json=ask())
        headers = {"x-dashscope-wait-timeout": "60"}
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/completions", json=ask(), headers=headers, timeout=0.2)
        await client.aclose()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    assert (Outcome.CUT_BY_CLIENT, 0) == (sim.ledger.entries[1].outcome, sim.ledger.entries[1].tokens_billed)


async def test_wait_helps_against_no_other_rule() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(limited(rpm=1)) as sim, http(sim) as client:
        await client.post("/chat/completions", json=ask())
        headers = {"x-dashscope-wait-timeout": "60"}
        response = await client.post("/chat/completions", json=ask(), headers=headers)

    assert (429, "limit_requests") == (response.status_code, response.json()["error"]["code"])


async def test_refusals_and_highest_use_are_told_by_the_admin_api() -> None:
    async with Simulator(limited(rpm=120), clock=still) as sim, http(sim) as client:
        await asyncio.gather(*(client.post("/chat/completions", json=ask("one")) for _ in range(5)))
        told = (await client.get(f"{sim.origin}/__sim__/limits")).json()
        forgotten = (await client.delete(f"{sim.origin}/__sim__/limits")).json()

    (use,) = told["use"]
    assert ("sim-echo", 2, 3, 3) == (use["model"], use["admitted"], use["refused"], use["refused_by_rule"]["rps"])
    assert (2, 2) == (use["highest"]["requests_per_second"], use["highest"]["requests_per_minute"])
    assert [{"model": "*", "rpm": 120}] == told["limits"]
    assert [] == forgotten["use"]


async def test_minute_passes_when_the_clock_of_a_test_says_so() -> None:
    clock = FakeClock()
    async with Simulator(limited(rpm=1), clock=clock.monotonic_s) as sim, http(sim) as client:
        statuses = []
        for gap_s in (0, 59.9, 0.1):
            clock.advance(gap_s)
            statuses.append((await client.post("/chat/completions", json=ask())).status_code)

    assert [200, 429, 200] == statuses


async def test_limits_can_be_changed_while_it_runs() -> None:
    async with Simulator() as sim, http(sim) as client:
        url = f"{sim.origin}/__sim__/limits"
        before = [(await client.post("/chat/completions", json=ask())).status_code for _ in range(3)]
        await client.put(url, json={"limits": [{"model": "sim-*", "rpm": 1}]})
        during = [(await client.post("/chat/completions", json=ask())).status_code for _ in range(2)]
        await client.put(url, json=[])
        after = (await client.post("/chat/completions", json=ask())).status_code
        wrong = await client.put(url, json={"limits": [{"model": "m", "rps": 1}]})

    assert ([200, 200, 200], [200, 429], 200) == (before, during, after)
    assert (400, True) == (wrong.status_code, "rps" in wrong.json()["error"])


@pytest.mark.parametrize("path", ["quotas", "models/limits"])
async def test_quotas_tell_the_limits_that_hold(path: str) -> None:
    config = SimulatorConfig(limits=(ModelLimits(model="qwen-plus", rpm=600, tpm=1_000_000),))
    async with Simulator(config) as sim, http(sim) as client:
        output = (await client.get(f"{sim.native_url}/{path}", params={"model": "qwen-plus"})).json()["output"]
        page = (await client.get(f"{sim.native_url}/{path}")).json()["output"]
        wrong = await client.get(f"{sim.native_url}/{path}", params={"page_no": 0})
        keyless = await client.get(f"{sim.native_url}/{path}", headers={"authorization": ""})

    (row,) = output["quotas"]
    limit = row["model_limit"]
    assert (600, 60, 1_000_000, 60) == (
        limit["request_limit"],
        limit["request_limit_period"],
        limit["usage_limit"],
        limit["usage_limit_period"],
    )
    assert 20 == len(page["quotas"]) < page["total"]
    assert (400, "InvalidParameter") == (wrong.status_code, wrong.json()["code"])
    assert 401 == keyless.status_code


async def test_repeated_prefix_is_reported_as_cached_and_told_to_the_ledger() -> None:
    prefix = "the same long instruction " * 60
    config = SimulatorConfig(cache_min_tokens=128)
    async with Simulator(config) as sim, http(sim) as client:
        bodies = [
            ask(f"question {number}", messages=[{"role": "user", "content": prefix + f"question {number}"}])
            for number in range(3)
        ]
        usages = [(await client.post("/chat/completions", json=body)).json()["usage"] for body in bodies]
        stream = bodies[0] | {"stream": True, "stream_options": {"include_usage": True}}
        streamed = chunks_of((await client.post("/chat/completions", json=stream)).text)[-2]["usage"]

    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages]
    assert 0 == cached[0]
    assert 128 <= cached[1] == cached[2] < usages[1]["prompt_tokens"]
    assert cached[1] <= streamed["prompt_tokens_details"]["cached_tokens"]
    bill = sim.ledger.totals.by_kind[Kind.LIVE]
    assert (4, sum(cached) + streamed["prompt_tokens_details"]["cached_tokens"]) == (bill.calls, bill.cached_tokens)


async def test_without_a_cache_nothing_is_reported_as_cached() -> None:
    async with Simulator() as sim, http(sim) as client:
        answers = [await client.post("/chat/completions", json=ask("word " * 2_000)) for _ in range(2)]

    assert 0 == answers[1].json()["usage"]["prompt_tokens_details"]["cached_tokens"]


@pytest.mark.parametrize(("over", "texts"), [({}, 4), ({"temperature": 0}, 1), ({"seed": 7}, 1)])
async def test_sampled_answers_vary_unless_the_request_says_otherwise(over: dict[str, Any], texts: int) -> None:
    async with Simulator(SimulatorConfig(sampling=True)) as sim, http(sim) as client:
        answers = [await client.post("/chat/completions", json=ask(model="qwen-plus") | over) for _ in range(4)]

    assert texts == len({answer.json()["choices"][0]["message"]["content"] for answer in answers})


async def test_sampled_answers_are_the_same_in_each_run() -> None:
    runs = []
    for _ in range(2):
        async with Simulator(SimulatorConfig(sampling=True)) as sim, http(sim) as client:
            answers = [await client.post("/chat/completions", json=ask(model="qwen-plus")) for _ in range(3)]
            runs.append([answer.json()["choices"] for answer in answers])

    assert runs[0] == runs[1]


async def test_models_have_paces_of_their_own_that_can_be_changed() -> None:
    config = SimulatorConfig(paces=(ModelPace(model="qwen-plus", ttft_ms=300),))
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim) as client:
        for model in ("sim-echo", "qwen-plus"):
            await client.post("/chat/completions", json=ask(model=model))
        rows = (await client.put(f"{sim.origin}/__sim__/pace", json=[{"model": "sim-*", "latency_ms": 300}])).json()
        shown = (await client.get(f"{sim.origin}/__sim__/pace")).json()
        for model in ("sim-echo", "qwen-plus"):
            await client.post("/chat/completions", json=ask(model=model))

    slow = [(entry.duration_ms or 0) > 290 for entry in sim.ledger.entries]
    assert [False, True, True, False] == slow
    assert {"pace": [{"model": "sim-*", "latency_ms": 300}]} == rows == shown


async def test_long_prompt_delays_the_first_token_as_far_as_it_is_not_cached() -> None:
    config = SimulatorConfig(prefill_tokens_per_s=5_000, cache_min_tokens=64)
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim) as client:
        body = ask("word " * 2_000, max_tokens=1)
        for stream in (False, False, True):
            await client.post("/chat/completions", json=body | {"stream": stream})

    first, again, streamed = (entry.duration_ms or 0 for entry in sim.ledger.entries)
    assert first > 395
    assert max(again, streamed) < 300
