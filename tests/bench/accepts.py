"""What an accept costs: callers who each wait for the fsync, with group commit and with one commit for each.

The goal is 5,000 accepts a second at 200 callers with a p99 of at most 50 ms. Both rows run in one process, in turns,
on the same disk, so their ratio holds on a noisy machine where the figures do not.
"""

import asyncio
import gc
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import builders
import uvloop

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.jobs import JobKind, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.spool import SqliteSpool
from edgeclient.spool.vault import KeyedVault
from edgeclient.spool.writer import MOST_PER_COMMIT

CALLERS = 200
ROWS = (
    ("group commit", MOST_PER_COMMIT, PlainVault(), 10_000),
    ("group commit, encrypted", MOST_PER_COMMIT, KeyedVault(bytes(32)), 10_000),
    ("one commit per accept", 1, PlainVault(), 1_000),
)


def table(rounds: int) -> str:
    """Measure and print: the median of the rounds, and all of them."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name, *_ in ROWS}
    for _ in range(rounds):
        for name, most, vault, count in ROWS:
            found[name].append(uvloop.run(_run(most, vault, count)))
    lines = [f"{CALLERS} callers, {rounds} rounds", f"{'':26}{'accepts/s':>12}{'p99 ms':>10}{'CPU us':>9}  all rounds"]
    for name, figures in found.items():
        rate, p99, cpu = (median(column) for column in zip(*figures, strict=True))
        every = ", ".join(f"{each[0]:.0f}/s {each[1] * 1e3:.0f} ms" for each in figures)
        lines.append(f"{name:26}{rate:12.0f}{p99 * 1e3:10.1f}{cpu * 1e6:9.0f}  {every}")
    return "\n".join(lines)


async def _run(most_per_commit: int, vault: Vault, count: int) -> tuple[float, float, float]:
    """Accepts per second, p99 in seconds, CPU seconds per accept."""
    directory = Path(tempfile.mkdtemp(prefix="edgeclient-accepts-"))
    spool = SqliteSpool(
        SpoolConfig(directory=str(directory), max_caller_share=1.0),
        vault=vault,
        observe=lambda _event: None,
        most_per_commit=most_per_commit,
    )
    await spool.open()
    gc.collect()
    gc.freeze()  # as the daemon does; else the collector walks through what draws the plots, 40 ms at a time
    latencies: list[float] = []
    jobs = iter([_job(number) for number in range(count)])
    begun_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_caller(spool, jobs, latencies) for _ in range(CALLERS)))
    took_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    await spool.close()
    shutil.rmtree(directory)
    latencies.sort()
    return count / took_s, latencies[count * 99 // 100], cpu_s / count


async def _caller(spool: SqliteSpool, jobs: Iterator[NewJob], latencies: list[float]) -> None:
    for job in jobs:
        begun_s = time.perf_counter()
        await spool.accept(job)
        latencies.append(time.perf_counter() - begun_s)


def _job(number: int) -> NewJob:
    request = builders.chat_request(prompt="x" * 500, idempotency_key=f"k{number}")
    return NewJob(
        id=f"J{number:025}",
        caller=f"device-{number % 50}",
        kind=JobKind.JOB,
        request=request,
        digest=content_digest(request),
        idempotency_key=request.idempotency_key,
    )
