"""File Batch of the simulated cloud, seen by real HTTP clients: upload, create, poll, download, and what goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sim_clients import GUARD_S, ask, http

from edgeclient.simulator import (
    Batch,
    BatchPace,
    BatchRules,
    Entry,
    Fault,
    Kind,
    Outcome,
    Simulator,
    SimulatorConfig,
    Status,
)

CHAT = "/v1/chat/completions"
TEST = "/v1/chat/ds-test"
MANUAL = BatchPace(manual=True)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with asyncio.timeout(GUARD_S), Simulator() as simulator:
        yield simulator


@pytest.fixture
async def hand() -> AsyncIterator[Simulator]:
    """A cloud whose batches a test moves by hand."""
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(batch_pace=MANUAL)) as simulator:
        yield simulator


def jsonl(*texts: str, url: str = CHAT, **over: Any) -> bytes:
    """Requests with the custom ids job-1, job-2, ..."""
    lines = [
        {"custom_id": f"job-{number}", "method": "POST", "url": url, "body": ask(text, **over)}
        for number, text in enumerate(texts, 1)
    ]
    return "\n".join(json.dumps(line) for line in lines).encode()


async def upload(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    form = {"purpose": "batch"}
    return await client.post("/files", data=form, files={"file": ("in.jsonl", content, "application/jsonl")})


async def create(client: httpx.AsyncClient, file_id: str, **over: Any) -> httpx.Response:
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"} | over
    return await client.post("/batches", json=body)


async def begin(sim: Simulator, client: httpx.AsyncClient, content: bytes, **over: Any) -> Batch:
    """Upload and create."""
    file = (await upload(client, content)).json()
    batch = sim.batches.get((await create(client, file["id"], **over)).json()["id"])
    assert batch is not None
    return batch


async def ended(sim: Simulator, batch: Batch) -> None:
    await sim.ledger.wait_until(lambda: batch.ended)


async def results(client: httpx.AsyncClient, file_id: str | None) -> dict[str, Any]:
    """The lines of a result file by custom id."""
    text = (await client.get(f"/files/{file_id}/content")).text
    return {line["custom_id"]: line for line in map(json.loads, text.splitlines())}


def lines_of(sim: Simulator) -> list[Entry]:
    return sorted((entry for entry in sim.ledger.entries if entry.kind is Kind.BATCH_FILE), key=lambda e: e.line or 0)


@pytest.mark.parametrize("http2", [True, False])
async def test_batch_goes_from_upload_to_results(sim: Simulator, *, http2: bool) -> None:
    async with http(sim, http2=http2) as client:
        file = (await upload(client, jsonl("one", "two"))).json()
        created = (await create(client, file["id"], metadata={"ds_name": "night"})).json()
        batch = sim.batches.get(created["id"])
        assert batch is not None
        await ended(sim, batch)
        shown = (await client.get(f"/batches/{created['id']}")).json()
        lines = await results(client, shown["output_file_id"])

    assert ("batch", "processed", "in.jsonl") == (file["purpose"], file["status"], file["filename"])
    assert ("validating", {"total": 0, "completed": 0, "failed": 0}) == (created["status"], created["request_counts"])
    assert ("completed", {"total": 2, "completed": 2, "failed": 0}) == (shown["status"], shown["request_counts"])
    assert ({"ds_name": "night"}, None) == (shown["metadata"], shown["error_file_id"])
    assert shown["in_progress_at"] <= shown["finalizing_at"] <= shown["completed_at"]
    assert ["one", "two"] == [
        lines[name]["response"]["body"]["choices"][0]["message"]["content"] for name in ("job-1", "job-2")
    ]


async def test_lines_are_billed_at_half_price_and_only_when_they_succeed(sim: Simulator) -> None:
    content = jsonl("one two", "three") + b"\n" + jsonl("x", temperature=7).replace(b"job-1", b"job-3")
    async with http(sim) as client:
        batch = await begin(sim, client, content)
        await ended(sim, batch)
        failed = await results(client, batch.error_file_id)

    entries = lines_of(sim)
    assert [(0.5, 2), (0.5, 1), (0.5, 0)] == [(entry.price_factor, entry.tokens_billed) for entry in entries]
    assert [("job-1", batch.id, 1), ("job-2", batch.id, 2), ("job-3", batch.id, 3)] == [
        (entry.custom_id, entry.batch_id, entry.line) for entry in entries
    ]
    assert (400, "invalid_parameter_error") == (
        failed["job-3"]["response"]["status_code"],
        failed["job-3"]["error"]["code"],
    )
    assert (2, 3) == (
        sim.ledger.totals.by_kind[Kind.BATCH_FILE].calls,
        sim.ledger.totals.by_kind[Kind.BATCH_FILE].tokens,
    )
    assert Kind.MANAGEMENT not in sim.ledger.totals.by_kind


async def test_question_that_is_paid_live_and_in_a_batch_is_pointed_out(sim: Simulator) -> None:
    async with http(sim) as client:
        await client.post("/chat/completions", json=ask("same", stream=True))
        await client.post("/chat/completions", json=ask("other"))
        await ended(sim, await begin(sim, client, jsonl("same", "third")))
        told = (await client.get(f"{sim.origin}/__sim__/ledger")).json()["paid_more_than_once"]

    assert [["live", "batch_file job-1"]] == [payment["ways"] for payment in told]
    assert [] == sim.ledger.billed_more_than_once()


async def test_admin_api_moves_a_batch_through_its_states(hand: Simulator) -> None:
    async with http(hand) as client:
        batch = await begin(hand, client, jsonl("one", "two", "three"))
        url = f"{hand.origin}/__sim__/batches/{batch.id}"
        seen = [(await client.post(f"{url}/step", params={"lines": 2})).json() for _ in range(4)]
        listed = (await client.get(f"{hand.origin}/__sim__/batches")).json()["batches"]
        wrong = [
            (await client.request(method, path)).status_code
            for method, path in (
                ("POST", f"{url}x/step"),
                ("POST", f"{url}/jump"),
                ("DELETE", url),
                ("POST", f"{url}/step?lines=x"),
            )
        ]
        one = (await client.get(url)).json()

    assert ["in_progress", "in_progress", "finalizing", "completed"] == [each["status"] for each in seen]
    assert [3, 1, 0, 0] == [each["pending"] for each in seen]
    assert [one] == listed
    assert [404, 404, 404, 400] == wrong


async def test_admin_api_finishes_and_expires(hand: Simulator) -> None:
    async with http(hand) as client:
        first = await begin(hand, client, jsonl("one"))
        second = await begin(hand, client, jsonl("one"))
        finished = (await client.post(f"{hand.origin}/__sim__/batches/{first.id}/finish")).json()
        expired = (await client.post(f"{hand.origin}/__sim__/batches/{second.id}/expire")).json()

    assert ("completed", "expired") == (finished["status"], expired["status"])


async def test_file_that_breaks_the_rules_fails_the_batch_and_costs_nothing(sim: Simulator) -> None:
    content = jsonl("one", "two").replace(b"job-2", b"job-1")
    async with http(sim) as client:
        batch = await begin(sim, client, content)
        await ended(sim, batch)
        shown = (await client.get(f"/batches/{batch.id}")).json()

    assert ("failed", None, None) == (shown["status"], shown["output_file_id"], shown["error_file_id"])
    assert ("list", "duplicate_custom_id", 2) == (
        shown["errors"]["object"],
        shown["errors"]["data"][0]["code"],
        shown["errors"]["data"][0]["line"],
    )
    assert shown["failed_at"] is not None
    assert [] == lines_of(sim)


async def test_file_id_serves_for_more_than_one_batch(sim: Simulator) -> None:
    async with http(sim) as client:
        first = await begin(sim, client, jsonl("one"))
        again = (await create(client, first.input_file_id)).json()
        batch = sim.batches.get(again["id"])
        assert batch is not None
        await ended(sim, batch)

    assert first.id != batch.id
    assert Status.COMPLETED is batch.status


async def test_cancel_ends_after_what_is_in_work_and_bills_it(hand: Simulator) -> None:
    async with http(hand) as client:
        batch = await begin(hand, client, jsonl("one", "two"))
        await hand.batches.step(batch)
        await hand.batches.step(batch, lines=1)
        cancelled = (await client.post(f"/batches/{batch.id}/cancel")).json()
        await hand.batches.step(batch)
        again = await client.post(f"/batches/{batch.id}/cancel")
        left = await results(client, batch.error_file_id)

    assert ("cancelling", "cancelled") == (cancelled["status"], again.json()["status"])
    assert {"total": 2, "completed": 1, "failed": 1} == again.json()["request_counts"]
    assert [None] == [line["response"] for line in left.values()]
    assert 1 == hand.ledger.totals.calls_billed


async def test_expiry_gives_up_what_hangs_delivers_the_rest_and_bills_only_that() -> None:
    config = SimulatorConfig(
        batch_pace=BatchPace(time_scale=86_400 / 0.3),  # 24 hours pass in 0.3 s
        faults=(Fault(kind="hang", custom_id="job-2"),),
    )
    async with asyncio.timeout(GUARD_S), Simulator(config) as sim, http(sim) as client:
        batch = await begin(sim, client, jsonl("one", "two", "three"))
        await ended(sim, batch)
        done, left = await results(client, batch.output_file_id), await results(client, batch.error_file_id)

    assert Status.EXPIRED is batch.status
    assert (["job-1", "job-3"], ["job-2"]) == (sorted(done), sorted(left))
    assert ("batch_expired", None) == (left["job-2"]["error"]["code"], left["job-2"]["response"])
    assert [1, 0, 1] == [entry.tokens_billed for entry in lines_of(sim)]
    assert Outcome.CUT_BY_SERVER is lines_of(sim)[1].outcome


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Fault(kind="data_inspection_failed", line=2), "data_inspection_failed"),
        (Fault(kind="model_unavailable", custom_id="job-2"), "ModelUnavailable"),
        (Fault(kind="internal_error", text="two", model="sim-*"), "internal_error"),
        (Fault(kind="cut", line=2), "internal_error"),
        (Fault(kind="tcp_reset", line=2), "internal_error"),
    ],
)
async def test_line_meets_the_same_faults_as_a_live_call(sim: Simulator, rule: Fault, code: str) -> None:
    sim.faults.add(rule)
    async with http(sim) as client:
        batch = await begin(sim, client, jsonl("one", "two", "three"))
        await ended(sim, batch)
        failed = await results(client, batch.error_file_id)

    assert {"job-2": code} == {name: line["error"]["code"] for name, line in failed.items()}
    assert [1, 0, 1] == [entry.tokens_billed for entry in lines_of(sim)]


async def test_rule_for_live_calls_leaves_lines_alone(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="limit_requests", call=Kind.LIVE))
    async with http(sim) as client:
        batch = await begin(sim, client, jsonl("one"))
        await ended(sim, batch)
        live = await client.post("/chat/completions", json=ask())

    assert (1, 429) == (batch.view()["request_counts"]["completed"], live.status_code)


@pytest.mark.parametrize("kind", ["close", "tcp_reset", "reset_stream", "cut", "cut_connection"])
async def test_batch_can_be_created_though_its_answer_is_lost(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind, path="*/batches", method="POST", executed=True, count=1))
    async with http(sim) as client:
        file = (await upload(client, jsonl("one"))).json()
        with pytest.raises(httpx.TransportError):
            await create(client, file["id"], metadata={"ds_name": "the lost one"})
    async with http(sim) as client:
        (found,) = (await client.get("/batches", params={"ds_name": "lost", "input_file_ids": file["id"]})).json()[
            "data"
        ]

    assert "the lost one" == found["metadata"]["ds_name"]
    (entry,) = [entry for entry in sim.ledger.entries if entry.path.endswith("/batches") and entry.method == "POST"]
    assert entry.answer_lost


@pytest.mark.parametrize("kind", ["http_502", "http_504", "close", "refused_stream"])
async def test_batch_is_not_created_where_the_fault_comes_before_it(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind, path="*/batches", method="POST", count=1))
    async with http(sim) as client:
        file = (await upload(client, jsonl("one"))).json()
        try:
            status = (await create(client, file["id"])).status_code
        except httpx.TransportError:
            status = 0

    assert 200 != status
    assert [] == sim.batches.newest_first()


async def test_answered_error_may_hide_a_created_batch(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="http_504", path="*/batches", method="POST", executed=True))
    async with http(sim) as client:
        file = (await upload(client, jsonl("one"))).json()
        status = (await create(client, file["id"])).status_code

    assert (504, 1) == (status, len(sim.batches.newest_first()))


@pytest.mark.parametrize("kind", ["cut", "cut_connection"])
async def test_download_that_breaks_off_gives_half_and_the_next_all(sim: Simulator, kind: str) -> None:
    sim.faults.add(Fault(kind=kind, path="*/content", nth=1))
    async with http(sim) as client:
        batch = await begin(sim, client, jsonl("one " * 5_000))
        await ended(sim, batch)
        with pytest.raises(httpx.TransportError):
            await client.get(f"/files/{batch.output_file_id}/content")
        whole = await results(client, batch.output_file_id)

    assert {"job-1"} == whole.keys()


async def test_truncated_download_is_no_json(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="malformed_chunk", path="*/content"))
    async with http(sim) as client:
        batch = await begin(sim, client, jsonl("one"))
        await ended(sim, batch)
        with pytest.raises(json.JSONDecodeError):
            await results(client, batch.output_file_id)


async def test_live_answer_that_is_lost_after_it_was_made_is_billed(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="close", executed=True, nth=1), Fault(kind="cut", executed=True, nth=2))
    async with http(sim) as client:
        for _ in range(2):
            with pytest.raises(httpx.TransportError):
                await client.post("/chat/completions", json=ask("one two three"))

    assert [(True, 3), (True, 3)] == [(entry.answer_lost, entry.tokens_billed) for entry in sim.ledger.entries]


async def test_stream_that_is_cut_after_it_was_made_is_billed_as_far_as_it_came(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="cut", executed=True, after_chunks=2))
    async with http(sim) as client:
        with pytest.raises(httpx.TransportError):
            await client.post("/chat/completions", json=ask("one two three four five six", stream=True))

    (entry,) = sim.ledger.entries
    assert (Outcome.CUT_BY_SERVER, True, 4) == (entry.outcome, entry.answer_lost, entry.tokens_billed)


async def test_dry_run_answers_without_cost(sim: Simulator) -> None:
    content = jsonl("one", "two", model="batch-test-model", url=TEST)
    async with http(sim) as client:
        batch = await begin(sim, client, content, endpoint=TEST)
        await ended(sim, batch)
        lines = await results(client, batch.output_file_id)

    assert {"This is a test result."} == {
        line["response"]["body"]["choices"][0]["message"]["content"] for line in lines.values()
    }
    assert (0, 0, 0.0) == (
        sim.ledger.totals.tokens_billed,
        sim.ledger.totals.calls_billed,
        lines_of(sim)[0].price_factor,
    )


async def test_embeddings_can_be_batched(sim: Simulator) -> None:
    body = {"model": "text-embedding-v4", "input": "a", "dimensions": 8}
    line = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": body}
    async with http(sim) as client:
        batch = await begin(sim, client, json.dumps(line).encode(), endpoint="/v1/embeddings")
        await ended(sim, batch)
        lines = await results(client, batch.output_file_id)

    assert 8 == len(lines["e"]["response"]["body"]["data"][0]["embedding"])


@pytest.mark.parametrize(
    ("over", "status", "part"),
    [
        ({"input_file_id": "file-batch-none"}, 404, "file-batch-none"),
        ({"endpoint": "/v1/completions"}, 400, "endpoint"),
        ({"completion_window": "23h"}, 400, "completion_window"),
        ({"completion_window": "337h"}, 400, "completion_window"),
        ({"completion_window": "15d"}, 400, "completion_window"),
        ({"completion_window": "1.5d"}, 400, "completion_window"),
        ({"metadata": {"ds_name": "x" * 101}}, 400, "ds_name"),
        ({"metadata": {"ds_description": "x" * 201}}, 400, "ds_description"),
        ({"metadata": {"count": 3}}, 400, "metadata"),
    ],
)
async def test_batch_that_cannot_be_is_refused_by_its_field(
    hand: Simulator, over: dict[str, Any], status: int, part: str
) -> None:
    async with http(hand) as client:
        file = (await upload(client, jsonl("one"))).json()
        refused = await create(client, over.pop("input_file_id", file["id"]), **over)

    assert status == refused.status_code
    assert part in refused.json()["error"]["message"]
    assert [] == hand.batches.newest_first()


@pytest.mark.parametrize("window", ["24h", "336h", "1d", "14d"])
async def test_completion_window_is_24_to_336_hours(hand: Simulator, window: str) -> None:
    async with http(hand) as client:
        batch = await begin(hand, client, jsonl("one"), completion_window=window)

    assert window == batch.view()["completion_window"]


async def test_batches_are_listed_in_pages_newest_first(hand: Simulator) -> None:
    async with http(hand) as client:
        made = [(await begin(hand, client, jsonl("one"))).id for _ in range(5)]
        pages: list[list[str]] = []
        after = None
        while after is not None or not pages:
            params = {"limit": "2"} | ({"after": after} if after else {})
            page = (await client.get("/batches", params=params)).json()
            pages.append([each["id"] for each in page["data"]])
            assert (pages[-1][0], pages[-1][-1]) == (page["first_id"], page["last_id"])
            after = page["last_id"] if page["has_more"] else None

    assert [2, 2, 1] == [len(page) for page in pages]
    assert made[::-1] == [each for page in pages for each in page]


async def test_batches_can_be_searched_as_the_provider_documents_it(hand: Simulator) -> None:
    async with http(hand) as client:
        first = await begin(hand, client, jsonl("one"), metadata={"ds_name": "Night run 1"})
        second = await begin(hand, client, jsonl("two"), metadata={"ds_name": "Day run"})
        await hand.batches.finish(second)
        found = {
            name: [each["id"] for each in (await client.get("/batches", params={name: value})).json()["data"] or []]
            for name, value in {
                "ds_name": "ght ru",
                "status": "completed,expired",
                "input_file_ids": f"{first.input_file_id},x",
                "create_after": "20200101000000",
                "create_before": "20200101000000",
            }.items()
        }
        none_later = (await client.get("/batches", params={"create_after": "29990101000000"})).json()["data"]
        empty = (await client.get("/batches", params={"ds_name": "none"})).json()

    assert {
        "ds_name": [first.id],
        "status": [second.id],
        "input_file_ids": [first.id],
        "create_after": [second.id, first.id],
        "create_before": [],
    } == found
    assert none_later is None
    assert {"object": "list", "data": None, "first_id": None, "last_id": None, "has_more": False} == empty


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "after=batch_none",
        "status=done",
        "create_after=2025-01-01",
        f"input_file_ids={','.join('x' * 21)}",
    ],
)
async def test_search_that_cannot_be_is_refused_by_its_parameter(hand: Simulator, query: str) -> None:
    async with http(hand) as client:
        await begin(hand, client, jsonl("one"))
        refused = await client.get(f"/batches?{query}")

    assert 400 == refused.status_code
    assert query.partition("=")[0] in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/files/none", 404),
        ("DELETE", "/files/none", 404),
        ("GET", "/files/none/content", 404),
        ("POST", "/files/none", 404),
        ("GET", "/batches/none", 404),
        ("POST", "/batches/none/cancel", 404),
        ("POST", "/batches/none/pause", 404),
        ("GET", "/files?limit=3000", 400),
    ],
)
async def test_what_is_not_there_has_its_status(sim: Simulator, method: str, path: str, status: int) -> None:
    async with http(sim) as client:
        response = await client.request(method, path)

    assert status == response.status_code
    assert response.json()["error"]["message"]


async def test_files_are_shown_listed_and_deleted(hand: Simulator) -> None:
    async with http(hand) as client:
        first = (await upload(client, jsonl("one"))).json()
        second = (await upload(client, jsonl("two"))).json()
        shown = (await client.get(f"/files/{first['id']}")).json()
        listed = (await client.get("/files", params={"purpose": "batch", "limit": 1})).json()
        none = (await client.get("/files", params={"purpose": "batch_output"})).json()
        deleted = (await client.delete(f"/files/{first['id']}")).json()
        gone = await client.get(f"/files/{first['id']}")

    assert first == shown
    assert ([second], True) == (listed["data"], listed["has_more"])
    assert none["data"] is None
    assert ({"id": first["id"], "object": "file", "deleted": True}, 404) == (deleted, gone.status_code)


async def test_what_was_uploaded_cannot_be_downloaded(sim: Simulator) -> None:
    async with http(sim) as client:
        file = (await upload(client, jsonl("one"))).json()
        refused = await client.get(f"/files/{file['id']}/content")

    assert 400 == refused.status_code
    assert "file-batch_output" in refused.json()["error"]["message"]


async def test_upload_above_the_limits_is_refused() -> None:
    rules = BatchRules(file_bytes=100_000, files=1)
    async with Simulator(SimulatorConfig(batch=rules, max_body_bytes=1_000)) as sim, http(sim) as client:
        statuses = [
            (await upload(client, b"x" * size)).status_code for size in (100_001, 100_000 + 200_000, 100_000, 1)
        ]
        other = await client.post("/chat/completions", content=b"x" * 2_000)

    assert [400, 413, 200, 400] == statuses
    assert 413 == other.status_code


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ({"data": {"purpose": "fine-tune"}, "files": {"file": b"x"}}, "purpose"),
        ({"files": {"file": b"x"}}, "purpose"),
        ({"files": {"purpose": (None, "batch")}}, "file"),
        ({"json": {"purpose": "batch"}}, "multipart"),
    ],
)
async def test_upload_that_cannot_be_is_refused_by_its_field(sim: Simulator, form: dict[str, Any], part: str) -> None:
    async with http(sim) as client:
        refused = await client.post("/files", **form)

    assert 400 == refused.status_code
    assert part in refused.json()["error"]["message"]


async def test_too_many_management_calls_are_throttled_in_the_words_of_the_provider() -> None:
    config = SimulatorConfig(batch=BatchRules(api_limits=True), batch_pace=MANUAL)
    async with Simulator(config, clock=lambda: 1_000.0) as sim, http(sim) as client:
        uploads = await asyncio.gather(*(upload(client, jsonl("one")) for _ in range(5)))
        report = (await client.get(f"{sim.origin}/__sim__/limits")).json()["batch_api"]["upload"]
        batch = await create(client, uploads[0].json().get("id") or uploads[4].json()["id"])
        lists = await asyncio.gather(*(client.get("/batches") for _ in range(101)))

    refused = [response.json()["error"] for response in uploads if response.status_code == 429]
    assert 2 == len(refused)
    assert "Batch requests are being throttled" in refused[0]["message"]
    assert "insufficient_quota" == refused[0]["code"]
    assert (3, 2, 3) == (report["admitted"], report["refused"], report["highest"])
    assert 200 == batch.status_code
    assert [429] == [response.status_code for response in lists if response.status_code != 200]


async def test_too_many_batches_at_a_time_are_throttled() -> None:
    config = SimulatorConfig(batch=BatchRules(running=2), batch_pace=MANUAL)
    async with Simulator(config) as sim, http(sim) as client:
        batch = await begin(sim, client, jsonl("one"))
        statuses = [(await create(client, batch.input_file_id)).status_code for _ in range(2)]
        sim.batches.expire(batch)
        statuses.append((await create(client, batch.input_file_id)).status_code)

    assert [200, 429, 200] == statuses


async def test_management_asks_for_a_key() -> None:
    async with Simulator(SimulatorConfig(api_key="sk-right")) as sim:
        async with http(sim, key="sk-wrong") as client:
            wrong = [(await client.get(path)).status_code for path in ("/files", "/batches")]
        async with http(sim, key="sk-right") as client:
            batch = await begin(sim, client, jsonl("one"))
            await ended(sim, batch)

    assert [401, 401] == wrong
    assert Status.COMPLETED is batch.status


async def test_batch_survives_an_outage_and_no_line_is_paid_twice() -> None:
    rule = Fault(kind="hang", custom_id="job-2", count=1)
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(faults=(rule,))) as sim:
        async with http(sim) as client:
            batch = await begin(sim, client, jsonl("one", "two", "three"))
            await sim.ledger.wait_until(lambda: len(lines_of(sim)) == 3 and batch.in_work.keys() == {2})
        await sim.stop()
        await sim.start()
        await ended(sim, batch)
        async with http(sim) as client:
            lines = await results(client, batch.output_file_id)

    assert {"job-1", "job-2", "job-3"} == lines.keys()
    assert (3, []) == (sim.ledger.totals.calls_billed, sim.ledger.paid_more_than_once())


async def test_pace_of_a_batch_is_scaled() -> None:
    pace = BatchPace(validating_s=60, line_s=120, finalizing_s=60, parallel=1, time_scale=6_000)
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig(batch_pace=pace)) as sim, http(sim) as client:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        batch = await begin(sim, client, jsonl("one", "two"))
        await ended(sim, batch)
        lasted_s = loop.time() - begun_s

    assert Status.COMPLETED is batch.status
    assert lasted_s >= (60 + 120 + 120 + 60) / 6_000 - 0.01
