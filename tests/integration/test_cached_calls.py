"""A whole node before a simulated cloud: what is paid for once is given again, and told as what it is."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import builders
import pytest
from cache_bench import NODE_KEY
from fakes.command_line import command
from harness.cloud import CHATS, arrived, chats, idle
from harness.node import Node
from harness.redis_server import RedisServer, needs_redis
from harness.rpc_failure import failure_of

from edgeclient.caching import forgotten
from edgeclient.core.cache_events import CacheStoreLost, PreparedChanged
from edgeclient.core.events import CallFinished
from edgeclient.simulator import Fault, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, job_pb2, job_pb2_grpc, node_pb2

SECRET = "the boiler in hall 7 reads 97 degrees"
UPSTREAM, CACHE = chat_pb2.RESPONSE_SOURCE_UPSTREAM, chat_pb2.RESPONSE_SOURCE_CACHE
COALESCED, STALE = chat_pb2.RESPONSE_SOURCE_COALESCED, chat_pb2.RESPONSE_SOURCE_STALE_CACHE
PREPARED = """\
[[pinned]]
questions = ["Who are you?"]
answer = "The node of hall 7."

[templates.diagnose]
prompt = "{sensor} reads {value}: what is wrong?"
max_tokens = 40
"""


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(keep_bodies=True, sampling=True)) as sim:
        yield sim


@pytest.fixture
async def node(sim: Simulator) -> AsyncIterator[Node]:
    async with Node(sim) as node:
        yield node


def fixed(**fields: Any) -> chat_pb2.ChatRequest:
    return builders.chat_request(**({"prompt": SECRET, "temperature": 0.0} | fields))


async def pieces(node: Node, request: chat_pb2.ChatRequest) -> list[chat_pb2.StreamChatResponse]:
    return [piece async for piece in node.chat.StreamChat(request)]


def text(got: list[chat_pb2.StreamChatResponse]) -> str:
    return "".join(piece.content for piece in got)


def raw(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_same_answer_is_paid_for_once(sim: Simulator, node: Node) -> None:
    first, second = [await node.chat.Chat(fixed()) for _ in range(2)]

    assert 1 == len(chats(sim))
    assert first.message == second.message
    assert [UPSTREAM, CACHE] == [first.source, second.source]
    assert first.usage == second.usage
    assert second.HasField("cache_age")
    paid = [(event.source, event.prompt_tokens > 0, event.attempt_count) for event in node.told(CallFinished)]
    assert [("upstream", True, 1), ("cache", False, 0)] == paid
    status = (await node.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())).status
    assert 1 == status.cached_response_count


async def test_sampled_answer_is_generated_each_time_unless_the_caller_says_otherwise(
    sim: Simulator, node: Node
) -> None:
    for _ in range(2):
        await node.chat.Chat(fixed(temperature=1.0))
    assert 2 == len(chats(sim))

    use = fixed(temperature=1.0, cache_policy=chat_pb2.CACHE_POLICY_USE)
    one, other = [await node.chat.Chat(use) for _ in range(2)]
    assert 3 == len(chats(sim))
    assert one.message == other.message


async def test_cached_stream_keeps_the_promises_of_a_stream(sim: Simulator, node: Node) -> None:
    first = await pieces(node, fixed())
    second = await pieces(node, fixed())

    assert 1 == len(chats(sim))
    assert text(first) == text(second)
    assert all(len(piece.content.encode()) <= 1024 for piece in second)
    opening, ending = second[0], second[-1]
    assert (CACHE, 0, "qwen-plus") == (opening.source, opening.attempt_count, opening.model)
    assert opening.HasField("cache_age")
    assert first[-1].usage == ending.usage
    assert [ending] == [piece for piece in second if piece.finish_reason]


async def test_answer_that_was_cut_is_not_given_again(sim: Simulator, node: Node) -> None:
    short = fixed(max_tokens=3)
    assert chat_pb2.FINISH_REASON_LENGTH == (await node.chat.Chat(short)).finish_reason
    await node.chat.Chat(short)

    assert 2 == len(chats(sim))


async def test_calls_at_the_same_time_are_one_request(sim: Simulator, node: Node) -> None:
    sim.faults.add(Fault(kind="delay_headers", delay_s=0.5, path=CHATS))
    streams = [asyncio.create_task(pieces(node, fixed()), name=f"stream {number}") for number in range(3)]
    unary = [asyncio.create_task(_chat(node, fixed()), name=f"call {number}") for number in range(3)]
    got = [text(each) for each in await asyncio.gather(*streams)]
    replies = await asyncio.gather(*unary)

    assert 1 == len(chats(sim))
    assert {replies[0].message.content} == {*got, *(reply.message.content for reply in replies)}
    sources = sorted(event.source for event in node.told(CallFinished))
    assert ["coalesced"] * 5 + ["upstream"] == sources
    assert 1 == sum(event.prompt_tokens > 0 for event in node.told(CallFinished))
    await idle(sim)


async def test_who_joins_a_stream_in_the_middle_misses_nothing() -> None:
    slow = SimulatorConfig(tokens_per_s=60, tokens_per_chunk=1)
    async with Simulator(slow) as sim, Node(sim) as node:
        leader = node.chat.StreamChat(fixed())
        got = [await anext(aiter(leader))]
        while len(got) < 5:
            got.append(await anext(aiter(leader)))
        late = asyncio.create_task(pieces(node, fixed()), name="late")
        got += [piece async for piece in leader]

        late_pieces = await late
        assert text(got) == text(late_pieces)
        assert len(got) > len(late_pieces) > 5
        assert len(late_pieces[0].content) > len(got[0].content)
        assert 1 == len(chats(sim))


async def test_who_leaves_takes_nothing_from_the_others(sim: Simulator, node: Node) -> None:
    sim.faults.add(Fault(kind="delay_headers", delay_s=0.5, path=CHATS))
    leader = asyncio.create_task(_chat(node, fixed()), name="leader")
    await arrived(sim)
    follower = asyncio.create_task(_chat(node, fixed()), name="follower")
    await asyncio.sleep(0.05)
    leader.cancel()

    assert COALESCED == (await follower).source
    assert 1 == len(chats(sim))
    cancelled = await node.seen(CallFinished, lambda event: event.reason == "CANCELLED")
    assert not cancelled.possibly_billed
    paid = await node.seen(CallFinished, lambda event: event.source == "coalesced")
    assert paid.prompt_tokens > 0


async def test_outdated_answer_is_better_than_none(sim: Simulator) -> None:
    async with Node(sim, cache={"ttl_s": 0.0}, upstream={"max_attempts": 1}) as node:
        request = fixed(offline_policy=chat_pb2.OFFLINE_POLICY_STALE)
        await node.chat.Chat(request)
        await node.chat.Chat(request)
        assert 2 == len(chats(sim)), "nothing is fresh"
        sim.faults.add(Fault(kind="internal_error", status=503, path=CHATS))

        reply = await node.chat.Chat(request)

        assert STALE == reply.source
        assert reply.HasField("cache_age")
        failure = await failure_of(node.chat.Chat(fixed()))
        assert "UPSTREAM_UNAVAILABLE" == failure.reason


async def test_only_asks_nobody_but_the_cache(sim: Simulator, node: Node) -> None:
    only = fixed(cache_policy=chat_pb2.CACHE_POLICY_ONLY)
    assert "CACHE_MISS" == (await failure_of(node.chat.Chat(only))).reason
    await node.chat.Chat(fixed())

    assert CACHE == (await node.chat.Chat(only)).source
    assert 1 == len(chats(sim))


async def test_answers_outlive_the_process_encrypted(sim: Simulator, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(NODE_KEY.hex())
    key.chmod(0o400)
    settings = {
        "cache": {"directory": str(tmp_path / "cache")},
        "spool": {"directory": str(tmp_path / "spool"), "encryption_key_file": str(key)},
    }
    async with Node(sim, **settings) as node:
        first = await node.chat.Chat(fixed())
    async with Node(sim, **settings) as node:
        second = await node.chat.Chat(fixed())

    assert 1 == len(chats(sim))
    assert (first.message, CACHE) == (second.message, second.source)
    assert len(raw(tmp_path / "cache")) > 4096
    assert first.message.content.encode() not in raw(tmp_path / "cache")


async def test_erased_caller_has_left_nothing_in_the_file_of_a_stopped_node(sim: Simulator, tmp_path: Path) -> None:
    async with Node(sim, cache={"directory": str(tmp_path)}) as node:
        reply = await node.chat.Chat(fixed())
    kept = reply.message.content.encode()
    assert kept in raw(tmp_path)

    await forgotten(node.config, "somebody else")
    assert kept in raw(tmp_path)
    await forgotten(node.config, "anonymous")

    assert kept not in raw(tmp_path)


async def test_no_word_of_what_is_kept_is_logged(sim: Simulator, tmp_path: Path) -> None:
    async with Node(sim, cache={"directory": str(tmp_path)}, log={"level": "debug", "format": "json"}) as node:
        reply = await node.chat.Chat(fixed())
        await node.chat.Chat(fixed())
    log = node.stderr.getvalue().decode()

    assert "node_started" in log
    assert SECRET not in log
    assert reply.message.content[:30] not in log


async def test_pinned_answer_needs_no_provider(tmp_path: Path) -> None:
    file = tmp_path / "prepared.toml"
    file.write_text(PREPARED)
    async with Node(prepare={"file": str(file)}) as node:
        reply = await node.chat.Chat(chat_pb2.ChatRequest(prompt="who are you"))
        got = await pieces(node, chat_pb2.ChatRequest(prompt="Who are you?"))

        assert ("The node of hall 7.", chat_pb2.RESPONSE_SOURCE_PINNED, "") == (
            reply.message.content,
            reply.source,
            reply.model,
        )
        assert ("The node of hall 7.", "") == (text(got), got[0].model)
        assert got[-1].HasField("usage")


async def test_device_sends_a_name_and_the_provider_gets_the_text(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prepared.toml"
    file.write_text(PREPARED)
    async with Node(sim, prepare={"file": str(file)}) as node:
        variables = {"sensor": "boiler", "value": "97"}
        await node.chat.Chat(chat_pb2.ChatRequest(template="diagnose", variables=variables))
        failure = await failure_of(node.chat.Chat(chat_pb2.ChatRequest(template="diagnose", variables={"value": "1"})))

        body = chats(sim)[0].body
        assert body is not None
        assert "boiler reads 97: what is wrong?" in body
        assert '"max_tokens":40' in body
        assert "INVALID_REQUEST" == failure.reason
        assert ["variables.sensor"] == list(failure.violations)


async def changed(node: Node, file: Path, content: str) -> None:
    """Replace the file, and return when the node has taken it over."""
    count = len(node.told(PreparedChanged))
    fresh = file.with_suffix(".new")
    fresh.write_text(content)
    fresh.replace(file)
    async with asyncio.timeout(20):
        while len(node.told(PreparedChanged)) == count:
            await node.chat.Chat(chat_pb2.ChatRequest(prompt="Who are you?"))
            await asyncio.sleep(0.05)


async def test_repeat_of_a_key_after_a_change_of_its_template_is_a_repeat(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prepared.toml"
    file.write_text(PREPARED)
    async with Node(sim, prepare={"file": str(file)}, spool={"directory": str(tmp_path / "spool")}) as node:
        keyed = chat_pb2.ChatRequest(
            template="diagnose", variables={"sensor": "boiler", "value": "97"}, idempotency_key="k"
        )
        first = await node.chat.Chat(keyed)
        await changed(node, file, PREPARED.replace("what is wrong", "what now"))

        second = await node.chat.Chat(keyed)

        assert 1 == len(chats(sim))
        assert (first.message, chat_pb2.RESPONSE_SOURCE_REPLAY) == (second.message, second.source)
        keyed.variables["value"] = "98"
        assert "IDEMPOTENCY_KEY_REUSED" == (await failure_of(node.chat.Chat(keyed))).reason


async def test_job_means_what_it_meant_when_it_was_submitted(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prepared.toml"
    file.write_text(PREPARED)
    sim.faults.add(Fault(kind="internal_error", status=503, path=CHATS))
    spool = {"directory": str(tmp_path / "spool"), "retry_initial_s": 0.5, "retry_max_s": 1.0}
    async with Node(sim, prepare={"file": str(file)}, spool=spool) as node:
        jobs = job_pb2_grpc.JobServiceStub(node.channel)
        chat = chat_pb2.ChatRequest(template="diagnose", variables={"sensor": "boiler", "value": "97"})
        submitted = await jobs.SubmitJob(job_pb2.SubmitJobRequest(request=chat))
        await arrived(sim)
        await changed(node, file, PREPARED.replace("what is wrong", "what now"))
        sim.faults.clear()
        wait = job_pb2.WaitJobRequest(job_id=submitted.job.id)
        wait.timeout.seconds = 20
        waited = await jobs.WaitJob(wait)

        assert job_pb2.JOB_STATE_SUCCEEDED == waited.job.state
        assert all("what is wrong?" in (entry.body or "") for entry in chats(sim))


@needs_redis
async def test_nodes_share_answers_over_redis_and_go_on_without(sim: Simulator, tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "redis") as redis:
        cache = {"redis_url": redis.url, "redis_budget_s": 1.0}
        async with Node(sim, cache=cache) as one:
            first = await one.chat.Chat(fixed())
        async with Node(sim, cache=cache) as other:
            second = await other.chat.Chat(fixed())
            assert (first.message, CACHE) == (second.message, second.source)
            redis.kill()
            for number in range(4):
                await other.chat.Chat(fixed(prompt=f"question {number}"))
            await other.seen(CacheStoreLost)

    assert 5 == len(chats(sim))


async def _chat(node: Node, request: chat_pb2.ChatRequest) -> chat_pb2.ChatResponse:
    stub: Any = chat_pb2_grpc.ChatServiceStub(node.channel)
    reply: chat_pb2.ChatResponse = await stub.Chat(request)
    return reply


async def test_erased_caller_is_out_of_the_cache_as_well(sim: Simulator, tmp_path: Path) -> None:
    cache, settings = tmp_path / "cache", tmp_path / "edgeclient.toml"
    settings.write_text(f'[spool]\ndirectory = "{tmp_path / "spool"}"\n[cache]\ndirectory = "{cache}"\n')
    sections = {"spool": {"directory": str(tmp_path / "spool")}, "cache": {"directory": str(cache), "max_bytes": 0}}
    async with Node(sim, **sections) as node:
        answer = (await node.chat.Chat(fixed())).message.content.encode()
    assert answer in b"".join(file.read_bytes() for file in cache.iterdir())

    erased = await command("jobs", "erase", "--config", settings, "--caller", "anonymous", "--yes")

    assert (0, "") == (erased.code, erased.err)
    assert answer not in b"".join(file.read_bytes() for file in cache.iterdir())
