"""A whole node with several targets: simulated clouds, and a model server on the site that wants no key."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import builders
import pytest
from google.protobuf.duration_pb2 import Duration
from harness.cloud import CHATS, chats
from harness.node import Node
from harness.rpc_failure import failure_of

from edgeclient.config.row_schema import LimitConfig, PriceConfig
from edgeclient.config.target_schema import TargetConfig
from edgeclient.core.events import AttemptFinished, KeyChanged, Uplink, UplinkChanged
from edgeclient.core.quota_events import QuotasRead
from edgeclient.core.route_events import Breaker, BreakerChanged, CallMoved, TargetSetAside, TargetTakenBack
from edgeclient.policy.breaker import IN_A_ROW
from edgeclient.policy.first_bytes import LEAST_S
from edgeclient.simulator import Fault, ModelLimits, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, job_pb2, job_pb2_grpc, node_pb2

SITE = SimulatorConfig(plaintext=True, http1_only=True, api_key="")
LEAST_APART_S = 0.9  # of every third of two in a second
A_SECOND = Duration(seconds=1)
LONGER_THAN_SILENCE = Duration(nanos=int((LEAST_S + 0.25) * 1e9) % 10**9, seconds=1)
PRICES = [PriceConfig(model="qwen-plus", input_per_million=1000, output_per_million=2000)]


def at(sim: Simulator, name: str, **over: Any) -> TargetConfig:
    """A row for a simulated cloud; all share the key of the node and so the account, unless a test says otherwise."""
    facts = {"base_url": sim.base_url, "ca_file": str(sim.ca_file or ""), "keyless": False, "account": "ours"}
    return builders.target(name, **(facts | over))


def on_site(sim: Simulator, **over: Any) -> TargetConfig:
    facts: dict[str, Any] = {"local": True, "keyless": True, "account": "", "names": {"*": "qwen-flash"}}
    return at(sim, "jetson", **(facts | over))


def request(**fields: Any) -> chat_pb2.ChatRequest:
    return builders.chat_request(**({"prompt": "hi", "max_tokens": 20} | fields))


async def ask(node: Node, **fields: Any) -> chat_pb2.ChatResponse:
    response: chat_pb2.ChatResponse = await node.chat.Chat(request(**fields), timeout=20)
    return response


async def status_of(node: Node) -> node_pb2.NodeStatus:
    response: node_pb2.GetNodeStatusResponse = await node.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())
    return response.status


def becomes(target: str, state: Uplink) -> Callable[[UplinkChanged], bool]:
    return lambda event: event.target == target and event.after is state


def told_by(target: str) -> Callable[[QuotasRead], bool]:
    return lambda event: event.target == target


async def online(node: Node, *targets: str) -> None:
    for target in targets:
        await node.seen(UplinkChanged, becomes(target, Uplink.ONLINE))


async def lost(node: Node, *targets: str) -> None:
    for target in targets:
        await node.seen(UplinkChanged, becomes(target, Uplink.OFFLINE))


class Clouds:
    """Simulated clouds by name."""

    def __init__(self, **configs: SimulatorConfig) -> None:
        self._sims = {name: Simulator(config) for name, config in configs.items()}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "dict[str, Simulator]":
        for sim in self._sims.values():
            await self._stack.enter_async_context(sim)
        return self._sims

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def two() -> Clouds:
    return Clouds(beijing=SimulatorConfig(), singapore=SimulatorConfig(seed=2))


class TestOrder:
    async def test_lower_tier_is_asked_and_named_and_every_target_is_probed(self) -> None:
        async with two() as sims:
            rows = [at(sims["singapore"], "singapore", tier=1), at(sims["beijing"], "beijing")]
            async with Node(targets=rows) as node:
                await online(node, "beijing", "singapore")
                response = await ask(node)
                assert (response.target, response.model, response.attempt_count) == ("beijing", "qwen-plus", 1)
                assert not chats(sims["singapore"])
                status = await status_of(node)
                assert [target.name for target in status.targets] == ["beijing", "singapore"]
                assert {target.uplink for target in status.targets} == {node_pb2.UPLINK_STATE_ONLINE}
                assert status.uplink == node_pb2.UPLINK_STATE_ONLINE

    @pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
    async def test_dead_target_is_passed_over_and_the_caller_is_told_who_answered(self, *, streamed: bool) -> None:
        async with two() as sims:
            rows = [at(sims["beijing"], "beijing"), at(sims["singapore"], "singapore", tier=1)]
            async with Node(targets=rows) as node:
                await online(node, "beijing", "singapore")
                await sims["beijing"].stop()
                if streamed:
                    pieces = [piece async for piece in node.chat.StreamChat(request(), timeout=20)]
                    assert {"singapore"} == {piece.target for piece in pieces if piece.target}
                else:
                    assert (await ask(node)).target == "singapore"
                moved = await node.seen(CallMoved)
                assert (moved.before, moved.after) == ("beijing", "singapore")

    async def test_recovered_target_is_asked_again(self) -> None:
        async with two() as sims:
            rows = [at(sims["beijing"], "beijing"), at(sims["singapore"], "singapore", tier=1)]
            async with Node(targets=rows, upstream={"probe_interval_s": 1.0}) as node:
                await online(node, "beijing", "singapore")
                await sims["beijing"].stop()
                for _ in range(6):
                    assert (await ask(node)).target == "singapore"
                await lost(node, "beijing")
                await sims["beijing"].start()
                await node.seen(UplinkChanged, lambda event: event.before is Uplink.OFFLINE)
                assert (await ask(node)).target == "beijing"

    async def test_status_tells_each_target_by_itself(self) -> None:
        async with two() as sims:
            rows = [at(sims["beijing"], "beijing"), at(sims["singapore"], "singapore", tier=1)]
            async with Node(targets=rows) as node:
                await online(node, "beijing", "singapore")
                await sims["beijing"].stop()
                for _ in range(4):
                    await ask(node)
                await lost(node, "beijing")
                status = await status_of(node)
                assert status.uplink == node_pb2.UPLINK_STATE_ONLINE
                assert {target.name: target.uplink for target in status.targets} == {
                    "beijing": node_pb2.UPLINK_STATE_OFFLINE,
                    "singapore": node_pb2.UPLINK_STATE_ONLINE,
                }
                problems = {target.name: target.problem for target in status.targets}
                assert "refuses connections" in problems["beijing"]
                assert problems["singapore"] == ""
                assert {target.account for target in status.targets} == {"ours"}
                assert not any(target.local for target in status.targets)


class TestAccounts:
    async def test_blocked_account_is_set_aside_and_taken_back_with_a_new_key(self, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("sk-invalid-0123456789")
        async with two() as sims:
            rows = [
                at(sims["beijing"], "beijing", account="a", api_key_file=str(key)),
                at(sims["singapore"], "singapore", account="b", tier=1),
            ]
            async with Node(targets=rows) as node:
                await online(node, "singapore")
                assert (await ask(node)).target == "singapore"
                aside = await node.seen(TargetSetAside)
                assert (aside.target, aside.reason) == ("beijing", "UPSTREAM_CREDENTIALS")
                assert "refused this node's API key" in (await status_of(node)).targets[0].problem
                asked = len(chats(sims["beijing"]))
                assert [(await ask(node)).target for _ in range(3)] == ["singapore"] * 3
                assert asked == len(chats(sims["beijing"]))

                other = tmp_path / "new"
                other.write_text("sk-0123456789abcdef")
                other.replace(key)
                await node.seen(KeyChanged, lambda event: event.target == "beijing")
                await node.seen(TargetTakenBack)
                await node.seen(
                    AttemptFinished, lambda event: event.target == "beijing" and event.http_status == HTTPStatus.OK
                )
                assert (await status_of(node)).targets[0].problem == ""
                assert (await ask(node)).target == "beijing"

    async def test_each_target_shows_its_own_key_and_a_keyless_one_none(self, tmp_path: Path) -> None:
        keys = {name: tmp_path / name for name in ("beijing", "singapore")}
        for name, file in keys.items():
            file.write_text(f"sk-of-{name}")
        async with Clouds(
            beijing=SimulatorConfig(api_key="sk-of-beijing"),
            singapore=SimulatorConfig(api_key="sk-of-singapore"),
            jetson=SITE,
        ) as sims:
            rows = [at(sims[name], name, account=name, api_key_file=str(file)) for name, file in keys.items()]
            async with Node(targets=[*rows, on_site(sims["jetson"])]) as node:
                await online(node, "beijing", "singapore", "jetson")
                assert {entry.status for sim in sims.values() for entry in sim.ledger.entries} == {200}
                assert {entry.key_fingerprint for entry in sims["jetson"].ledger.entries} == {""}

    async def test_limits_hold_for_each_account_by_itself(self, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("sk-0123456789abcdef")
        limits = [
            LimitConfig(model="qwen-plus", requests_per_minute=60, requests_per_second=2, account="a"),
            LimitConfig(model="*", requests_per_minute=60, requests_per_second=60),
        ]
        async with Clouds(beijing=SimulatorConfig(), near=SimulatorConfig(), singapore=SimulatorConfig()) as sims:
            rows = [
                at(sims["beijing"], "beijing", account="a", models=["qwen-plus"]),
                at(sims["near"], "near", account="a", models=["qwen-plus"], tier=1),
                at(sims["singapore"], "singapore", account="b", models=["qwen-flash"], api_key_file=str(key)),
            ]
            async with Node(targets=rows, limits=limits) as node:
                await online(node, "beijing", "near", "singapore")
                answers = list(await asyncio.gather(ask(node), ask(node)))
                await sims["beijing"].stop()
                answers += await asyncio.gather(*(ask(node) for _ in range(3)))
                answers += await asyncio.gather(*(ask(node, model="qwen-flash") for _ in range(6)))
                page = await metrics_of(node)
            assert [answer.target for answer in answers] == ["beijing"] * 2 + ["near"] * 3 + ["singapore"] * 6
            assert 'edgeclient_limit{limit="requests_per_second",name="qwen-plus",subject="model"} 2.0' in page
            assert 'edgeclient_limit{limit="requests_per_second",name="qwen-flash@b",subject="model"} 60.0' in page
            of_a = sorted(entry.time for name in ("beijing", "near") for entry in chats(sims[name]))
            assert all(later - earlier >= LEAST_APART_S for earlier, later in zip(of_a, of_a[2:], strict=False))
            of_b = [entry.time for entry in chats(sims["singapore"])]
            assert max(of_b) - min(of_b) < LEAST_APART_S

    async def test_provider_tells_the_limits_of_each_account_by_its_own_names(self, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("sk-0123456789abcdef")
        async with Clouds(
            beijing=SimulatorConfig(limits=(ModelLimits(model="qwen-plus", rpm=120),)),
            singapore=SimulatorConfig(limits=(ModelLimits(model="qwen-max", rpm=600),)),
        ) as sims:
            rows = [
                at(sims["beijing"], "beijing", account="a"),
                at(sims["beijing"], "beijing-too", account="a"),
                at(
                    sims["singapore"],
                    "singapore",
                    account="b",
                    tier=1,
                    api_key_file=str(key),
                    names={"qwen-plus": "qwen-max"},
                ),
            ]
            async with Node(targets=rows, upstream={"read_quotas": "always"}) as node:
                for name in ("beijing", "singapore"):
                    await node.seen(QuotasRead, told_by(name))
                sims["beijing"].faults.add(Fault(kind="internal_error", path=CHATS))
                assert (await ask(node)).target == "singapore"
                page = await metrics_of(node)
                assert {"beijing", "singapore"} == {event.target for event in node.told(QuotasRead)}
        assert 'edgeclient_limit{limit="requests_per_minute",name="qwen-plus@b",subject="model"} 600.0' in page
        assert 'edgeclient_limit{limit="requests_per_minute",name="qwen-plus",subject="model"} 120.0' in page


class TestRoom:
    async def test_limit_that_is_used_up_sends_calls_to_the_account_that_has_room(self, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("sk-0123456789abcdef")
        limits = [LimitConfig(model="qwen-plus", requests_per_minute=2, requests_per_second=2)]
        async with two() as sims:
            rows = [
                at(sims["beijing"], "beijing", account="a"),
                at(sims["singapore"], "singapore", account="b", tier=1, api_key_file=str(key)),
            ]
            async with Node(targets=rows, limits=limits) as node:
                await online(node, "beijing", "singapore")
                async with asyncio.timeout(LEAST_APART_S):  # a place of "beijing" comes back after a minute
                    answers = await asyncio.gather(*(ask(node) for _ in range(4)))
        assert Counter(answer.target for answer in answers) == {"beijing": 2, "singapore": 2}
        assert {answer.attempt_count for answer in answers} == {1}

    async def test_calls_that_have_to_wait_share_the_lines(self, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("sk-0123456789abcdef")
        limits = [LimitConfig(model="qwen-plus", requests_per_minute=60, requests_per_second=1)]
        async with two() as sims:
            rows = [
                at(sims["beijing"], "beijing", account="a"),
                at(sims["singapore"], "singapore", account="b", tier=1, api_key_file=str(key)),
            ]
            async with Node(targets=rows, limits=limits) as node:
                await online(node, "beijing", "singapore")
                answers = await asyncio.gather(*(ask(node) for _ in range(6)))
        assert Counter(answer.target for answer in answers) == {"beijing": 3, "singapore": 3}

    async def test_pause_that_was_told_to_one_call_is_kept_by_all(self) -> None:
        async with Clouds(beijing=SimulatorConfig()) as sims:
            sim = sims["beijing"]
            async with Node(targets=[at(sim, "beijing")]) as node:
                await online(node, "beijing")
                sim.faults.add(Fault(kind="limit_requests", path=CHATS, retry_after="2", count=1))
                told = await failure_of(node.chat.Chat(request(timeout=A_SECOND), timeout=20))
                hasty = await failure_of(node.chat.Chat(request(timeout=A_SECOND), timeout=20))
                asked = len(chats(sim))
                patient = await asyncio.gather(*(ask(node) for _ in range(3)))
                first, *others = [entry.time for entry in chats(sim)]
        assert [told.reason, hasty.reason] == ["UPSTREAM_RATE_LIMITED"] * 2
        assert {told.code, hasty.code} == {"RESOURCE_EXHAUSTED"}
        assert hasty.pushback_ms > 1000
        assert asked == 1
        assert {answer.attempt_count for answer in patient} == {1}
        assert all(other - first >= 2 for other in others)

    async def test_black_hole_opens_the_breaker_though_the_callers_give_up_first(self) -> None:
        async with two() as sims:
            rows = [at(sims["beijing"], "beijing"), at(sims["singapore"], "singapore", tier=1)]
            async with Node(targets=rows) as node:
                await online(node, "beijing", "singapore")
                assert (await ask(node)).target == "beijing"
                sims["beijing"].faults.add(Fault(kind="hang", path=CHATS))
                for _ in range(IN_A_ROW):
                    failure = await failure_of(node.chat.Chat(request(timeout=LONGER_THAN_SILENCE), timeout=20))
                    assert failure.reason == "DEADLINE"
                opened = await node.seen(BreakerChanged)
                assert (opened.target, opened.after) == ("beijing", Breaker.OPEN)
                status = {target.name: target for target in (await status_of(node)).targets}
                assert (await ask(node)).target == "singapore"
        assert (status["beijing"].breaker, status["beijing"].tier) == (node_pb2.BREAKER_STATE_OPEN, 0)
        assert (status["singapore"].breaker, status["singapore"].tier) == (node_pb2.BREAKER_STATE_CLOSED, 1)


class TestModels:
    async def test_model_goes_by_its_name_at_the_target_and_costs_what_it_is_there(self) -> None:
        async with two() as sims:
            rows = [at(sims["beijing"], "beijing", names={"qwen-plus": "qwen-max"}, price_factor=0.5)]
            async with Node(targets=rows, prices=PRICES) as node:
                response = await ask(node)
                (entry,) = chats(sims["beijing"])
                assert (entry.model, response.model) == ("qwen-max", "qwen-max")
                usage = response.usage
                expected = (usage.prompt_tokens * 1000 + usage.completion_tokens * 2000) * 1000 // 2
                assert (usage.cost_nanos, usage.currency_code) == (expected, "CNY")
                attempt = await node.seen(AttemptFinished, lambda event: bool(event.model))
                assert (attempt.model, attempt.target, attempt.cost_nanos) == ("qwen-plus", "beijing", expected)

    async def test_stream_names_the_model_that_serves_from_its_first_piece_on(self) -> None:
        async with two() as sims:
            rows = [at(sims["beijing"], "beijing", names={"qwen-plus": "qwen-max"})]
            async with Node(targets=rows) as node:
                pieces = [piece async for piece in node.chat.StreamChat(request(), timeout=20)]
        assert [piece.model for piece in pieces if piece.model] == ["qwen-max"]

    async def test_model_is_asked_where_it_is_served(self) -> None:
        async with two() as sims:
            rows = [
                at(sims["beijing"], "beijing", models=["qwen-flash"]),
                at(sims["singapore"], "singapore", tier=1, models=["qwen-plus"]),
            ]
            async with Node(targets=rows) as node:
                assert (await ask(node)).target == "singapore"
                assert (await ask(node, model="qwen-flash")).target == "beijing"
                listed: node_pb2.ListModelsResponse = await node.node.ListModels(node_pb2.ListModelsRequest())
                assert {"qwen-plus", "qwen-flash"} == {model.id for model in listed.models}
                failure = await failure_of(node.chat.Chat(request(model="qwen-max"), timeout=20))
                assert failure.reason == "MODEL_NOT_FOUND", failure

    async def test_stand_in_answers_and_is_named(self) -> None:
        async with two() as sims:
            sims["beijing"].faults.add(Fault(kind="internal_error", path=CHATS, model="qwen-max"))
            rows = [at(sims["beijing"], "beijing")]
            route = {"fallback_models": {"qwen-max": "qwen-plus"}}
            async with Node(targets=rows, route=route, prices=PRICES) as node:
                response = await ask(node, model="qwen-max")
                assert (response.target, response.model) == ("beijing", "qwen-plus")
                assert response.usage.cost_nanos > 0


class TestOnSite:
    async def test_local_target_serves_live_calls_while_all_others_are_away(self, tmp_path: Path) -> None:
        async with Clouds(beijing=SimulatorConfig(), jetson=SITE) as sims:
            rows = [on_site(sims["jetson"]), at(sims["beijing"], "beijing")]
            spool = {"directory": str(tmp_path / "spool"), "disk_floor_bytes": 0}
            async with Node(targets=rows, spool=spool, prices=PRICES) as node:
                await online(node, "beijing", "jetson")
                assert (await ask(node)).target == "beijing"
                assert not chats(sims["jetson"])

                await sims["beijing"].stop()
                while (answer := await ask(node)).target != "jetson":  # the first may find out that it is away
                    pass
                assert (answer.model, answer.usage.cost_nanos, answer.usage.currency_code) == ("qwen-flash", 0, "CNY")
                await lost(node, "beijing")

                jobs = job_pb2_grpc.JobServiceStub(node.channel)
                submitted = await jobs.SubmitJob(job_pb2.SubmitJobRequest(request=request(prompt="later")))
                assert (await ask(node, prompt="now")).target == "jetson"
                waiting = await jobs.GetJob(job_pb2.GetJobRequest(job_id=submitted.job.id))
                assert waiting.job.state == job_pb2.JOB_STATE_PENDING

                await sims["beijing"].start()
                ended = await jobs.WaitJob(job_pb2.WaitJobRequest(job_id=submitted.job.id), timeout=20)
                assert (ended.job.state, ended.job.response.target) == (job_pb2.JOB_STATE_SUCCEEDED, "beijing")

    async def test_health_and_offline_policies_follow_the_best_target(self) -> None:
        async with Clouds(beijing=SimulatorConfig(), jetson=SITE) as sims:
            rows = [on_site(sims["jetson"]), at(sims["beijing"], "beijing")]
            async with Node(targets=rows) as node:
                await online(node, "beijing", "jetson")
                await sims["beijing"].stop()
                await sims["jetson"].stop()
                for _ in range(6):
                    await failure_of(node.chat.Chat(request(), timeout=20))
                await lost(node, "beijing", "jetson")
                failure = await failure_of(node.chat.Chat(request(), timeout=20))
                assert failure.reason == "UPLINK_OFFLINE"
                assert (await status_of(node)).uplink == node_pb2.UPLINK_STATE_OFFLINE


async def metrics_of(node: Node) -> str:
    reader, writer = await asyncio.open_connection(*node.admin.rsplit(":", 1))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    page = await reader.read()
    writer.close()
    return page.decode()
