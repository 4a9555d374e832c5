"""JobService over real gRPC, with the device's SDK in front and a queue behind; the test is the drainer.

What concerns the queue runs against the one in memory and the one on the disk.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import builders
import grpc
import pytest
from fakes.spool import MemorySpool

from edgeclient.client import EdgeClient, EdgeError
from edgeclient.config.catalogue import catalogue
from edgeclient.core.call import Call, Reply, road
from edgeclient.core.callers import Callers
from edgeclient.core.errors import Reason, Rejected, Uncertain
from edgeclient.core.events import Uplink
from edgeclient.core.identifiers import new_identifier
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.jobs import JobKind, NewJob, ResendPolicy
from edgeclient.core.spool import Spool, content_digest
from edgeclient.ingress.chat import ChatService
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.health import Health
from edgeclient.ingress.identity import Identity
from edgeclient.ingress.jobs import JobService, NoJobs
from edgeclient.ingress.methods import methods
from edgeclient.ingress.node import NodeService, TargetView
from edgeclient.ingress.server import GrpcServer
from edgeclient.runtime import SystemClock
from edgeclient.spool.sealing import PlainVault
from edgeclient.spool.spool import SqliteSpool
from edgeclient.stages.idempotency import Idempotency
from edgeclient.stages.offline import Offline
from edgeclient.stages.validate import Validate
from edgeclient.v1 import chat_pb2, job_pb2

OTHER = "another device"


@dataclass(slots=True, kw_only=True)
class Node:
    """A node without its upstream."""

    client: EdgeClient
    spool: Spool
    feed: JobFeed
    ended: list[str]

    async def finish(self, job_id: str, text: str = "done") -> None:
        """What the drainer does with a job that goes well."""
        attempt = await self.spool.begin(job_id)
        assert attempt is not None
        response = chat_pb2.ChatResponse(model="qwen-plus", finish_reason=chat_pb2.FINISH_REASON_STOP)
        response.message.content = text
        assert await self.spool.succeed(attempt, response)

    async def fail(self, job_id: str, error: Any) -> None:
        """What the drainer does with one that fails for good."""
        attempt = await self.spool.begin(job_id)
        assert attempt is not None
        await self.spool.fail(attempt, error, retry_in_s=None, counts=True)


async def answers(call: Call) -> Reply:
    call.attempt_count += 1
    response = chat_pb2.ChatResponse(
        model="qwen-plus", source=chat_pb2.RESPONSE_SOURCE_UPSTREAM, finish_reason=chat_pb2.FINISH_REASON_STOP
    )
    response.message.content = f"live: {call.request.prompt}"
    return Reply(response=response)


@asynccontextmanager
async def served(
    *, durable: bool = True, directory: Path | None = None, uplink: Uplink = Uplink.ONLINE, **sections: Any
) -> AsyncIterator[Node]:
    """A node whose queue is on the disk if a directory is given."""
    config = builders.config(**sections)
    clock = SystemClock()
    spool: Spool = MemorySpool(clock=clock, max_request_bytes=4096)
    if directory is not None:
        stored = replace(config.spool, directory=str(directory), max_request_bytes=4096)
        spool = on_disk = SqliteSpool(stored, vault=PlainVault(), observe=lambda _event: None)
        await on_disk.open()
    feed, models = JobFeed(spool), catalogue(config)
    ended: list[str] = []
    gate = Gate(most=10, observe=lambda _event: None)
    idempotency = Idempotency(spool, feed, config.spool, uplink=lambda: uplink, clock=clock)
    offline = Offline(spool, config.spool, uplink=lambda: uplink, clock=clock)
    validate = Validate(catalogue=models, config=config.chat, durable=durable)
    jobs = JobService(
        spool=spool,
        feed=feed,
        accept=idempotency.accept,
        end_attempt=ended.append,
        admit=validate.admit,
        gate=gate,
        config=config.ingress,
        spool_config=config.spool,
        clock=clock,
    )
    chat = ChatService(
        road=road(validate, idempotency, offline, to=answers),
        gate=gate,
        config=config.ingress,
        clock=clock,
        observe=lambda _event: None,
        random=random.random,
    )
    node = NodeService(
        node_id="n",
        version="0",
        config=config.ingress,
        catalogue=models,
        callers=Callers(),
        clock=clock,
        active_calls=lambda: 0,
        targets=lambda: [TargetView(name="t", host="h", protocol="h2", uplink=uplink, since_s=0)],
        spool=(spool, config.spool) if durable else None,
    )
    server = GrpcServer(
        config=config.ingress,
        methods=methods(chat=chat, node=node, jobs=jobs if durable else NoJobs()),
        health=Health(),
        identity=Identity(Callers()),
        clock=clock,
        observe=lambda _event: None,
        random=random.random,
    )
    task = asyncio.create_task(feed.run(), name="feed")
    await server.start()
    try:
        async with asyncio.timeout(20), EdgeClient(server.address, retries=False) as client:
            yield Node(client=client, spool=spool, feed=feed, ended=ended)
    finally:
        await server.stop(0)
        if isinstance(spool, SqliteSpool):
            await spool.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(params=["memory", "disk"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    async with served(directory=tmp_path / "queue" if request.param == "disk" else None) as node:
        yield node


async def foreign_job(node: Node) -> str:
    request = builders.chat_request()
    job_id = new_identifier(now_ms=0)
    digest = content_digest(request)
    await node.spool.accept(NewJob(id=job_id, caller=OTHER, kind=JobKind.JOB, request=request, digest=digest))
    return job_id


async def test_job_is_submitted_waited_for_and_answered(node: Node) -> None:
    job = await node.client.submit(
        chat_pb2.ChatRequest(prompt="hi", label="boiler", priority=chat_pb2.PRIORITY_HIGH), ttl_s=60
    )
    assert job.state == job_pb2.JOB_STATE_PENDING
    assert (job.label, job.priority) == ("boiler", chat_pb2.PRIORITY_HIGH)
    assert job.expire_time.seconds - job.create_time.seconds == 60
    waiting = asyncio.create_task(node.client.wait_job(job.id), name="wait")
    await node.finish(job.id)

    ended = await waiting

    assert ended.state == job_pb2.JOB_STATE_SUCCEEDED
    assert ended.response.message.content == "done"
    assert ended.HasField("end_time")
    assert ended.HasField("purge_time")
    assert not ended.HasField("error")


async def test_repeated_key_returns_the_same_job(node: Node) -> None:
    request = chat_pb2.ChatRequest(prompt="hi", idempotency_key="k")
    first, second = await node.client.submit(request), await node.client.submit(request)

    assert first.id == second.id
    with pytest.raises(EdgeError) as caught:
        await node.client.submit(chat_pb2.ChatRequest(prompt="other", idempotency_key="k"))
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS


async def test_submission_with_the_key_of_an_answered_chat_is_a_finished_job(node: Node) -> None:
    request = chat_pb2.ChatRequest(prompt="hi", idempotency_key="k")
    await node.client.chat(request)

    job = await node.client.submit(request)

    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.response.message.content == "live: hi"


async def test_id_of_an_answered_chat_is_good_for_getting_and_watching(tmp_path: Path) -> None:
    async with served(directory=tmp_path) as node:
        request = chat_pb2.ChatRequest(prompt="hi", idempotency_key="k")
        await node.client.chat(request)
        job = await node.client.submit(request)

        found = [await node.client.get_job(job.id), await node.client.wait_job(job.id)]
        found += [each async for each in node.client.watch_jobs([job.id])]
        assert [(job.state, job.revision, job.response)] * 3 == [
            (each.state, each.revision, each.response) for each in found
        ]
        assert [] == [each async for each in node.client.list_jobs()]


async def test_chat_with_the_key_of_a_finished_job_replays_it_to_a_stream_too(node: Node) -> None:
    request = chat_pb2.ChatRequest(prompt="hi", idempotency_key="k")
    job = await node.client.submit(request)
    await node.finish(job.id, "x" * 3000)

    whole = await node.client.chat(request)
    pieces = [piece async for piece in node.client.stream(request)]

    assert whole.source == pieces[0].source == chat_pb2.RESPONSE_SOURCE_REPLAY
    assert "".join(piece.content for piece in pieces) == whole.message.content == "x" * 3000
    assert whole.id not in {job.id, pieces[0].id}


async def test_everything_that_is_wrong_is_told_at_once(node: Node) -> None:
    with pytest.raises(EdgeError) as caught:
        await node.client.submit(chat_pb2.ChatRequest(prompt="hi", seed=-1), ttl_s=-5)

    assert [each.field for each in caught.value.violations] == ["request.seed", "ttl"]
    assert caught.value.violations[1].description == "-5s is out of range; write more than 0s and at most 604800s"
    with pytest.raises(EdgeError) as caught:
        await node.client.submit(chat_pb2.ChatRequest(prompt="hi", model="zzzzz"), ttl_s=10**6)
    assert [each.field for each in caught.value.violations] == ["request.model", "ttl"]


async def test_too_large_request_is_refused_and_not_stored(node: Node) -> None:
    with pytest.raises(EdgeError) as caught:
        await node.client.submit("x" * 5000)

    assert caught.value.reason == "REQUEST_TOO_LARGE"
    assert node.spool.stats().accepted_total == 0


async def test_job_of_another_caller_is_not_there(node: Node) -> None:
    job_id = await foreign_job(node)
    calls = [node.client.get_job(job_id), node.client.wait_job(job_id), node.client.cancel_job(job_id)]
    calls += [anext(node.client.watch_jobs([job_id])), node.client.get_job("no such job")]

    results = await asyncio.gather(*calls, return_exceptions=True)

    assert ["JOB_NOT_FOUND"] * 5 == [result.reason for result in results if isinstance(result, EdgeError)]
    await node.client.delete_job(job_id)
    assert await node.spool.get(OTHER, job_id) is not None
    assert [job async for job in node.client.list_jobs()] == []


async def test_wait_that_runs_out_of_time_tells_the_present_state(node: Node) -> None:
    job = await node.client.submit("hi")

    assert (await node.client.wait_job(job.id, timeout_s=0.05)).state == job_pb2.JOB_STATE_PENDING


async def test_uncertain_job_that_may_not_be_resent_has_failed(node: Node) -> None:
    job = await node.client.submit("hi", resend_policy=job_pb2.RESEND_POLICY_NEVER)
    await node.fail(job.id, Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"))

    ended = await node.client.wait_job(job.id)

    assert ended.state == job_pb2.JOB_STATE_FAILED
    assert ended.error.possibly_billed
    assert EdgeError.from_item(ended.error).reason == "OUTCOME_UNKNOWN"
    assert ended.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert (await node.client.cancel_job(ended.id)).state == job_pb2.JOB_STATE_FAILED


async def test_watch_tells_each_state_and_ends_with_its_jobs(node: Node) -> None:
    one, two = await node.client.submit("1"), await node.client.submit("2")
    seen: list[tuple[str, int]] = []
    async for job in node.client.watch_jobs([one.id, two.id]):
        seen.append((job.id, job.state))
        if len(seen) == 2:
            await node.finish(one.id)
            await node.fail(two.id, Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"))

    pending = job_pb2.JOB_STATE_PENDING
    assert seen[:2] == [(one.id, pending), (two.id, pending)]
    assert {(one.id, job_pb2.JOB_STATE_SUCCEEDED), (two.id, job_pb2.JOB_STATE_FAILED)} <= set(seen)


async def test_watch_goes_on_where_it_broke_off(node: Node) -> None:
    one, two = await node.client.submit("1"), await node.client.submit("2")
    await node.finish(one.id)

    async with aclosing(node.client.watch_jobs(after_revision=two.revision)) as changes:
        async for job in changes:
            assert (job.id, job.state) == (one.id, job_pb2.JOB_STATE_SUCCEEDED)
            assert job.response.message.content == "done"
            break
    last = (await node.client.get_job(one.id)).revision
    assert [job async for job in node.client.watch_jobs([one.id], after_revision=last)] == []


async def test_watch_of_all_sees_jobs_that_come_later(node: Node) -> None:
    async with aclosing(node.client.watch_jobs()) as changes:
        first = asyncio.ensure_future(anext(changes))
        job = await node.client.submit("hi")
        assert (await first).id == job.id


async def test_watch_ends_when_its_job_is_deleted(node: Node) -> None:
    job = await node.client.submit("hi")

    async for _job in node.client.watch_jobs([job.id]):
        await node.client.delete_job(job.id)

    with pytest.raises(EdgeError) as caught:
        await node.client.get_job(job.id)
    assert caught.value.reason == "JOB_NOT_FOUND"


async def test_silent_watch_gives_a_sign_of_life() -> None:
    async with served(ingress={"heartbeat_s": 0.05}) as node:
        call = node.client._jobs.WatchJobs(job_pb2.WatchJobsRequest())
        message = await call.read()
        call.cancel()

    assert isinstance(message, job_pb2.WatchJobsResponse)
    assert not message.HasField("job")


async def test_cancelled_job_says_so(node: Node) -> None:
    job = await node.client.submit("hi")

    cancelled = await node.client.cancel_job(job.id)

    assert cancelled.state == job_pb2.JOB_STATE_CANCELLED
    assert cancelled.error.code == grpc.StatusCode.CANCELLED.value[0]
    assert (await node.client.cancel_job(job.id)).revision == cancelled.revision
    assert node.ended == []


async def test_running_attempt_of_a_cancelled_job_is_ended(node: Node) -> None:
    job = await node.client.submit("hi")
    assert await node.spool.begin(job.id) is not None

    assert (await node.client.cancel_job(job.id)).state == job_pb2.JOB_STATE_RUNNING
    assert node.ended == [job.id]


async def test_list_is_read_page_by_page_newest_first(node: Node) -> None:
    ids = [(await node.client.submit(f"{number}")).id for number in range(5)]
    await node.finish(ids[2])
    stub = node.client._jobs
    pending = [job_pb2.JOB_STATE_PENDING]

    one = await stub.ListJobs(job_pb2.ListJobsRequest(page_size=3, states=pending))
    rest = await stub.ListJobs(job_pb2.ListJobsRequest(page_size=3, states=pending, page_token=one.next_page_token))

    assert [ids[4], ids[3], ids[1]] == [job.id for job in one.jobs]
    assert [ids[0]] == [job.id for job in rest.jobs]
    assert rest.next_page_token == ""
    done = [job async for job in node.client.list_jobs([job_pb2.JOB_STATE_SUCCEEDED])]
    assert [ids[2]] == [job.id for job in done]
    assert not done[0].HasField("response")


async def test_held_job_is_listed_as_failed_and_not_as_pending(node: Node) -> None:
    job = await node.client.submit("hi", resend_policy=job_pb2.RESEND_POLICY_NEVER)
    await node.fail(job.id, Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"))

    assert [job.id] == [each.id async for each in node.client.list_jobs([job_pb2.JOB_STATE_FAILED])]
    assert [] == [each.id async for each in node.client.list_jobs([job_pb2.JOB_STATE_PENDING])]


async def test_page_token_is_bound_to_its_filter(node: Node) -> None:
    for number in range(3):
        await node.client.submit(f"{number}")
    stub = node.client._jobs
    token = (await stub.ListJobs(job_pb2.ListJobsRequest(page_size=1))).next_page_token

    for wrong in (
        job_pb2.ListJobsRequest(page_token=token, states=[job_pb2.JOB_STATE_FAILED]),
        job_pb2.ListJobsRequest(page_token=f"{token}x"),
        job_pb2.ListJobsRequest(page_token="☺"),
        job_pb2.ListJobsRequest(page_size=-1),
        job_pb2.ListJobsRequest(states=[job_pb2.JOB_STATE_UNSPECIFIED]),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListJobs(wrong)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_waits_end_when_the_node_drains(node: Node) -> None:
    job = await node.client.submit("hi")
    waiting = asyncio.create_task(node.client.wait_job(job.id), name="wait")
    watching = node.client.watch_jobs([job.id])
    await anext(watching)
    node.feed.stop()

    with pytest.raises(EdgeError) as caught:
        await anext(watching)
    assert caught.value.reason == "SHUTTING_DOWN"
    with pytest.raises(EdgeError) as caught:
        await waiting
    assert caught.value.reason == "SHUTTING_DOWN"


async def test_offline_chat_is_answered_with_a_job_in_both_deliveries() -> None:
    async with served(uplink=Uplink.OFFLINE) as node:
        request = chat_pb2.ChatRequest(prompt="hi", offline_policy=chat_pb2.OFFLINE_POLICY_QUEUE)
        whole = await node.client.chat(request)
        request.idempotency_key = "k"
        pieces = [piece async for piece in node.client.stream(request)]
        again = await node.client.chat(request)

        assert [whole.job_id, pieces[0].job_id] == [job.id async for job in node.client.list_jobs()][::-1]
        assert len(pieces) == 1
        assert again.job_id == pieces[0].job_id
        assert not whole.HasField("message")


async def test_status_tells_what_waits_and_how_long_things_are_kept(node: Node) -> None:
    await node.client.submit("hi")

    status = await node.client.status()

    assert (status.pending_job_count, status.running_job_count) == (1, 0)
    assert status.free_storage_bytes > 0
    assert status.limits.idempotency_window.seconds == status.limits.job_retention.seconds == 86_400
    assert status.limits.max_wait.seconds == 600


async def test_node_without_a_queue_says_which_setting_gives_it_one() -> None:
    async with served(durable=False) as node:
        calls = [node.client.submit("hi"), node.client.get_job("j"), anext(node.client.watch_jobs())]
        for call in calls:
            with pytest.raises(EdgeError) as caught:
                await call
            assert caught.value.reason == "STORAGE_UNAVAILABLE"
            assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
            assert "spool.directory" in caught.value.message
        assert not (await node.client.status()).limits.HasField("idempotency_window")


async def test_resend_policy_of_the_node_is_the_default() -> None:
    async with served(spool={"resend": "once"}) as node:
        job = await node.client.submit("hi")
        stored = await node.spool.get("anonymous", job.id)
        assert stored is not None
        assert stored.resend_policy is ResendPolicy.RESEND_ONCE
