"""How soon a node that was killed answers again with a full queue: 2 s with 10,000 rows is the promise."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
from proof.campaign import cloud, spool_settings
from proof.node import Node
from proof.oracle import Findings

from edgeclient.v1 import chat_pb2, job_pb2, job_pb2_grpc

LIMIT_S = 2.0
_CLIENTS = 64
_PAYLOAD_BYTES = 1000
_KEY_CHARACTERS = len("row-000000")


async def readiness(home: Path, *, rows: int, starts: int, encrypted: bool) -> Findings:
    """Fill a queue while the cloud is away, kill the node, time its starts."""
    async with cloud(seed=1) as sim:
        node = Node.prepared(home, sim, {"max_caller_share": 1.0, **spool_settings(home, encrypted=encrypted)})
        await sim.stop()
        try:
            await node.start()
            await _fill(node, rows)
            for _ in range(starts):
                await node.kill()
                await node.start()
        finally:
            await node.kill()
    times_s = sorted(node.ready_s[1:])
    findings = Findings()
    findings.counts["rows"] = rows
    findings.counts["start without rows, ms"] = round(node.ready_s[0] * 1000)
    findings.counts["median start, ms"] = round(times_s[len(times_s) // 2] * 1000)
    cpu_s = sorted(node.ready_cpu_s[1:])
    findings.counts["start without rows, processor, ms"] = round(node.ready_cpu_s[0] * 1000)
    findings.counts["median start, processor, ms"] = round(cpu_s[len(cpu_s) // 2] * 1000)
    findings.counts["slowest start, ms"] = round(times_s[-1] * 1000)
    if times_s[-1] > LIMIT_S:
        findings.violations.append(f"ready after {times_s[-1]:.2f} s with {rows} rows, {LIMIT_S:g} s permitted")
    return findings


async def _fill(node: Node, rows: int) -> None:
    rng = random.Random(1)
    texts = iter([f"row-{number:06}-{rng.randbytes(_PAYLOAD_BYTES // 2).hex()}" for number in range(rows)])
    async with node.channel() as channel, asyncio.TaskGroup() as group:
        stub: job_pb2_grpc.JobServiceAsyncStub = job_pb2_grpc.JobServiceStub(channel)
        for number in range(_CLIENTS):
            group.create_task(_submit_all(stub, texts), name=f"client {number}")


async def _submit_all(stub: "job_pb2_grpc.JobServiceAsyncStub", texts: Iterator[str]) -> None:
    for text in texts:
        request = chat_pb2.ChatRequest(prompt=text, idempotency_key=text[:_KEY_CHARACTERS])
        accepted = False
        while not accepted:
            try:
                await stub.SubmitJob(job_pb2.SubmitJobRequest(request=request), timeout=60)
                accepted = True
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
