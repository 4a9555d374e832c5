"""What the node adds to a call when nobody else calls, and how much of that is its own decisions.

End to end: the same question straight to the simulated cloud, to a gRPC server that answers at once, to the least
gateway that can be made of these parts (that server and the HTTP engine in one process, without a line of logic), to
the daemon, call by call in turns. What the daemon adds to the least gateway is ours: port, codecs, telemetry, stages.

In the process: the stages alone, from validation to the turn at the provider, on the daemon's own wiring; see
`own_road.py`. The goal is set for these, because the rest is the price of gRPC and HTTP/2, whoever uses them. Beside
the time that passed stands the CPU of each call, for on a busy machine the 99th percentile of the former is that of the
neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from bench import own_road
from bench.daemon import base_url
from bench.figures import median, quantile
from bench.lab import Lab, machine
from bench.layout import Rows, verdict
from bench.outcome import Bars, Outcome
from bench.process import OTHER_CORES, SUBJECT_CORES, role

GOAL_MS: Final = 0.3
STRAIGHT, ECHO, LEAST, DAEMON = "straight to the cloud", "gRPC echo", "the least gateway", "edgeclient serve"


@dataclass(slots=True)
class Seconds:
    """What calls took.

    Attributes:
        wall: Each, from begin to end; what a neighbour on the core takes is in it.
        cpu: Each, of the CPU alone.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def run(*, quick: bool, seed: int) -> Outcome:
    """Measure."""
    head = machine()
    rows, calls, rounds = (300, 500, 3) if quick else (3_000, 1_000, 10)
    with Lab("--seed", str(seed)) as lab:
        ways = _ways(lab, rows)
        stages = _stages(lab, calls, rounds)
    tables = [
        (f"One call at a time, {rows:,} each way, the cloud answers at once", _ways_table(ways)),
        (f"The stages alone, {calls * rounds:,} calls each", _stages_table(stages)),
    ]
    shares = {"p50": 0.5, "p99": 0.99}
    names = (STRAIGHT, ECHO, LEAST, DAEMON)
    ends = {name: [quantile(sorted(ways[way]), share) * 1000 for way in names] for name, share in shares.items()}
    own = {
        name: [quantile(sorted(seconds.wall), share) * 1000 for seconds in stages.values()]
        for name, share in shares.items()
    }
    bars = [
        Bars(title="One call at a time", unit="ms", groups=names, series=ends),
        Bars(title="The stages alone", unit="ms", groups=list(stages), series=own, goal=GOAL_MS),
    ]
    return Outcome(machine=head, tables=tables, bars=bars)


def _ways(lab: Lab, rows: int) -> dict[str, list[float]]:
    cloud: Mapping[str, Any] = lab.cloud.facts
    into = lab.directory / "ways"

    def started(*arguments: str) -> Any:
        return role("echo", *arguments, cores=SUBJECT_CORES, log=lab.directory / "echo.log")

    with (
        started() as echo,
        started(base_url(cloud), cloud["ca_file"]) as least,
        lab.node() as node,
        role("pairs", cores=OTHER_CORES, log=lab.directory / "pairs.log") as caller,
    ):
        caller.hear()
        addresses = {DAEMON: node.address}
        addresses |= {name: f"127.0.0.1:{process.hear()['port']}" for name, process in ((ECHO, echo), (LEAST, least))}
        caller.order("measure", addresses=addresses, straight=STRAIGHT, cloud=cloud, rows=rows, into=str(into))
    return msgspec.json.decode(into.read_bytes(), type=dict[str, list[float]])


def _stages(lab: Lab, calls: int, rounds: int) -> dict[str, Seconds]:
    """All calls, by kind; rounds alternate."""
    folder = lab.queue()
    found = {kind: Seconds() for kind in own_road.KINDS}
    with role("own_road", str(folder), cores=SUBJECT_CORES, log=lab.directory / "own_road.log") as roads:
        roads.hear()
        for _ in range(rounds):
            for kind, seconds in found.items():
                told = roads.order("run", kind=kind, calls=calls)
                seconds.wall += told["seconds"]
                seconds.cpu += told["cpu"]
    return found


def added_ms(of: Sequence[float], to: Sequence[float], share: float) -> float:
    """How much later this share of the calls was answered than that of the others, in milliseconds."""
    return (quantile(sorted(of), share) - quantile(sorted(to), share)) * 1000


def _ways_table(ways: Mapping[str, Sequence[float]]) -> Rows:
    table = [["way", "p50 ms", "p99 ms"]]
    table += [[name, *_ms(ways[name])] for name in (STRAIGHT, ECHO, LEAST, DAEMON)]
    pairs = [
        ("added by any gateway: least gateway - straight", LEAST, STRAIGHT),
        ("added by this one: daemon - straight", DAEMON, STRAIGHT),
        ("- of it ours: daemon - least gateway", DAEMON, LEAST),
    ]
    table += [
        [title, *(f"{added_ms(ways[of], ways[to], share):+.2f}" for share in (0.5, 0.99))] for title, of, to in pairs
    ]
    paired = median([one - other for one, other in zip(ways[DAEMON], ways[LEAST], strict=True)]) * 1000
    table.append(["- the same, call by call, the median of the differences", f"{paired:+.2f}", ""])
    return table


def _stages_table(stages: Mapping[str, Seconds]) -> Rows:
    table = [["stages", "p50 ms", "p99 ms", "goal", "p50 reached", "p99 reached", "CPU p50 ms", "CPU p99 ms"]]
    for kind, seconds in stages.items():
        reached = [verdict(quantile(sorted(seconds.wall), share) * 1000 <= GOAL_MS) for share in (0.5, 0.99)]
        goal = [f"<= {GOAL_MS} ms", *reached]
        table.append([kind, *_ms(seconds.wall, digits=3), *goal, *_ms(seconds.cpu, digits=3)])
    return table


def _ms(seconds: Sequence[float], digits: int = 2) -> list[str]:
    ordered = sorted(seconds)
    return [f"{quantile(ordered, share) * 1000:.{digits}f}" for share in (0.5, 0.99)]
