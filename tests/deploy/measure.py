"""Measures what the pod of the default overlay needs, for the requests and limits in deploy/base/node/daemonset.yaml.

    python tests/deploy/measure.py

The daemon runs with the configuration that is applied, as a process of this machine, against a simulated provider that
takes half a second to its first token; devices call it over TLS. Memory is the resident set, CPU is told in thousandths
of a core.
"""

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import grpc
import grpc.aio
from acceptance.daemon import Daemon
from deploy.manifests import DEFAULT, overlay, workloads
from deploy.started import Pod

from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, job_pb2, job_pb2_grpc

_PROVIDER = SimulatorConfig(latency_ms=500, tokens_per_s=400)
_SECONDS = 20.0
_NUMBERS = count()

Call = Callable[[], Awaitable[object]]


class Devices:
    """The calls that devices make, over a few connections."""

    def __init__(self, pod: Pod, daemon: Daemon) -> None:
        self._channels = [pod.channel(daemon.address) for _ in range(8)]
        self._chats = [chat_pb2_grpc.ChatServiceStub(channel) for channel in self._channels]
        self._jobs = [job_pb2_grpc.JobServiceStub(channel) for channel in self._channels]

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    def chat(self, padding_bytes: int = 0) -> Call:
        async def call() -> None:
            number = next(_NUMBERS)
            prompt = f"{'x' * padding_bytes} Is 97 degrees hot for boiler {number}?"
            await self._chats[number % 8].Chat(chat_pb2.ChatRequest(prompt=prompt, max_tokens=200), timeout=120)

        return call

    async def job(self) -> None:
        number = next(_NUMBERS)
        request = chat_pb2.ChatRequest(prompt=f"Is 97 degrees hot for boiler {number}?", max_tokens=200)
        await self._jobs[number % 8].SubmitJob(job_pb2.SubmitJobRequest(request=request), timeout=120)


class Process:
    """What the kernel says of the daemon."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def cpu_s(self) -> float:
        facts = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, name: str) -> float:
        (found,) = re.findall(rf"^{name}:\s+(\d+) kB", (self._proc / "status").read_text(), re.MULTILINE)
        return int(found) / 1024

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text("5")  # from here on VmHWM is the most since now


async def closed(call: Call, callers: int) -> int:
    """So many callers, each with its next call as soon as the last one is answered; returns how many were."""
    end_s = time.monotonic() + _SECONDS

    async def caller() -> int:
        done = 0
        while time.monotonic() < end_s:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                await asyncio.sleep(1)  # there is more than the node takes; as devices do, it comes later
            else:
                done += 1
        return done

    return sum(await asyncio.gather(*(caller() for _ in range(callers))))


async def paced(call: Call, per_s: float) -> int:
    """A call each so often, whatever becomes of the others."""
    async with asyncio.TaskGroup() as group:
        for _ in range(round(per_s * _SECONDS)):
            group.create_task(_run(call))
            await asyncio.sleep(1 / per_s)
    return round(per_s * _SECONDS)


async def _run(call: Call) -> None:
    await call()


async def nothing() -> int:
    await asyncio.sleep(_SECONDS)
    return 0


async def measure() -> None:
    (workload,) = workloads(overlay(DEFAULT))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sim = await stack.enter_async_context(Simulator(_PROVIDER))
        pod = Pod(overlay(DEFAULT), workload, root=Path(folder), sim=sim)
        daemon = await stack.enter_async_context(pod.daemon())
        devices = Devices(pod, daemon)
        stack.push_async_callback(devices.close)
        process = Process(daemon._process.pid)
        rows: list[tuple[str, Callable[[], Awaitable[int]]]] = [
            ("at rest", nothing),
            ("10 calls a second", lambda: paced(devices.chat(), 10)),
            ("50 calls in flight", lambda: closed(devices.chat(), 50)),
            ("500 calls in flight", lambda: closed(devices.chat(), 500)),
            ("500 calls in flight, prompts of 60 kB", lambda: closed(devices.chat(60_000), 500)),
            ("jobs from 100 callers", lambda: closed(devices.job, 100)),
        ]
        sys.stdout.write(f"{'':40} calls/s    CPU  memory, most\n")
        for name, load in rows:
            process.forget_peak()
            begun_s, cpu_s = time.monotonic(), process.cpu_s()
            calls = await load()
            took_s = time.monotonic() - begun_s
            cpu = 1000 * (process.cpu_s() - cpu_s) / took_s
            memory = f"{process.memory_mb('VmRSS'):4.0f} MB {process.memory_mb('VmHWM'):4.0f} MB"
            sys.stdout.write(f"{name:40} {calls / took_s:7.0f} {cpu:5.0f}m {memory}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(measure())
