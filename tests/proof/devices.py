"""Devices under load: each asks one thing after another, and repeats with the same key until it knows the outcome.

That is all that the contract wants of a device (`error.proto`, point 4), so it is all that these do.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
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
_LONGEST_PAYLOAD = 3000
_SETTLE_S = 60.0


class Devices:
    """Several devices on one node.

    Args:
        node: Which node.
        oracle: Takes down what they ask and hear.
        rng: Chance, seeded.
        mark: Begins every prompt of this run.
    """

    def __init__(self, node: Node, oracle: Oracle, *, rng: random.Random, mark: str) -> None:
        self._node = node
        self._oracle = oracle
        self._rng = rng
        self._mark = mark
        self._count = 0
        self.stopped = asyncio.Event()

    async def run(self, number: int) -> None:
        """One device, until `stopped`; the last thing that it asked is seen through."""
        async with self._node.channel() as channel:
            asked: list[Promise] = []
            while not self.stopped.is_set():
                if asked and self._rng.random() < 0.1:
                    promise = self._rng.choice(asked)  # lost its own memory: asks once more
                else:
                    promise = self._oracle.promise(self._next(number))
                    asked.append(promise)
                async with asyncio.TaskGroup() as group:
                    for _ in range(1 + (self._rng.random() < 0.05)):  # some are impatient and ask twice at a time
                        group.create_task(self._send(channel, promise), name=f"ask {promise.key}")
                await asyncio.sleep(self._rng.random() * _PAUSE_S)

    def _next(self, number: int) -> Promise:
        self._count += 1
        payload = self._rng.randbytes(self._rng.randrange(8, _LONGEST_PAYLOAD) // 2).hex()
        is_job = self._rng.random() < 0.7
        return Promise(
            key=f"k{self._count}",
            text=f"{self._mark}{self._count}-{payload}",
            is_job=is_job,
            resends=self._rng.random() < 0.5,
            conversation_id=f"c{number}" if is_job and self._rng.random() < 0.3 else "",
        )

    async def _send(self, channel: grpc.aio.Channel, promise: Promise) -> None:
        await (self.submit(channel, promise) if promise.is_job else self.ask(channel, promise))

    async def submit(self, channel: grpc.aio.Channel, promise: Promise) -> None:
        """Submit a job until the node has told what became of that."""
        stub: job_pb2_grpc.JobServiceAsyncStub = job_pb2_grpc.JobServiceStub(channel)
        request = job_pb2.SubmitJobRequest(
            request=_request(promise),
            resend_policy=job_pb2.RESEND_POLICY_ONCE if promise.resends else job_pb2.RESEND_POLICY_NEVER,
        )
        response = await self._until_known(lambda: stub.SubmitJob(request, timeout=_CALL_S), promise)
        if response is not None:
            promise.accepted = True
            promise.job_ids.add(response.job.id)

    async def ask(self, channel: grpc.aio.Channel, promise: Promise) -> None:
        """Ask live until there is an answer, or the news that it is lost."""
        stub: chat_pb2_grpc.ChatServiceAsyncStub = chat_pb2_grpc.ChatServiceStub(channel)
        response = await self._until_known(lambda: stub.Chat(_request(promise), timeout=_CALL_S), promise)
        if response is not None:
            promise.accepted = True
            promise.answers.add(response.message.content)
            promise.end = "ANSWERED"

    async def settle(self) -> None:
        """Collect every accepted job."""
        async with self._node.channel() as channel:
            stub: job_pb2_grpc.JobServiceAsyncStub = job_pb2_grpc.JobServiceStub(channel)
            for promise in self._oracle.accepted_jobs:
                for job_id in promise.job_ids:
                    await _collect(stub, promise, job_id)

    async def _until_known(self, call: Callable[[], Awaitable[Answer]], promise: Promise) -> Answer | None:
        while True:
            await self._node.up.wait()
            try:
                return await call()
            except grpc.aio.AioRpcError as rpc_error:
                error = EdgeError.from_rpc(rpc_error)
            if error.possibly_billed and not promise.is_job:
                promise.end = f"FAILED {error.reason}"
                return None
            if error.code not in _UNKNOWN and not error.worth_repeating:
                promise.end = f"REFUSED {error.reason or error.code.name}: {error.message}"
                return None
            await asyncio.sleep(self._rng.random() * _PAUSE_S)


async def _collect(stub: "job_pb2_grpc.JobServiceAsyncStub", promise: Promise, job_id: str) -> None:
    request = job_pb2.WaitJobRequest(job_id=job_id)
    request.timeout.FromSeconds(int(_SETTLE_S))
    try:
        job = (await stub.WaitJob(request, timeout=_SETTLE_S + 10)).job
    except grpc.aio.AioRpcError as error:
        promise.end = f"LOST {EdgeError.from_rpc(error)}"
        return
    promise.end = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
    if job.HasField("error") and promise.end != "SUCCEEDED":
        promise.end += " " + error_pb2.ErrorReason.Name(job.error.reason).removeprefix("ERROR_REASON_")
    if job.HasField("response"):
        promise.answers.add(job.response.message.content)


def _request(promise: Promise) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(
        prompt=promise.text, idempotency_key=promise.key, conversation_id=promise.conversation_id
    )
