"""Each fault of the simulated cloud as a real client meets it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import Response
from sim_clients import GUARD_S, ask, chunks_of, http, reqwest

from edgeclient.simulator import EFFECTS, ERRORS, Fault, Outcome, Shape, Simulator

TEN_WORDS = "one two three four five six seven eight nine ten"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with asyncio.timeout(GUARD_S), Simulator() as simulator:
        yield simulator


async def post(sim: Simulator, *, http2: bool = True, **over: Any) -> httpx.Response:
    async with http(sim, http2=http2) as client:
        return await client.post("/chat/completions", json=ask(TEN_WORDS) | over)


@pytest.mark.parametrize("name", ERRORS)
async def test_every_error_of_the_table_has_its_status_and_is_free(sim: Simulator, name: str) -> None:
    sim.faults.add(Fault(kind=name))
    response = await post(sim)

    assert ERRORS[name].status == response.status_code
    if ERRORS[name].code:
        assert ERRORS[name].code == response.json()["error"]["code"]
    assert (sim.ledger.totals.tokens_billed, sim.ledger.totals.refused) == (0, 1)


@pytest.mark.parametrize(
    ("shape", "content_type", "begin"),
    [
        (Shape.A, "application/json", '{"error":{"message":'),
        (Shape.B, "application/json", '{"code":"Throttling.AllocationQuota"'),
        (Shape.C, "text/event-stream;charset=UTF-8", 'data: {"error":{'),
        (Shape.D, "application/json", "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"),
        (Shape.G, "text/html", "<html>"),
    ],
)
async def test_error_before_the_stream_comes_in_its_shape(
    sim: Simulator, shape: Shape, content_type: str, begin: str
) -> None:
    sim.faults.add(Fault(kind="insufficient_quota", shape=shape))
    response = await post(sim, stream=True)

    assert (429, content_type) == (response.status_code, response.headers["content-type"])
    assert response.text.startswith(begin)


@pytest.mark.parametrize(
    ("shape", "frame"),
    [(None, "event:error\n:HTTP_STATUS/429\n"), (Shape.F, 'data: {"error":{"message":')],
)
async def test_error_inside_a_stream_follows_the_chunks(sim: Simulator, shape: Shape | None, frame: str) -> None:
    sim.faults.add(Fault(kind="insufficient_quota", after_chunks=2, shape=shape))
    response = await post(sim, stream=True)

    assert response.status_code == 200
    assert response.text.count('"delta"') == 2
    assert frame in response.text
    assert sim.ledger.entries[0].outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("spelling", "header", "value"),
    [("7", "retry-after", "7"), ("date:7", "retry-after", " GMT"), ("ms:1500", "retry-after-ms", "1500")],
)
async def test_retry_after_in_its_spellings(sim: Simulator, spelling: str, header: str, value: str) -> None:
    sim.faults.add(Fault(kind="limit_requests", retry_after=spelling))
    response = await post(sim)

    assert response.headers[header].endswith(value)


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["cut", "cut_connection"])
async def test_cut_answer_is_an_error_for_the_client_and_free(
    sim: Simulator, kind: str, *, stream: bool, http2: bool
) -> None:
    sim.faults.add(Fault(kind=kind))
    with pytest.raises(httpx.TransportError):
        await post(sim, stream=stream, http2=http2)

    assert sim.ledger.entries[0].outcome is Outcome.CUT_BY_SERVER
    assert sim.ledger.totals.tokens_billed == 0


@pytest.mark.parametrize("kind", ["cut", "cut_connection"])
async def test_what_was_sent_before_a_cut_is_received(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind, after_chunks=3))
    received: list[bytes] = []

    async def read(response: Response) -> None:
        while (chunk := await response.body_reader.read_chunk()) is not None:
            received.append(bytes(chunk))

    async with reqwest(sim) as client:
        request = client.post("chat/completions").body_json(ask(TEN_WORDS, stream=True))
        # Without the limit of 0 this client keeps a stream to itself until 64 KiB or the end have come.
        async with request.streamed_read_buffer_limit(0).build_streamed() as response:
            with pytest.raises(PyreqwestError):
                await read(response)

    assert b"".join(received).count(b'"delta"') == 3


@pytest.mark.parametrize("kind", ["reset_stream", "refused_stream", "close", "tcp_reset", "goaway_close"])
async def test_no_answer_is_an_error_for_the_client(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind))
    with pytest.raises(httpx.TransportError):
        await post(sim)
    await sim.stop()

    assert sim.ledger.entries[0].outcome is Outcome.CUT_BY_SERVER
    assert sim.stats.in_flight_now == 0


async def test_tcp_reset_reaches_a_client_as_a_reset(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="tcp_reset"))
    async with reqwest(sim) as client:
        with pytest.raises(PyreqwestError) as caught:
            await client.post("chat/completions").body_json(ask()).build().send()

    assert "reset" in str(caught.value.args).lower()


@pytest.mark.parametrize("kind", ["hang", "black_hole"])
async def test_silence_lasts_until_the_client_gives_up(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind))
    async with http(sim) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/completions", json=ask(), timeout=0.2)


async def test_black_hole_holds_other_calls_of_its_connection_too(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="black_hole", nth=1))
    async with reqwest(sim) as client:
        for _ in range(2):
            call = client.post("chat/completions").body_json(ask()).timeout(timedelta(seconds=0.2))
            with pytest.raises(PyreqwestError):
                await call.build().send()

    assert (sim.stats.requests, sim.stats.connections_accepted) == (1, 1)


async def test_stalled_stream_gives_its_first_chunks_and_then_nothing(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="stall", after_chunks=2))

    async def read(client: httpx.AsyncClient) -> None:
        body = ask(TEN_WORDS, stream=True)
        async with client.stream("POST", "/chat/completions", json=body, timeout=0.3) as response:
            await response.aread()

    async with http(sim) as client:
        with pytest.raises(httpx.ReadTimeout):
            await read(client)
        await client.aclose()
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    assert sim.ledger.entries[0].tokens_billed == 4


@pytest.mark.parametrize("held", [True, False])
async def test_burst_refusal_is_outlasted_by_a_client_that_asks_to_wait(sim: Simulator, *, held: bool) -> None:
    sim.faults.add(Fault(kind="limit_burst_rate", delay_s=0.05))
    async with http(sim) as client:
        headers = {"x-dashscope-wait-timeout": "3"} if held else {}
        response = await client.post("/chat/completions", json=ask(), headers=headers)

    assert (200 if held else 429) == response.status_code


@pytest.mark.parametrize("kind", ["delay_headers", "slow_first_token", "slow_chunks", "stall"])
@pytest.mark.parametrize("stream", [True, False])
async def test_delay_ends_in_a_whole_answer(sim: Simulator, kind: str, *, stream: bool) -> None:
    sim.faults.add(Fault(kind=kind, delay_s=0.05))
    response = await post(sim, stream=stream)

    assert response.status_code == 200
    assert sim.ledger.entries[0].outcome is Outcome.ANSWERED
    assert (sim.ledger.entries[0].duration_ms or 0) >= 45  # timers of some loops count whole milliseconds


async def test_malformed_chunk_is_no_json(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="malformed_chunk"))
    streamed, unary = await post(sim, stream=True), await post(sim)

    with pytest.raises(ValueError, match=r"control character|Unterminated|Expecting"):
        chunks_of(streamed.text)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        unary.json()


async def test_stream_without_finish_ends_properly_on_the_wire(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="no_finish"))
    response = await post(sim, stream=True)

    assert "[DONE]" not in response.text
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks_of(response.text))


async def test_stream_without_done_has_its_finish_reason(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="no_done"))
    response = await post(sim, stream=True)

    assert chunks_of(response.text)[-1]["choices"][0]["finish_reason"] == "stop"


async def test_error_finish_replaces_the_reason(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="error_finish"))
    unary, streamed = await post(sim), await post(sim, stream=True)

    assert unary.json()["choices"][0]["finish_reason"] == "error_finish"
    assert chunks_of(streamed.text)[-2]["choices"][0]["finish_reason"] == "error_finish"


async def test_noise_does_not_hide_the_answer(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="sse_noise"))
    response = await post(sim, stream=True)

    assert ": keep-alive" in response.text
    texts = [chunk["choices"][0]["delta"]["content"] for chunk in chunks_of(response.text)[:-1]]
    assert "".join(texts) == TEN_WORDS


async def test_empty_answer_has_no_text(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="empty_answer"))

    assert (await post(sim)).json()["choices"][0]["message"]["content"] == ""


async def test_captive_portal_answers_html_or_redirects(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="captive_portal", nth=1), Fault(kind="captive_redirect", nth=2))
    portal, redirect = await post(sim), await post(sim)

    assert (portal.status_code, portal.headers["content-type"]) == (200, "text/html")
    assert (redirect.status_code, redirect.headers["location"]) == (302, "http://portal.invalid/login")


async def test_graceful_goaway_finishes_the_call_and_the_next_takes_a_new_connection(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="goaway", nth=1))
    async with reqwest(sim) as client:
        statuses = [(await client.post("chat/completions").body_json(ask()).build().send()).status for _ in range(2)]

    assert statuses == [200, 200]
    assert (sim.stats.connections_accepted, sim.stats.goaways_sent) == (2, 1)


@pytest.mark.parametrize("kind", ["goaway", "goaway_above"])
async def test_goaway_in_mid_stream_lets_the_stream_finish(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind, after_chunks=2, count=1))
    async with reqwest(sim) as client:
        texts = []
        for _ in range(2):
            response = await client.post("chat/completions").body_json(ask(TEN_WORDS, stream=True)).build().send()
            texts.append(await response.text())

    assert [True, True] == [chunks_of(text)[-1] == "[DONE]" for text in texts]
    assert (2, 1) == (sim.stats.connections_accepted, sim.stats.goaways_sent)


async def test_goaway_above_promises_to_process_even_later_streams(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="goaway_above", text="first", count=1), Fault(kind="delay_headers", delay_s=0.2))
    async with reqwest(sim) as client:
        calls = (client.post("chat/completions").body_json(ask(text)).build().send() for text in ("second", "first"))
        responses = await asyncio.gather(*calls)

    assert [200, 200] == [response.status for response in responses]
    assert 2 == sim.ledger.totals.answered == sim.ledger.totals.requests


@pytest.mark.parametrize(("kind", "size"), [("empty_body", 0), ("huge_body", 200_000)])
async def test_success_that_means_nothing(sim: Simulator, kind: str, size: int) -> None:
    sim.faults.add(Fault(kind=kind, size_bytes=200_000))
    response = await post(sim)

    assert (200, size) == (response.status_code, len(response.content))
    assert (Outcome.CUT_BY_SERVER, 0) == (sim.ledger.entries[0].outcome, sim.ledger.totals.calls_billed)


@pytest.mark.parametrize("stream", [False, True])
async def test_right_answer_with_the_wrong_type(sim: Simulator, *, stream: bool) -> None:
    sim.faults.add(Fault(kind="wrong_type"))
    response = await post(sim, stream=stream)

    assert (200, "text/plain") == (response.status_code, response.headers["content-type"])
    assert "choices" in response.text


async def test_goaway_below_spares_earlier_streams_and_the_rest_is_safe_to_repeat(sim: Simulator) -> None:
    below = Fault(kind="goaway_below", text="second", count=1)
    sim.faults.add(Fault(kind="delay_headers", text="first", delay_s=0.2), below)
    async with reqwest(sim) as client:
        first = asyncio.ensure_future(client.post("chat/completions").body_json(ask("first")).build().send())
        await sim.ledger.wait_until(lambda: len(sim.ledger.entries) == 1)
        second = await client.post("chat/completions").body_json(ask("second")).build().send()  # hyper repeats it

        assert [(await first).status, second.status] == [200, 200]
    assert [each.outcome for each in sim.ledger.entries] == [Outcome.ANSWERED, Outcome.CUT_BY_SERVER, Outcome.ANSWERED]


async def test_shrunk_stream_limit_is_kept_by_refusing(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="shrink_streams", max_streams=2, count=1), Fault(kind="delay_headers", delay_s=0.1))
    async with reqwest(sim) as client:
        await client.post("chat/completions").body_json(ask()).build().send()
        calls = (client.post("chat/completions").body_json(ask()).build().send() for _ in range(8))
        responses = await asyncio.gather(*calls)

    assert [response.status for response in responses] == [200] * 8
    assert sim.stats.in_flight_max <= 2


async def test_faults_are_managed_over_the_admin_api(sim: Simulator) -> None:
    url = f"{sim.origin}/__sim__/faults"
    async with http(sim) as client:
        added = await client.put(
            url, json={"faults": [{"kind": "limit_requests", "every": 2}, {"kind": "hang", "nth": 9}]}
        )
        statuses = [(await client.post("/chat/completions", json=ask())).status_code for _ in range(4)]
        listed = (await client.get(url)).json()["faults"]
        await client.delete(f"{url}/{added.json()['added'][0]}")
        left = (await client.get(url)).json()["faults"]
        wrong = await client.post(url, json={"kind": "no_such_thing"})
        await client.delete(url)

    assert statuses == [200, 429, 200, 429]
    assert [(rule["matched"], rule["applied"]) for rule in listed] == [(4, 2), (4, 0)]
    assert [rule["rule"] for rule in left] == [{"kind": "hang", "nth": 9}]
    assert (wrong.status_code, "no_such_thing" in wrong.json()["error"]) == (400, True)
    assert len(sim.faults) == 0


@pytest.mark.parametrize("kind", EFFECTS)
@pytest.mark.parametrize("stream", [True, False])
async def test_no_effect_leaves_a_call_open_behind(sim: Simulator, kind: str, *, stream: bool) -> None:
    sim.faults.add(Fault(kind=kind, delay_s=0.01))
    async with http(sim) as client:
        with contextlib.suppress(httpx.TransportError):
            await client.post("/chat/completions", json=ask(TEN_WORDS, stream=stream), timeout=0.2)
    await sim.stop()

    assert (sim.stats.in_flight_now, sim.ledger.totals.in_flight) == (0, 0)
    assert kind == sim.ledger.entries[0].fault


async def test_goaway_on_http1_is_connection_close(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="goaway", nth=1))
    async with http(sim, http2=False) as client:
        first = await client.post("/chat/completions", json=ask())
        second = await client.post("/chat/completions", json=ask())

    assert ("close", None) == (first.headers.get("connection"), second.headers.get("connection"))
    assert sim.stats.connections_accepted == 2


@pytest.mark.parametrize("kind", ["reset_stream", "close", "tcp_reset", "goaway_close"])
async def test_no_answer_is_an_error_for_an_http1_client(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind))
    with pytest.raises(httpx.TransportError):
        await post(sim, http2=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "nothing", 404), ("DELETE", "faults/99", 404), ("PUT", "faults", 400), ("GET", "ledger?since=x", 400)],
)
async def test_admin_mistake_is_named(sim: Simulator, method: str, path: str, status: int) -> None:
    async with http(sim) as client:
        response = await client.request(method, f"{sim.origin}/__sim__/{path}", content=b"not json")

    assert status == response.status_code
    assert response.json()["error"]


async def test_admin_requests_meet_no_fault_and_are_not_in_the_ledger(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="close"))
    async with http(sim) as client:
        stats = (await client.get(f"{sim.origin}/__sim__/stats")).json()
        reset = (await client.delete(f"{sim.origin}/__sim__/stats")).json()

    assert (1, 0) == (stats["requests"], reset["requests"])
    assert sim.ledger.entries == []


async def test_unary_call_that_hangs_is_billed_when_its_client_leaves(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="hang"))
    async with http(sim) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/completions", json=ask("one two three"), timeout=0.2)
    await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    assert (Outcome.CUT_BY_CLIENT, 3) == (sim.ledger.entries[0].outcome, sim.ledger.entries[0].tokens_billed)
