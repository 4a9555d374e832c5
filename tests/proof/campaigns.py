"""Many campaigns, some at a time, each in a process of its own; told as they end.

What a campaign does comes from its seed alone, so it is the same however many run beside it.
"""

import asyncio
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from proof.campaign import Plan, campaign
from proof.census import blind_spots
from proof.oracle import Findings

_SLOWEST = "slowest start, ms"
# Of every so many seeds one has a device alone: its node is idle at times, and each step is seen without others.
_QUIET = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What came of a campaign; `kept` is its folder if there is something to see."""

    plan: Plan
    findings: Findings
    duration_s: float
    kept: str


def plans(kills: int, *, like: Plan) -> list[Plan]:
    """So many kills, in campaigns of `like.kills`; what each does depends on its seed and not on its place."""
    return [
        replace(
            like,
            kills=min(like.kills, kills - begun),
            seed=like.seed + number,
            devices=like.devices if (like.seed + number) % _QUIET else 1,
        )
        for number, begun in enumerate(range(0, kills, like.kills))
    ]


def campaigns(planned: Sequence[Plan], *, jobs: int) -> Findings:
    """Run them; returns the sum of what they have shown."""
    total = Findings()
    slowest_ms = 0
    context = multiprocessing.get_context("spawn")  # a fork would copy what gRPC does not bear to have copied
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context, initializer=_obey) as pool:
        try:
            for future in as_completed([pool.submit(_run, plan) for plan in planned]):
                ended = future.result()
                slowest_ms = max(slowest_ms, ended.findings.counts.pop(_SLOWEST, 0))
                ended.findings.violations = [f"seed {ended.plan.seed}: {each}" for each in ended.findings.violations]
                total.add(ended.findings)
                _tell(ended)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()  # its node dies with it
            raise
    total.counts[_SLOWEST] = slowest_ms
    total.violations += blind_spots(total.counts)
    return total


def _run(plan: Plan) -> _Ended:
    home = Path(tempfile.mkdtemp(prefix="edgeclient-proof-"))
    begun_s = time.monotonic()
    try:
        findings = asyncio.run(campaign(plan, home))
    except Exception as error:  # noqa: BLE001  a node that does not start again is what is looked for
        findings = Findings(violations=[f"the campaign broke off: {''.join(traceback.format_exception(error))}"])
    if not findings.violations:
        shutil.rmtree(home)
    kept = str(home) if findings.violations else ""
    return _Ended(plan=plan, findings=findings, duration_s=time.monotonic() - begun_s, kept=kept)


def _tell(ended: _Ended) -> None:
    plan, found = ended.plan, ended.findings
    kept = f", kept in {ended.kept}" if ended.kept else ""
    print(  # noqa: T201  a program of its own
        f"seed {plan.seed}: {plan.kills} kills, {found.counts['jobs accepted']} jobs, {len(found.violations)}"
        f" violations, {ended.duration_s:.0f} s{kept}",
        flush=True,
    )
    for violation in found.violations:
        print(f"VIOLATION {violation}", flush=True)  # noqa: T201  at once, and once more at the end


def _obey() -> None:
    """What ends a campaign is the end of who commands, however that comes; Ctrl-C is for him."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commander = multiprocessing.parent_process()
    if commander is None:
        raise RuntimeError("a campaign of many runs in a process of its own")

    def follow() -> None:
        commander.join()
        os._exit(1)  # its node dies with it

    threading.Thread(target=follow, name="end of who commands", daemon=True).start()
