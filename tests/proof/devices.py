"""Devices under load: each asks one thing after another, and repeats with the same key until it knows the outcome.

That is all that the contract wants of a device (`error.proto`, point 4), so it is all that these do. What a device asks
comes from its own seed; when it repeats, from the node's fate.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import grpc
import grpc.aio
from proof.node import Node
from proof.oracle import Oracle, Promise

from edgeclient.client import EdgeError
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, error_pb2, job_pb2, job_pb2_grpc

Answer = TypeVar("Answer")

_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
_CALL_S = 20.0
_PAUSE_S = 0.02
_LOOK_MS = 150
_LONGEST_PAYLOAD = 3000
_SETTLERS = 8
_TERMINAL = frozenset(
    (
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_CANCELLED,
        job_pb2.JOB_STATE_EXPIRED,
    )
)


class Devices:
    """Several devices on one node.

    Args:
        node: Which node.
        oracle: Takes down what they ask and hear.
        seed: Of all that they ask.
        mark: Begins every prompt of this run.

    Attributes:
        stopped: To be set when it is enough.
    """

    def __init__(self, node: Node, oracle: Oracle, *, seed: int, mark: str) -> None:
        self._node = node
        self._oracle = oracle
        self._seed = seed
        self._mark = mark
        self._submitting: dict[str, int] = {}
        self.stopped = asyncio.Event()

    async def run(self, number: int) -> None:
        """One device, until `stopped`; the last thing that it asked is seen through."""
        chance = random.Random(f"{self._seed}/device {number}")
        line = _Line(self._node)
        asked: list[Promise] = []
        while not self.stopped.is_set():
            if asked and chance.random() < 0.1:
                promise = chance.choice(asked)  # lost its own memory: asks once more
            else:
                promise = self._oracle.promise(_promise(chance, f"{number}-{len(asked)}", mark=self._mark))
                asked.append(promise)
            twice, looks, pause_s = chance.random() < 0.05, chance.random() < 0.2, chance.random() * _PAUSE_S
            async with asyncio.TaskGroup() as group:
                for _ in range(1 + twice):  # some are impatient and ask twice at a time
                    group.create_task(self._ask(line, promise), name=f"ask {promise.key}")
            if looks and promise.accepted and promise.is_job:
                await self._look(line, promise)
            await asyncio.sleep(pause_s)
        await line.close()

    async def settle(self, within_s: float) -> None:
        """Collect every accepted job, and ask every call once more: it has to be told what it was told before.

        Args:
            within_s: Jobs that have not ended then are as they are.
        """
        jobs = iter([(promise, job_id) for promise in self._oracle.accepted_jobs for job_id in promise.job_ids])
        calls = iter(self._oracle.calls)
        until_s = time.monotonic() + within_s
        line = _Line(self._node)
        async with asyncio.TaskGroup() as group:
            for number in range(_SETTLERS):
                group.create_task(_collect_all(line, jobs, until_s=until_s), name=f"collector {number}")
                group.create_task(self._chat_all(line, calls), name=f"repeater {number}")
        await line.close()

    def submitting(self, life: int) -> list[str]:
        """Keys of jobs that were submitted in this life of the node and whose submitter has not heard of it."""
        return [key for key, asked_in in self._submitting.items() if asked_in == life]

    async def _ask(self, line: "_Line", promise: Promise) -> None:
        await (self._submit(line, promise) if promise.is_job else self._chat(line, promise))

    async def _submit(self, line: "_Line", promise: Promise) -> None:
        """Submit a job until the node has told what became of that."""
        request = job_pb2.SubmitJobRequest(
            request=_request(promise),
            resend_policy=job_pb2.RESEND_POLICY_ONCE if promise.resends else job_pb2.RESEND_POLICY_NEVER,
        )

        def submit(channel: grpc.aio.Channel) -> Awaitable[job_pb2.SubmitJobResponse]:
            if not promise.accepted:
                self._submitting[promise.key] = self._node.life
            stub: job_pb2_grpc.JobServiceAsyncStub = job_pb2_grpc.JobServiceStub(channel)
            return stub.SubmitJob(request, timeout=_CALL_S)

        response = await _until_known(line, submit, promise)
        self._submitting.pop(promise.key, None)
        if response is not None:
            promise.accepted = True
            promise.job_ids.add(response.job.id)

    async def _chat(self, line: "_Line", promise: Promise) -> None:
        """Ask live until there is an answer, or the news that it is lost."""

        def chat(channel: grpc.aio.Channel) -> Awaitable[chat_pb2.ChatResponse]:
            stub: chat_pb2_grpc.ChatServiceAsyncStub = chat_pb2_grpc.ChatServiceStub(channel)
            return stub.Chat(_request(promise), timeout=_CALL_S)

        response = await _until_known(line, chat, promise)
        if response is not None:
            promise.accepted = True
            promise.answers.add(response.message.content)
            promise.end = "ANSWERED"
        promise.told.add(promise.end)

    async def _chat_all(self, line: "_Line", calls: Iterator[Promise]) -> None:
        for promise in calls:
            await self._chat(line, promise)

    async def _look(self, line: "_Line", promise: Promise) -> None:
        """See whether a job has ended already: what is told once has to stay so."""
        channel = await line.channel()
        try:
            heard = await _wait(channel, next(iter(promise.job_ids)), timeout_ms=_LOOK_MS)
        except grpc.aio.AioRpcError as rpc_error:
            error = EdgeError.from_rpc(rpc_error)
            if error.code not in _UNKNOWN:
                promise.told.add(f"LOST {error}")
            return
        if heard.state in _TERMINAL:
            _hear(promise, heard)
            promise.told.add(_end(heard))


class _Line:
    """A device's connection, a new one in each life of the node.

    gRPC lets at least 100 ms pass before it tries one again that has failed, which is half of a life here.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._life = 0
        self._channel: grpc.aio.Channel | None = None

    async def channel(self) -> grpc.aio.Channel:
        """The connection, once the node answers."""
        await self._node.up.wait()
        channel = self._channel
        if channel is None or self._life != self._node.life:
            self._life = self._node.life
            before, channel = channel, self._node.channel()
            self._channel = channel
            if before is not None:
                await before.close()
        return channel

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()


