"""One queue, killed again and again under load, and then asked to account for everything.

Every chance comes from the seed: what each device asks, when the node dies. What the machine makes of it differs from
run to run, so a seed repeats the plan and not each microsecond.
"""

import asyncio
import json
import os
import random
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.census import Death, counted
from proof.devices import Devices
from proof.node import Node
from proof.oracle import Findings, Oracle
from proof.remains import remains

from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.simulator.ledger import Outcome

_LATENCY_MS = 40.0
# A life lasts up to this long after the node answers. Some end at any moment of their start, or a little later.
_LIFE_S = 0.5
_IN_START = 0.2
_START_PART = 1.2
_TYPICAL_START_S = {True: 1.0, False: 0.12}  # until there is a measured one
_EXECUTED = 0.02
ALARMS = ("defect_found", "spool_damaged", "spool_failed", "spool_fell_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign does.

    Attributes:
        kills: How often the node is killed.
        seed: Of all chance.
        devices: How many ask at a time.
        encrypted: The queue is encrypted; then no file may hold a prompt at any time.
        execute: Every life is a new interpreter. Else the first and the last are, and now and then one between them,
            and the others are forks of a process that has imported everything.
        settle_s: In the last life every accepted job has to end within.
    """

    kills: int
    seed: int
    devices: int = 6
    encrypted: bool = False
    execute: bool = False
    settle_s: float = 60.0

    @property
    def mark(self) -> str:
        """Begins every prompt."""
        return f"q-{self.seed}-"


async def campaign(plan: Plan, home: Path) -> Findings:
    """Run the plan in an empty folder; returns what it has shown."""
    oracle = Oracle()
    spool = spool_settings(home, encrypted=plan.encrypted)
    async with cloud(seed=plan.seed) as sim, Node.prepared(home, sim, spool) as node:
        devices = Devices(node, oracle, seed=plan.seed, mark=plan.mark)
        lives = _Lives(plan, node, devices, oracle, sim)
        async with asyncio.TaskGroup() as group:
            for number in range(plan.devices):
                group.create_task(devices.run(number), name=f"device {number}")
            for number in range(plan.kills):
                await lives.live_and_die(number)
            await node.start()
            devices.stopped.set()
        await devices.settle(plan.settle_s)
        findings = await _accounted(plan, node, oracle, sim)
        findings.counts += lives.counts
    return findings


class _Lives:
    """One life after another, each ended by a kill."""

    def __init__(self, plan: Plan, node: Node, devices: Devices, oracle: Oracle, sim: Simulator) -> None:
        self._plan = plan
        self._node = node
        self._devices = devices
        self._oracle = oracle
        self._sim = sim
        self._chance = random.Random(f"{plan.seed}/kills")
        self._start_s: dict[bool, list[float]] = {True: [], False: []}
        self._epoch = 0
        self.counts: Counter[str] = Counter()

    async def live_and_die(self, number: int) -> None:
        """One life, and what it leaves."""
        in_start, part, draw = (self._chance.random() for _ in range(3))
        execute = self._plan.execute or not number or draw < _EXECUTED
        if in_start < _IN_START:
            kill_after_s = part * _START_PART * self._typical_start_s(execute=execute)
            answered = await self._node.begin(execute=execute, kill_after_s=kill_after_s)
            await self._node.ended()
        else:
            await self._node.start(execute=execute)
            answered = True
            self._start_s[execute].append(self._node.ready_s[-1])
            await self._node.kill(after_s=part * _LIFE_S)
        self._bury(answered=answered, execute=execute)

    def _typical_start_s(self, *, execute: bool) -> float:
        return statistics.median(self._start_s[execute] or [_TYPICAL_START_S[execute]])

    def _bury(self, *, answered: bool, execute: bool) -> None:
        submitting = self._devices.submitting(self._node.life)
        left = remains(self._node.spool, keys=submitting)
        arrived = _newly_arrived(self._sim)
        self._oracle.billed(text for text, _ in arrived)
        self._oracle.cut(left.sending)
        death = Death(
            answered=answered,
            executed=execute,
            epoch_before=self._epoch,
            left=left,
            submitting=submitting,
            arrived=dict(arrived),
            text_of={attempt.key: self._oracle.text_of(attempt.key) for attempt in left.sending},
        )
        self.counts += counted(death)
        self._epoch = left.epoch


async def _accounted(plan: Plan, node: Node, oracle: Oracle, sim: Simulator) -> Findings:
    """The last life ends politely; then books, files and log are looked at."""
    leaks = _leaks(plan, node)
    code = await node.stop()
    oracle.billed(text for text, _ in _newly_arrived(sim))
    findings = oracle.judged()
    findings.violations += leaks + _leaks(plan, node)
    if code:
        findings.violations.append(f"the node ended with exit code {code} on SIGTERM")
    findings.violations += alarms(node.log.read_bytes()) + await _verified(node)
    findings.counts["lives that answered"] = len(node.ready_s)
    findings.counts["slowest start, ms"] = round(max(node.ready_s) * 1000)
    return findings


async def _verified(node: Node) -> list[str]:
    """What `edgeclient jobs verify` has to say: integrity, checksums, conservation."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "edgeclient", "jobs", "verify", "--config", node.config, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode not in (0, 65):
        return [f"jobs verify ended with {process.returncode}: {err.decode()[-500:]}"]
    report: dict[str, Any] = json.loads(out)
    problems = [f"jobs verify: {problem}" for problem in report["problems"]]
    if report["lost_total"]:
        problems.append(f"the node itself counts {report['lost_total']} jobs as lost")
    return problems


def alarms(log: bytes) -> list[str]:
    """What a node says that a kill is no reason for."""
    return [f"the node said {word}" for word in ALARMS if b'"event":"%s"' % word.encode() in log]


def _leaks(plan: Plan, node: Node) -> list[str]:
    """Content must never be in the log, nor in an encrypted queue's files."""
    mark = plan.mark.encode()
    files = [node.log, *(node.spool.iterdir() if plan.encrypted else ())]
    return [f"{file.name} holds a prompt in plain" for file in files if file.is_file() and mark in file.read_bytes()]


def _newly_arrived(sim: Simulator) -> list[tuple[str, bool]]:
    """Prompts of requests that arrived whole since this was asked last, and whether the cloud has answered.

    The cloud forgets them.
    """
    entries = [entry for entry in sim.ledger.entries if entry.outcome is not Outcome.REFUSED and entry.body]
    sim.ledger.reset()
    return [
        (str(json.loads(entry.body or "{}")["messages"][-1]["content"]), entry.outcome is Outcome.ANSWERED)
        for entry in entries
    ]


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
