"""One queue, killed again and again under load, and then asked to account for everything.

Every chance comes from the seed: what devices ask, when the node dies. What the machine makes of it differs from run to
run, so a seed repeats the plan and not each microsecond.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.devices import Devices
from proof.node import Node
from proof.oracle import Findings, Oracle

from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.simulator.ledger import Outcome

_LATENCY_MS = 40.0
# A life lasts up to this long after the node answers; some end before that, in the middle of recovery.
_LIFE_S = 1.0
_IN_RECOVERY = 0.15
_RECOVERY_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign does.

    Attributes:
        kills: How often the node is killed.
        seed: Of all chance.
        devices: How many ask at a time.
        encrypted: The queue is encrypted; then no file may hold a prompt at any time.
    """

    kills: int
    seed: int
    devices: int = 6
    encrypted: bool = False

    @property
    def mark(self) -> str:
        """Begins every prompt."""
        return f"q-{self.seed}-"


async def campaign(plan: Plan, home: Path) -> Findings:
    """Run the plan in an empty folder; returns what it has shown."""
    rng = random.Random(plan.seed)
    oracle = Oracle()
    async with cloud(seed=plan.seed) as sim:
        node = Node.prepared(home, sim, spool_settings(home, encrypted=plan.encrypted))
        devices = Devices(node, oracle, rng=rng, mark=plan.mark)
        try:
            await node.start()
            async with asyncio.TaskGroup() as group:
                for number in range(plan.devices):
                    group.create_task(devices.run(number), name=f"device {number}")
                for _ in range(plan.kills):
                    await _one_life(node, rng)
                    sending = node.sending()
                    oracle.sending_at_kills += sending.count
                    oracle.resendable_at_kills += sending.resendable
                    oracle.billed(_newly_arrived(sim))
                if not node.up.is_set():
                    await node.start()
                devices.stopped.set()
            await devices.settle()
            findings = await _accounted(plan, node, oracle, sim)
        finally:
            await node.kill()
    return findings


async def _one_life(node: Node, rng: random.Random) -> None:
    """Start if needed, live for a random time, die."""
    if rng.random() < _IN_RECOVERY and not node.up.is_set():
        await node.spawn()
        await asyncio.sleep(rng.random() * _RECOVERY_S)
    else:
        if not node.up.is_set():
            await node.start()
        await asyncio.sleep(rng.random() * _LIFE_S)
    await node.kill()


async def _accounted(plan: Plan, node: Node, oracle: Oracle, sim: Simulator) -> Findings:
    """The last life ends politely; then books, files and log are looked at."""
    leaks = _leaks(plan, node)
    code = await node.stop()
    oracle.billed(_newly_arrived(sim))
    findings = oracle.judged()
    findings.violations += leaks + _leaks(plan, node)
    if code:
        findings.violations.append(f"the node ended with exit code {code} on SIGTERM")
    findings.violations += await _verified(node)
    findings.counts["kills"] = plan.kills
    findings.counts["lives that answered"] = len(node.ready_s)
    findings.counts["slowest start, ms"] = round(max(node.ready_s) * 1000)
    return findings


async def _verified(node: Node) -> list[str]:
    """What `edgeclient jobs verify` has to say: integrity, checksums, conservation."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgeclient", "jobs", "verify", "--config", node.config, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode not in (0, 65):
        return [f"jobs verify ended with {process.returncode}: {err.decode()[-500:]}"]
    report: dict[str, Any] = json.loads(out)
    return [f"jobs verify: {problem}" for problem in report["problems"]]


def _leaks(plan: Plan, node: Node) -> list[str]:
    """Content must never be in the log, nor in an encrypted queue's files."""
    mark = plan.mark.encode()
    files = [node.log, *(node.spool.iterdir() if plan.encrypted else ())]
    return [f"{file.name} holds a prompt in plain" for file in files if file.is_file() and mark in file.read_bytes()]


def _newly_arrived(sim: Simulator) -> list[str]:
    """Prompts of requests that arrived whole since this was asked last; the cloud forgets them."""
    entries = [entry for entry in sim.ledger.entries if entry.outcome is not Outcome.REFUSED and entry.body]
    texts = [str(json.loads(entry.body or "{}")["messages"][-1]["content"]) for entry in entries]
    sim.ledger.reset()
    return texts


@asynccontextmanager
async def cloud(*, seed: int) -> AsyncIterator[Simulator]:
    """A cloud that takes a moment for each answer, so that a kill meets requests in flight."""
    async with Simulator(SimulatorConfig(seed=seed, latency_ms=_LATENCY_MS, jitter=1.0, keep_bodies=True)) as sim:
        yield sim


def spool_settings(home: Path, *, encrypted: bool) -> dict[str, object]:
    """Settings of the queue beside its folder."""
    if not encrypted:
        return {}
    file = home / "node.key"
    file.touch(mode=0o600)
    file.write_text(os.urandom(32).hex())
    return {"encryption_key_file": str(file)}