async def _until_known(
    line: _Line, call: Callable[[grpc.aio.Channel], Awaitable[Answer]], promise: Promise
) -> Answer | None:
    while True:
        channel = await line.channel()
        try:
            return await call(channel)
        except grpc.aio.AioRpcError as rpc_error:
            error = EdgeError.from_rpc(rpc_error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            continue  # the connection was closed under it, for the node is dead: the outcome is not known
        if error.possibly_billed and not promise.is_job:
            promise.end = f"FAILED {error.reason}"
            return None
        if error.code not in _UNKNOWN and not error.worth_repeating:
            promise.end = f"REFUSED {error.reason or error.code.name}: {error.message}"
            return None
        await asyncio.sleep(random.random() * _PAUSE_S)


async def _collect_all(line: _Line, jobs: Iterator[tuple[Promise, str]], *, until_s: float) -> None:
    channel = await line.channel()
    for promise, job_id in jobs:
        try:
            job = await _wait(channel, job_id, timeout_ms=max(1, int((until_s - time.monotonic()) * 1000)))
        except grpc.aio.AioRpcError as error:
            promise.end = f"LOST {EdgeError.from_rpc(error)}"
            continue
        _hear(promise, job)
        promise.end = _end(job)


async def _wait(channel: grpc.aio.Channel, job_id: str, *, timeout_ms: int) -> job_pb2.Job:
    stub: job_pb2_grpc.JobServiceAsyncStub = job_pb2_grpc.JobServiceStub(channel)
    request = job_pb2.WaitJobRequest(job_id=job_id)
    request.timeout.FromMilliseconds(timeout_ms)
    return (await stub.WaitJob(request, timeout=timeout_ms / 1000 + 10)).job


def _hear(promise: Promise, job: job_pb2.Job) -> None:
    if job.HasField("response"):
        promise.answers.add(job.response.message.content)


def _end(job: job_pb2.Job) -> str:
    """The state, with the reason of a failure."""
    end = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
    if job.HasField("error") and job.state != job_pb2.JOB_STATE_SUCCEEDED:
        end += " " + error_pb2.ErrorReason.Name(job.error.reason).removeprefix("ERROR_REASON_")
    return end


def _promise(chance: random.Random, name: str, *, mark: str) -> Promise:
    payload = chance.randbytes(chance.randrange(8, _LONGEST_PAYLOAD) // 2).hex()
    is_job = chance.random() < 0.7
    resends = chance.random() < 0.5
    in_conversation = is_job and chance.random() < 0.3
    return Promise(
        key=f"k{name}",
        text=f"{mark}{name}-{payload}",
        is_job=is_job,
        resends=resends,
        conversation_id=f"c{name.partition('-')[0]}" if in_conversation else "",
    )


def _request(promise: Promise) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(
        prompt=promise.text, idempotency_key=promise.key, conversation_id=promise.conversation_id
    )
