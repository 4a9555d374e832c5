"""Many devices as one process: calls when they are due, jobs as fast as they are accepted.

A call is begun when it is due whether or not others were answered, and its latency counts from that moment: what waits
for a slow node is seen in full. How late the replay itself was is told beside it.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import chain, cycle
from pathlib import Path
from typing import Self

import grpc.aio
import msgspec
from bench import role
from bench.role import Facts
from bench.traces import Ask, Seen

from edgeclient.upstream.request_codec import SHORT_ANSWER_TOKENS
from edgeclient.v1 import chat_pb2, job_pb2, node_pb2

_MAX_TOKENS = SHORT_ANSWER_TOKENS  # the node asks for a whole answer then; the cloud's answers are shorter
_SUBMITTERS = 32
_LOOK_AGAIN_S = 0.02
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # a call that is repeated under the hood would be counted once
]
_CHAT, _STREAM = "/edgeclient.v1.ChatService/Chat", "/edgeclient.v1.ChatService/StreamChat"
_Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
_SUBMIT, _STATUS = "/edgeclient.v1.JobService/SubmitJob", "/edgeclient.v1.NodeService/GetNodeStatus"


class Devices:
    """Calls whoever it is told to."""

    async def replay(self, address: str, asks: str, results: str, connections: dict[str, int]) -> Facts:
        """Make the calls of the file `asks` when they are due, and write what was seen into `results`.

        Each device has connections of its own, so that none waits for another before it has reached the node.
        """
        trace = _read(asks)
        async with _Channels(address, connections) as channels:
            begun_s = asyncio.get_running_loop().time()
            running: list[asyncio.Task[Seen]] = []
            for ask in trace:
                await asyncio.sleep(begun_s + ask.at_s - asyncio.get_running_loop().time())
                running.append(asyncio.create_task(_seen(channels.next(ask.device), ask, begun_s)))
            seen = await asyncio.gather(*running)
        await asyncio.to_thread(Path(results).write_bytes, msgspec.json.encode(seen))
        return {"calls": len(seen)}

    async def submit(self, address: str, asks: str) -> Facts:
        """Have the jobs of the file accepted, whatever their times, in their order but for a few at a time."""
        trace = iter(_read(asks))
        accepted = 0
        begun_s = time.perf_counter()
        async with _Channels(address, {"": 1}) as channels:
            submit: _Unary = channels.next("").unary_unary(_SUBMIT)

            async def submitter() -> None:
                nonlocal accepted
                for ask in trace:  # shared: each job is taken by one
                    await submit(_submission(ask), timeout=ask.timeout_s, metadata=_metadata(ask))
                    accepted += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(_SUBMITTERS):
                    group.create_task(submitter())
        return {"accepted": accepted, "wall_s": time.perf_counter() - begun_s}

    async def await_no_jobs(self, address: str, limit_s: float) -> Facts:
        """Return when no job waits or runs any more."""
        begun_s = time.perf_counter()
        async with asyncio.timeout(limit_s), _Channels(address, {"": 1}) as channels:
            status: _Unary = channels.next("").unary_unary(_STATUS)
            while True:
                found = node_pb2.GetNodeStatusResponse.FromString(await status(b"", timeout=limit_s)).status
                if not found.pending_job_count + found.running_job_count:
                    return {"wall_s": time.perf_counter() - begun_s}
                await asyncio.sleep(_LOOK_AGAIN_S)


class _Channels:
    """Connections by device, each in its turn."""

    def __init__(self, address: str, counts: dict[str, int]) -> None:
        self._channels = {
            device: [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(count)]
            for device, count in counts.items()
        }
        self._turns = {device: cycle(channels) for device, channels in self._channels.items()}

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(channel.channel_ready() for channel in self._every()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._every():
            await channel.close()

    def next(self, device: str) -> grpc.aio.Channel:
        return next(self._turns[device])

    def _every(self) -> Iterator[grpc.aio.Channel]:
        return chain.from_iterable(self._channels.values())


async def _seen(channel: grpc.aio.Channel, ask: Ask, begun_s: float) -> Seen:
    loop = asyncio.get_running_loop()
    due_s = begun_s + ask.at_s
    late_s = loop.time() - due_s
    source = cost_nanos = 0
    failure = ""
    try:
        if ask.streamed:
            ended_s = await _first_piece(channel, ask)
        else:
            chat: _Unary = channel.unary_unary(_CHAT)
            encoded = await chat(_request(ask), timeout=ask.timeout_s, metadata=_metadata(ask))
            answer = chat_pb2.ChatResponse.FromString(encoded)
            ended_s = loop.time()
            source, cost_nanos = int(answer.source), answer.usage.cost_nanos
    except grpc.aio.AioRpcError as error:
        ended_s = loop.time()
        reason = dict(error.trailing_metadata() or ()).get("edge-reason")  # none if the deadline ended it here
        failure = f"{error.code().name}: {reason}" if reason else error.code().name
    return Seen(
        device=ask.device,
        due_s=ask.at_s,
        late_s=late_s,
        latency_s=ended_s - due_s,
        source=source,
        cost_nanos=cost_nanos if source == chat_pb2.RESPONSE_SOURCE_UPSTREAM else 0,
        failure=failure,
    )


async def _first_piece(channel: grpc.aio.Channel, ask: Ask) -> float:
    """When the first piece with text was there; the rest is read too."""
    first_s = 0.0
    stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(_STREAM)
    async for piece in stream(_request(ask), timeout=ask.timeout_s, metadata=_metadata(ask)):
        if not first_s and chat_pb2.StreamChatResponse.FromString(piece).content:
            first_s = asyncio.get_running_loop().time()
    return first_s


def _request(ask: Ask) -> bytes:
    return _message(ask).SerializeToString()


def _message(ask: Ask) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(model=ask.model, prompt=ask.prompt, max_tokens=_MAX_TOKENS, temperature=ask.temperature)


def _submission(ask: Ask) -> bytes:
    job = job_pb2.SubmitJobRequest(request=_message(ask), deferrable=ask.deferrable)
    if ask.deferrable:
        job.request.priority = chat_pb2.PRIORITY_LOW
    return job.SerializeToString()


def _metadata(ask: Ask) -> Sequence[tuple[str, str]]:
    return (("authorization", f"Bearer {ask.token}"),) if ask.token else ()


def _read(path: str) -> list[Ask]:
    return msgspec.json.decode(Path(path).read_bytes(), type=list[Ask])


async def call() -> None:
    """Call as told until the input ends."""
    devices = Devices()
    role.say(ready=True)
    await role.obey({"replay": devices.replay, "submit": devices.submit, "await_no_jobs": devices.await_no_jobs})


if __name__ == "__main__":
    role.run(call())
