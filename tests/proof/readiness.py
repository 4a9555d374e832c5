"""What a full queue costs: a node that was killed has to answer again within 2 s with 10,000 rows, in 100 MB.

Memory is looked at when it answers again, and while it empties the queue into the simulated cloud. Every start here is
that of a new interpreter: a fork would share its memory with others.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
from proof.campaign import cloud, spool_settings
from proof.node import Node
from proof.oracle import Findings

from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2, job_pb2, job_pb2_grpc

LIMIT_S = 2.0
LIMIT_KIB = 100 * 1000 * 1000 // 1024
_CLIENTS = 64
_PAYLOAD_BYTES = 1000
_KEY_CHARACTERS = len("row-000000")
_DRAIN_S = 600.0
_LOOK_S = 0.05


async def readiness(home: Path, *, rows: int, starts: int, encrypted: bool) -> Findings:
    """Fill a queue while the cloud is away, kill the node, time its starts; then let it empty the queue."""
    settings = {"max_caller_share": 1.0, **spool_settings(home, encrypted=encrypted)}
    async with cloud(seed=1) as sim, Node.prepared(home, sim, settings) as node:
        await sim.stop()
        await node.start()
        memory = Counter(_memory("without rows", node.pid))
        await _fill(node, rows)
        for _ in range(starts):
            await node.kill()
            await node.start()
        memory |= _memory("ready", node.pid)
        async with _watched(memory, node.pid):
            await sim.start()
            await _drained(sim, rows)
    return _judged(node, rows, memory)


def _judged(node: Node, rows: int, memory: Counter[str]) -> Findings:
    times_s = sorted(node.ready_s[1:])
    findings = Findings()
    findings.counts["rows"] = rows
    findings.counts["start without rows, ms"] = round(node.ready_s[0] * 1000)
    findings.counts["median start, ms"] = round(times_s[len(times_s) // 2] * 1000)
    cpu_s = sorted(node.ready_cpu_s[1:])
    findings.counts["start without rows, processor, ms"] = round(node.ready_cpu_s[0] * 1000)
    findings.counts["median start, processor, ms"] = round(cpu_s[len(cpu_s) // 2] * 1000)
    findings.counts["slowest start, ms"] = round(times_s[-1] * 1000)
    findings.counts |= memory
    if times_s[-1] > LIMIT_S:
        findings.violations.append(f"ready after {times_s[-1]:.2f} s with {rows} rows, {LIMIT_S:g} s permitted")
    findings.violations += [
        f"{name}: {kib}, {LIMIT_KIB} permitted with {rows} rows" for name, kib in memory.items() if kib > LIMIT_KIB
    ]
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


async def _drained(sim: Simulator, rows: int) -> None:
    async with asyncio.timeout(_DRAIN_S):
        await sim.ledger.wait_until(lambda: sim.ledger.totals.answered >= rows)


@asynccontextmanager
async def _watched(memory: Counter[str], pid: int) -> AsyncIterator[None]:
    """Keep the largest of what is seen within."""

    async def watch() -> None:
        nonlocal memory
        while True:
            memory |= _memory("draining", pid)
            await asyncio.sleep(_LOOK_S)

    watching = asyncio.create_task(watch(), name="watch on the memory")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def _memory(when: str, pid: int) -> Counter[str]:
    """Resident memory now and at its highest since the start."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines())
    return Counter(
        {
            f"resident {when}, KiB": int(fields["VmRSS"].split()[0]),
            f"resident {when}, highest since the start, KiB": int(fields["VmHWM"].split()[0]),
        }
    )
