"""The simulated cloud seen by real HTTP clients over real sockets and TLS."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sim_clients import GUARD_S, ask, chunks_of, http, reqwest

from edgeclient.simulator import CertificateMode, Outcome, Simulator, SimulatorConfig
from edgeclient.simulator.doorman import PREFACE


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(keep_bodies=True)) as simulator:
        yield simulator


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_alpn_decides_the_http_version(sim: Simulator, *, http2: bool, version: str) -> None:
    async with http(sim, http2=http2) as client:
        response = await client.post("/chat/completions", json=ask("hello"))

    assert version == response.http_version
    assert response.json()["choices"][0]["message"]["content"] == "hello"


async def test_http1_only_is_kept_to() -> None:
    async with Simulator(SimulatorConfig(http1_only=True)) as sim, http(sim) as client:
        response = await client.get("/models")

    assert response.http_version == "HTTP/1.1"


@pytest.mark.parametrize("prior_knowledge", [True, False])
async def test_plaintext_tells_http2_from_http1_by_its_preface(*, prior_knowledge: bool) -> None:
    async with Simulator(SimulatorConfig(plaintext=True)) as sim:
        client = httpx.AsyncClient(base_url=sim.base_url, http2=prior_knowledge, http1=not prior_knowledge)
        async with client:
            response = await client.post("/chat/completions", json=ask("hi"), headers={"authorization": "Bearer k"})

    assert sim.ca_file is None
    assert response.http_version == ("HTTP/2" if prior_knowledge else "HTTP/1.1")
    assert response.json()["choices"][0]["message"]["content"] == "hi"


async def test_answer_carries_the_headers_of_the_gateway(sim: Simulator) -> None:
    async with http(sim) as client:
        response = await client.post("/chat/completions", json=ask())

    assert response.headers["server"] == "istio-envoy"
    assert response.headers["x-dashscope-timeout"] == "600"
    assert response.json()["id"] == f"chatcmpl-{response.headers['x-request-id']}"


async def test_stream_ends_with_finish_usage_and_done(sim: Simulator) -> None:
    body = ask("one two three", stream=True, stream_options={"include_usage": True})
    async with http(sim) as client:
        response = await client.post("/chat/completions", json=body)

    *chunks, done = chunks_of(response.text)
    assert done == "[DONE]"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks[:-1]) == "one two three"


async def test_same_question_gives_the_same_answer_streamed_or_not(sim: Simulator) -> None:
    question = ask("冰箱不制冷怎么办?", model="qwen-plus")
    async with http(sim) as client:
        unary = await client.post("/chat/completions", json=question)
        streamed = await client.post("/chat/completions", json=question | {"stream": True})

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(streamed.text)[:-1]]
    assert unary.json()["choices"][0]["message"]["content"] == "".join(delta["content"] for delta in deltas)


async def test_thinking_comes_before_the_answer(sim: Simulator) -> None:
    async with http(sim) as client:
        response = await client.post("/chat/completions", json=ask(model="qwen3.8-flash", stream=True))

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(response.text)[:-1]]
    kinds = ["reasoning" if delta.get("reasoning_content") else "text" for delta in deltas[1:-1]]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"reasoning", "text"}


async def test_tool_call_streams_in_pieces_with_an_id_only_at_first(sim: Simulator) -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": city}}
    body = ask("What is the weather in New York today?", model="qwen-plus", tools=[tool], stream=True)
    async with http(sim) as client:
        response = await client.post("/chat/completions", json=body)

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(response.text)[:-1]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "get_weather"
    assert [bool(call["id"]) for call in calls] == [True] + [False] * (len(calls) - 1)
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"city": "New York"}


@pytest.mark.parametrize(
    ("over", "status", "code"),
    [
        ({"model": "qwen-plus", "temperature": 2}, 400, "invalid_parameter_error"),
        ({"model": "qwen-plus", "response_format": {"type": "json_object"}}, 400, "invalid_parameter_error"),
        ({"model": "qwq-plus"}, 400, "invalid_parameter_error"),
        ({"model": "qwen3-8b"}, 400, "invalid_parameter_error"),
        ({"model": "no-such-model"}, 404, "model_not_found"),
        ({"messages": []}, 400, "invalid_parameter_error"),
    ],
)
async def test_bad_request_is_refused_in_shape_a(sim: Simulator, over: dict[str, Any], status: int, code: str) -> None:
    async with http(sim) as client:
        response = await client.post("/chat/completions", json=ask() | over)

    assert (status, code) == (response.status_code, response.json()["error"]["code"])
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_invalid_key_gives_401(sim: Simulator) -> None:
    async with http(sim, key="sk-invalid-1") as client:
        response = await client.post("/chat/completions", json=ask())

    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_body_above_the_limit_gives_413() -> None:
    async with Simulator(SimulatorConfig(max_body_bytes=1_000)) as sim, http(sim) as client:
        response = await client.post("/chat/completions", json=ask("x" * 200_000))

    assert response.status_code == 413


async def test_large_body_and_large_answer_pass_the_windows_both_ways(sim: Simulator) -> None:
    text = "window " * 300_000
    async with http(sim) as client:
        response = await client.post("/chat/completions", json=ask(text))

    assert response.json()["choices"][0]["message"]["content"] == text


async def test_fifty_calls_share_one_connection(sim: Simulator) -> None:
    async with reqwest(sim) as client:

        async def call(number: int) -> str:
            response = await client.post("chat/completions").body_json(ask(f"n{number}")).build().send()
            answer = await response.json()
            return str(answer["choices"][0]["message"]["content"])

        await call(0)
        answers = await asyncio.gather(*(call(number) for number in range(50)))

    assert answers == [f"n{number}" for number in range(50)]
    assert sim.stats.by_protocol == {"h2": 51}
    assert sim.stats.connections_accepted <= 2


async def test_calls_overlap_on_one_connection() -> None:
    async with Simulator(SimulatorConfig(latency_ms=200)) as sim, http(sim) as client:
        await asyncio.gather(*(client.post("/chat/completions", json=ask(str(n))) for n in range(20)))

    assert (sim.stats.connections_accepted, sim.stats.in_flight_max) == (1, 20)


async def test_reset_by_the_client_stops_generation_and_bills_what_was_generated() -> None:
    config = SimulatorConfig(tokens_per_s=200, tokens_per_chunk=1)
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, reqwest(sim) as client:
        body = ask("word " * 5_000, stream=True)
        async with (
            client.post("chat/completions").body_json(body).streamed_read_buffer_limit(0).build_streamed() as response
        ):
            while b"word" not in (await response.body_reader.read_chunk() or b""):
                pass
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

        assert (sim.stats.streams_reset_by_client, sim.stats.in_flight_now) == (1, 0)
        assert sim.stats.connections_open_now == 1
    (entry,) = sim.ledger.entries
    assert entry.outcome is Outcome.CUT_BY_CLIENT
    assert 0 < entry.tokens_generated < 1_000
    assert entry.tokens_billed == entry.tokens_generated


async def test_closed_http1_connection_stops_generation() -> None:
    config = SimulatorConfig(tokens_per_s=200, tokens_per_chunk=1)
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim, http2=False) as client:
        body = ask("word " * 5_000, stream=True)
        async with client.stream("POST", "/chat/completions", json=body) as response:
            await anext(response.aiter_lines())
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    assert sim.ledger.entries[0].outcome is Outcome.CUT_BY_CLIENT


async def test_slow_reader_holds_generation_back() -> None:
    async with asyncio.timeout(GUARD_S), Simulator() as sim, http(sim) as client:
        body = ask("word " * 200_000, stream=True)
        async with client.stream("POST", "/chat/completions", json=body) as response:
            await anext(response.aiter_lines())
            generated = sim.ledger.entries[0].tokens_generated
        await client.aclose()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    assert generated < 200_000
    assert sim.ledger.entries[0].outcome is Outcome.CUT_BY_CLIENT


async def test_unary_call_cut_by_the_client_is_billed_in_full() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(latency_ms=60_000)) as sim, http(sim) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/completions", json=ask("one two three"), timeout=0.2)
        await client.aclose()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    (entry,) = sim.ledger.entries
    assert (entry.outcome, entry.tokens_billed) == (Outcome.CUT_BY_CLIENT, 3)


async def test_ledger_shows_what_was_on_the_wire_but_never_the_key(sim: Simulator) -> None:
    async with http(sim, key="sk-secret-1") as client:
        await client.post("/chat/completions", json=ask("hello"), headers={"x-request-id": "mine"})
        page = (await client.get(f"{sim.origin}/__sim__/ledger")).text

    (entry,) = json.loads(page)["entries"]
    assert entry["client_request_id"] == "mine"
    assert json.loads(entry["body"])["messages"][0]["content"] == "hello"
    assert len(entry["key_fingerprint"]) == 12
    assert "sk-secret-1" not in page


async def test_ledger_pages_by_since_and_can_be_reset(sim: Simulator) -> None:
    async with http(sim) as client:
        for text in ("a", "b", "c"):
            await client.post("/chat/completions", json=ask(text))
        later = (await client.get(f"{sim.origin}/__sim__/ledger?since=2")).json()
        await client.delete(f"{sim.origin}/__sim__/ledger")
        empty = (await client.get(f"{sim.origin}/__sim__/ledger")).json()

    assert [entry["seq"] for entry in later["entries"]] == [3]
    assert later["totals"]["answered"] == 3
    assert (empty["entries"], empty["totals"]["requests"]) == ([], 0)


async def test_models_and_embeddings_are_served(sim: Simulator) -> None:
    async with http(sim) as client:
        models = (await client.get("/models")).json()
        body = {"model": "text-embedding-v4", "input": ["a", "a", "b"], "dimensions": 64}
        vectors = [each["embedding"] for each in (await client.post("/embeddings", json=body)).json()["data"]]

    assert {"id", "object", "created", "owned_by"} == set(models["data"][0])
    assert vectors[0] == vectors[1] != vectors[2]
    assert len(vectors[0]) == 64


async def test_rate_limit_answers_429_without_retry_after() -> None:
    async with Simulator(SimulatorConfig(rpm=1)) as sim, http(sim) as client:
        first = await client.post("/chat/completions", json=ask())
        second = await client.post("/chat/completions", json=ask())

    assert [first.status_code, second.status_code] == [200, 429]
    assert second.json()["error"]["code"] == "limit_requests"
    assert "retry-after" not in second.headers


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (CertificateMode.EXPIRED, "certificate has expired"),
        (CertificateMode.NOT_YET_VALID, "certificate is not yet valid"),
        (CertificateMode.WRONG_HOST, "mismatch"),
    ],
)
async def test_wrong_certificate_is_refused_by_a_client(mode: CertificateMode, reason: str) -> None:
    async with Simulator(SimulatorConfig(certificate=mode)) as sim, http(sim) as client:
        with pytest.raises(httpx.ConnectError, match=reason):
            await client.get("/models")


async def test_outage_ends_on_the_same_port_with_the_books_kept(sim: Simulator) -> None:
    port = sim.port
    async with http(sim) as client:
        await client.post("/chat/completions", json=ask("before"))
        await sim.stop()
        with pytest.raises(httpx.TransportError):
            await client.post("/chat/completions", json=ask("during"))
        await sim.start()
        response = await client.post("/chat/completions", json=ask("after"))

    assert response.json()["choices"][0]["message"]["content"] == "after"
    assert (port, 2) == (sim.port, sim.ledger.totals.answered)


async def test_stop_cuts_calls_in_flight_for_free() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(latency_ms=60_000)) as sim, http(sim) as client:
        call = asyncio.ensure_future(client.post("/chat/completions", json=ask()))
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 1)
        await sim.stop()
        with pytest.raises(httpx.TransportError):
            await call

    assert sim.ledger.entries[0].outcome is Outcome.CUT_BY_SERVER
    assert sim.ledger.totals.tokens_billed == 0


async def test_json_schema_answer_satisfies_the_schema(sim: Simulator) -> None:
    schema = {
        "type": "object",
        "properties": {"level": {"enum": ["low", "high"]}, "count": {"type": "integer", "minimum": 3}},
        "required": ["level", "count"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "alarm", "schema": schema}}
    async with http(sim) as client:
        body = ask("Is the level high?", model="qwen-plus", response_format=wanted)
        answer = (await client.post("/chat/completions", json=body)).json()

    assert json.loads(answer["choices"][0]["message"]["content"]) == {"level": "high", "count": 3}


async def test_bytes_that_are_no_http_close_the_connection_and_nothing_else() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(plaintext=True)) as sim:
        for begin in (
            PREFACE + bytes.fromhex("000001 00 00 00000000 78"),
            b"GARBAGE\r\n\r\n",
            b"\x00\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
            writer.write(begin)
            await reader.read()
            writer.close()
            await writer.wait_closed()

        assert sim.stats.protocol_errors == 4


async def test_schema_that_makes_no_sense_is_an_internal_error_not_a_crash(sim: Simulator) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": 5}}}
    async with http(sim) as client:
        broken = await client.post("/chat/completions", json=ask(model="qwen-plus", response_format=wanted))
        whole = await client.post("/chat/completions", json=ask())

    assert [broken.status_code, whole.status_code] == [500, 200]


async def test_port_that_is_taken_is_an_error_at_the_start(sim: Simulator) -> None:
    with pytest.raises(OSError, match="in use"):
        await Simulator(SimulatorConfig(port=sim.port)).start()


async def test_undecided_connection_does_not_outlive_a_stop() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(plaintext=True)) as sim:
        _, silent = await asyncio.open_connection("127.0.0.1", sim.port)
        async with http(sim) as client:
            await client.get("/models")  # answered on a later connection, so the first has been accepted

        assert len(sim.undecided) == 1
        await sim.stop()
        with contextlib.suppress(ConnectionError):
            silent.close()
            await silent.wait_closed()

    assert len(sim.undecided) == 0


async def test_gzip_is_used_for_clients_that_accept_it() -> None:
    async with Simulator(SimulatorConfig(gzip=True)) as sim, http(sim) as client:
        packed = await client.post("/chat/completions", json=ask(model="qwen-plus"))
        plain = await client.post(
            "/chat/completions", json=ask(model="qwen-plus"), headers={"accept-encoding": "identity"}
        )

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json()["choices"] == plain.json()["choices"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/embeddings", {"model": "qwen-plus", "input": "a"}, 404),
        ("POST", "/embeddings", {"model": "text-embedding-v4", "input": []}, 400),
        ("POST", "/embeddings", {"model": "text-embedding-v4", "input": "a", "dimensions": 5_000}, 400),
        ("POST", "/embeddings", {"input": "a"}, 400),
        ("POST", "/chat/completions", {"messages": "no list"}, 400),
        ("GET", "/chat/completions", None, 404),
        ("POST", "/batches", {}, 400),
        ("PUT", "/batches", {}, 404),
        ("POST", "/chat/ds-test", {}, 404),
    ],
)
async def test_other_mistakes_have_their_status(
    sim: Simulator, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    async with http(sim) as client:
        response = await client.request(method, path, json=body)

    assert status == response.status_code
    assert response.json()["error"]["message"]


async def test_only_the_configured_key_is_accepted() -> None:
    async with Simulator(SimulatorConfig(api_key="sk-right")) as sim, http(sim, key="sk-right") as client:
        right = await client.get("/models")
        wrong = await client.get("/models", headers={"authorization": "Bearer sk-wrong"})
        none = await client.get("/models", headers={"authorization": ""})

    assert [200, 401, 401] == [right.status_code, wrong.status_code, none.status_code]


async def test_http1_connection_is_kept_alive(sim: Simulator) -> None:
    async with http(sim, http2=False) as client:
        for text in ("a", "b", "c"):
            await client.post("/chat/completions", json=ask(text, stream=text == "b"))

    assert (3, 1) == (sim.stats.requests, sim.stats.connections_accepted)


async def test_pipelined_http1_requests_are_answered_in_order() -> None:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(plaintext=True, latency_ms=20)) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        for text in ("first", "second"):
            body = json.dumps(ask(text)).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
            head += "authorization: Bearer k\r\n\r\n"
            writer.write(head.encode() + body)
        answers = await reader.readuntil(b'"content":"second"')
        writer.close()
        await writer.wait_closed()

    assert answers.index(b'"content":"first"') < answers.index(b'"content":"second"')


async def test_books_keep_to_their_bounds() -> None:
    config = SimulatorConfig(ledger_entries_max=2, keep_bodies=True, kept_bodies_max_bytes=1_000)
    async with Simulator(config) as sim, http(sim) as client:
        for text in ("a", "b", "x" * 800):
            await client.post("/chat/completions", json=ask(text))

    assert [2, 3] == [entry.seq for entry in sim.ledger.entries]
    assert sum(len(entry.body or "") for entry in sim.ledger.entries) <= 1_000
    assert sim.ledger.totals.answered == 3


async def test_body_that_was_billed_twice_is_pointed_out(sim: Simulator) -> None:
    async with http(sim) as client:
        for text in ("same", "same", "other"):
            await client.post("/chat/completions", json=ask(text))

    assert sim.ledger.billed_more_than_once() == [sim.ledger.entries[0].body_sha256]
