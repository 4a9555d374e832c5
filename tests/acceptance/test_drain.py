"""A drain under load: every call gets its whole answer or is told to come again, and no job is lost or paid twice."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import builders
import grpc.aio
from acceptance.daemon import Daemon, for_cloud
from harness.cloud import CHATS, arrived, chats
from harness.rpc_failure import RpcFailure

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, job_pb2, job_pb2_grpc

KINDS = ("unary", "stream", "job")
EACH = 70
CHANNELS = 4  # one connection takes a hundred calls at a time; the others would not even be at the node
SLOW = Fault(kind="slow_chunks", delay_s=0.02, path=CHATS)
AT_ONCE = 30  # so that calls wait for their turn, too, when the signal comes

WHOLE, AGAIN = "whole", "told to come again"


class Devices:
    """All the callers, and what became of each call by its prompt."""

    def __init__(self, daemon: Daemon) -> None:
        self.outcomes: dict[str, str] = {}
        self.jobs: dict[str, str] = {}
        self._daemon = daemon
        self._channels: list[grpc.aio.Channel] = []

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[asyncio.Future[list[None]]]:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channels = [grpc.aio.insecure_channel(self._daemon.address, options=options) for _ in range(CHANNELS)]
        try:
            calls = [self._call(kind, number) for number in range(EACH) for kind in KINDS]
            yield asyncio.gather(*calls)
        finally:
            for channel in self._channels:
                await channel.close()

    async def _call(self, kind: str, number: int) -> None:
        prompt = f"{kind}-{number}"
        channel = self._channels[number % CHANNELS]
        try:
            self.outcomes[prompt] = await getattr(self, f"_{kind}")(channel, builders.chat_request(prompt=prompt))
        except grpc.aio.AioRpcError as error:
            self.outcomes[prompt] = self._judged(RpcFailure.of(error))

    def _judged(self, failure: RpcFailure) -> str:
        """The node says why; where it was gone already, gRPC's own code says that nothing was begun."""
        if (failure.code, failure.reason) in {("UNAVAILABLE", "SHUTTING_DOWN"), ("UNAVAILABLE", "")}:
            return AGAIN if not failure.possibly_billed else "perhaps billed"
        return f"{failure.code} {failure.reason} {failure.sentence}"

    async def _unary(self, channel: grpc.aio.Channel, request: chat_pb2.ChatRequest) -> str:
        answer = await chat_pb2_grpc.ChatServiceStub(channel).Chat(request)
        is_whole = answer.finish_reason == chat_pb2.FINISH_REASON_STOP and answer.usage.total_tokens
        return WHOLE if is_whole else "half"

    async def _stream(self, channel: grpc.aio.Channel, request: chat_pb2.ChatRequest) -> str:
        pieces: list[chat_pb2.StreamChatResponse] = []
        try:
            async for piece in chat_pb2_grpc.ChatServiceStub(channel).StreamChat(request):
                pieces.append(piece)  # noqa: PERF401  what came before a failure counts
        except grpc.aio.AioRpcError:
            if any(piece.content for piece in pieces):
                return "half"
            raise
        is_whole = pieces[-1].finish_reason == chat_pb2.FINISH_REASON_STOP and pieces[-1].usage.total_tokens
        return WHOLE if is_whole else "half"

    async def _job(self, channel: grpc.aio.Channel, request: chat_pb2.ChatRequest) -> str:
        answer = await job_pb2_grpc.JobServiceStub(channel).SubmitJob(job_pb2.SubmitJobRequest(request=request))
        self.jobs[request.prompt] = answer.job.id
        return WHOLE


def bills(sim: Simulator) -> Counter[str]:
    """How often each prompt was paid for."""
    paid = [entry for entry in chats(sim) if entry.tokens_billed and entry.body]
    return Counter(json.loads(entry.body or "")["messages"][-1]["content"] for entry in paid)


async def test_drain_under_load_loses_no_call(sim: Simulator, tmp_path: Path) -> None:
    sim.faults.add(SLOW)
    settings = {
        **for_cloud(sim),
        "spool.directory": str(tmp_path / "spool"),
        "upstream.max_in_flight": str(AT_ONCE),
        "dispatch.max_waiting": "1000",
    }
    async with Daemon(settings) as daemon:
        devices = Devices(daemon)
        async with devices.calling() as calls:
            await arrived(sim, 2 * AT_ONCE)
            daemon.signal()
            draining = await daemon.says("node_draining")
            await calls
        assert ExitCode.OK == await daemon.code()
        assert (await daemon.says("node_stopped"))["drained"]
        assert "Traceback" not in daemon.output

    found = Counter(devices.outcomes.values())
    assert {WHOLE, AGAIN} == set(found), devices.outcomes
    assert len(KINDS) * EACH == sum(found.values())
    assert draining["active_call_count"] > AT_ONCE, "a blind run: nothing was under way"
    live = {prompt for prompt, outcome in devices.outcomes.items() if outcome == WHOLE} - devices.jobs.keys()
    assert live == {prompt for prompt in bills(sim) if not prompt.startswith("job")}
    unfinished = len(devices.jobs) - len([prompt for prompt in bills(sim) if prompt.startswith("job")])
    assert unfinished > 0, "a blind run: no job was left for the next daemon"

    sim.faults.clear()
    async with Daemon(settings) as daemon:
        assert (await daemon.chat.Chat(builders.chat_request())).message.content
        assert daemon.channel is not None
        jobs = job_pb2_grpc.JobServiceStub(daemon.channel)
        for job_id in devices.jobs.values():
            job = (await jobs.WaitJob(job_pb2.WaitJobRequest(job_id=job_id))).job
            assert job_pb2.JOB_STATE_SUCCEEDED == job.state
            assert job.response.message.content

    paid = bills(sim)
    assert devices.jobs.keys() == {prompt for prompt in paid if prompt.startswith("job")}
    assert {1} == set(paid.values())
