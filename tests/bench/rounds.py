"""Subjects one after the other, round by round: A B C, A B C, because a machine is never the same for a minute.

The same work costs up to 2.6 times more CPU in one minute than in another, so a figure means something only beside
the figures of the others in its round.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import SUBJECT_CORES, Process
from bench.results import Load, Sample

_WARM_UP_S = 0.5
_PAUSE_S = 0.1  # what is left of one run does not fall into the next
_TICKS_PER_S = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose CPU is read.

    Attributes:
        name: As in the table.
        process: It.
        driver: Who takes the orders: the callers, or the subject itself.
        target: What the driver has to be told beside the load.
    """

    name: str
    process: Process
    driver: Process
    target: dict[str, Any]


def measure(
    subjects: Sequence[Subject], loads: Sequence[Load], *, rounds: int, duration_s: float, tell: Callable[[str], None]
) -> dict[Load, dict[str, list[Sample]]]:
    """All subjects under all loads, in so many rounds of `duration_s` each."""
    samples: dict[Load, dict[str, list[Sample]]] = {load: {each.name: [] for each in subjects} for load in loads}
    for load in loads:
        for subject in subjects:
            _drive(subject, load, _WARM_UP_S)
    for number in range(rounds):
        for load in loads:
            tell(f"round {number + 1} of {rounds}: {load.method}, {load.in_flight} in flight")
            for subject in subjects:
                time.sleep(_PAUSE_S)
                samples[load][subject.name].append(_sample(subject, load, duration_s))
    return samples


def _drive(subject: Subject, load: Load, duration_s: float) -> dict[str, Any]:
    return subject.driver.order(
        "run", method=load.method, in_flight=load.in_flight, duration_s=duration_s, **subject.target
    )


def _sample(subject: Subject, load: Load, duration_s: float) -> Sample:
    begun_s, cpu_s, core_s = time.perf_counter(), subject.process.cpu_s, _core_busy_s()
    seen = _drive(subject, load, duration_s)
    took_s = time.perf_counter() - begun_s
    cpu_s, core_s = subject.process.cpu_s - cpu_s, _core_busy_s() - core_s
    if not seen["calls"]:
        raise RuntimeError(f"{subject.name} answered no {load.method} call: {seen['failure']}")
    return Sample(
        cpu_us=cpu_s / seen["calls"] * 1e6,
        calls_per_s=seen["calls"] / seen["wall_s"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        calls=seen["calls"],
        failures=seen["failures"],
        failure=seen["failure"],
        busy=cpu_s / took_s,
        others=max(0.0, core_s - cpu_s) / took_s,
        pieces=seen.get("pieces", 0.0),
    )


def _core_busy_s() -> float:
    """What the core of the subjects has worked since the machine started; steal counts, idle and waiting do not."""
    names = {f"cpu{core}" for core in SUBJECT_CORES}
    rows = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
    ticks = [[int(number) for number in row[1:9]] for row in rows if row[0] in names]
    return sum(sum(row) - row[3] - row[4] for row in ticks) / _TICKS_PER_S
