"""The command: what is measured in which order, and where the results go.

make bench                      all of it, about eight minutes on a quiet machine
make bench ARGS=--quick         a look whether it works, under a minute; its figures mean little
make bench ARGS="--soak 0"      without the hundred thousand calls
make bench ARGS=--accepts       the durable queue alone: accepts a second, group commit beside one commit each
make bench ARGS=--cache         what the cache adds to a call, with a Redis that works, hangs or is dead
make bench ARGS=--wire          TLS records and TCP segments per call, in groups and one by one
make bench ARGS=--mixed         live calls beside a backlog of 10,000 jobs, to the same without it
make bench ARGS=--latency       what the node adds to a single call, end to end and by its stages alone
make bench ARGS=--fairness      what 20 callers get if one of them sends a hundred times as much
make bench ARGS=--savings       calls, tokens and money that coalescing, cache and half price save
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import accepts, added, fairness, layout, look_ups, mixed, outcome, plot, savings, table, wire
from bench.daemon import base_url, daemon, free_port
from bench.lab import machine
from bench.process import OTHER_CORES, SUBJECT_CORES, Process, role
from bench.results import DAEMON, ECHO, ENGINE, JOINED, TRANSPORT, Load, Results
from bench.rounds import Subject, measure
from bench.soak import soak
from bench.startup import startup

OUT = Path(__file__).resolve().parent / "out"
LOADS = (
    Load(method="unary", in_flight=1),
    Load(method="unary", in_flight=50),
    Load(method="unary", in_flight=200),
    Load(method="unary-long", in_flight=50),
    Load(method="stream", in_flight=50),
)

_TERMINATED = 143
_WHERE = "subjects on core {core}, callers and provider on the others, cold starts on all"
ON_NODES = {"mixed": mixed.run, "latency": added.run, "fairness": fairness.run, "savings": savings.run}
"""What measures whole nodes against the simulated cloud, by flag."""


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 0 even if a goal is missed: a busy machine is no reason to fail."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that every `with` ends its processes
    if options.accepts:
        print(accepts.table(options.rounds))  # noqa: T201  it is what the command is for
        return 0
    if options.cache:
        print(look_ups.table(options.rounds))  # noqa: T201  as above
        return 0
    if options.wire:
        print(wire.table(options.rounds))  # noqa: T201  as above
        return 0
    OUT.mkdir(exist_ok=True)
    for name in (name for name in ON_NODES if getattr(options, name)):
        found = ON_NODES[name](quick=options.quick, seed=options.seed)
        print(layout.report(found.machine, found.tables, markdown=options.markdown))  # noqa: T201  as above
        written = OUT / f"{name}.json"
        _tell(f"figures: {written}, plot: {outcome.write(found, written)}")
    if any(getattr(options, name) for name in ON_NODES):
        return 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeclient-bench-")))
        results = _measure(options, directory, stack)
    print(table.text(results, markdown=options.markdown))  # noqa: T201  it is what the command is for
    written = OUT / "results.json"
    written.write_text(json.dumps(_plain(results), indent=2) + "\n", encoding="utf-8")
    _tell(f"figures: {written}, plot: {plot.draw(results, OUT / 'results.png')}")
    return 0


def _measure(options: argparse.Namespace, directory: Path, stack: ExitStack) -> Results:
    def started(name: str, *rest: str, cores: frozenset[int] = OTHER_CORES) -> Process:
        return stack.enter_context(role(name, *rest, cores=cores, log=directory / f"{name}.log"))

    results = Results(machine=machine(_WHERE))
    cloud = started("canned_cloud", str(directory)).hear()
    callers = started("callers")
    callers.hear()
    echo = started("echo", cores=SUBJECT_CORES)
    joined = started("echo", base_url(cloud), cloud["ca_file"], cores=SUBJECT_CORES)
    ways = [
        (name, started("exchanges", way, base_url(cloud), cloud["ca_file"], cores=SUBJECT_CORES))
        for name, way in ((TRANSPORT, "transport"), (ENGINE, "pyreqwest"))
    ]
    addresses = {name: f"127.0.0.1:{each.hear()['port']}" for name, each in ((ECHO, echo), (JOINED, joined))}
    for _, way in ways:
        way.hear()
    results.startup = startup(cloud, callers, log=directory / "startup.log", times=options.starts, tell=_tell)

    def fresh() -> tuple[str, Process]:
        """A daemon that serves and has had one call, so that it has its connection."""
        address = f"127.0.0.1:{free_port()}"
        process = stack.enter_context(daemon(cloud, address, cores=SUBJECT_CORES, log=directory / "daemon.log"))
        callers.order("first", address=address)
        return address, process

    address, process = fresh()
    results.rss_idle_mb = process.rss_mb
    subjects = [
        Subject(name=DAEMON, process=process, driver=callers, target={"address": address}),
        Subject(name=JOINED, process=joined, driver=callers, target={"address": addresses[JOINED]}),
        Subject(name=ECHO, process=echo, driver=callers, target={"address": addresses[ECHO]}),
        *(Subject(name=name, process=way, driver=way, target={}) for name, way in ways),
    ]
    results.samples = measure(subjects, LOADS, rounds=options.rounds, duration_s=options.seconds, tell=_tell)
    results.rss_loaded_mb = process.rss_mb
    if options.soak:
        address, process = fresh()
        results.soak = soak(process, callers, address, calls=options.soak, tell=_tell)
    return results


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round, two starts, 2,000 calls of soak")
    parser.add_argument("--rounds", type=int, help="rounds; default 5")
    parser.add_argument("--seconds", type=float, help="length of one run; default 2.5")
    parser.add_argument("--starts", type=int, help="cold starts; default 5")
    parser.add_argument("--soak", type=int, help="calls of the soak, 0: none; default 100,000")
    parser.add_argument("--accepts", action="store_true", help="measure accepts of the durable queue, nothing else")
    parser.add_argument("--cache", action="store_true", help="measure look-ups in the cache, nothing else")
    parser.add_argument("--wire", action="store_true", help="measure records and segments of a call, nothing else")
    parser.add_argument("--mixed", action="store_true", help="measure live calls beside a backlog, nothing else")
    parser.add_argument("--latency", action="store_true", help="measure what a node adds to a call, nothing else")
    parser.add_argument("--fairness", action="store_true", help="measure what callers get of a node, nothing else")
    parser.add_argument("--savings", action="store_true", help="measure what calls need not be paid, nothing else")
    parser.add_argument("--seed", type=int, default=1, help="of what devices ask and when, and of the simulated cloud")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = parser.parse_args(arguments)
    short = options.quick
    defaults = {
        "rounds": 1 if short else 5,
        "seconds": 0.7 if short else 2.5,
        "starts": 2 if short else 5,
        "soak": 2_000 if short else 100_000,
    }
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _plain(results: Results) -> dict[str, Any]:
    """For JSON, where a key must be text."""
    samples = [
        {"load": asdict(load), "subject": name, "rounds": [asdict(sample) for sample in rounds]}
        for load, subjects in results.samples.items()
        for name, rounds in subjects.items()
    ]
    others = {name: getattr(results, name) for name in ("machine", "rss_idle_mb", "rss_loaded_mb")}
    parts = {name: asdict(part) for name in ("startup", "soak") if (part := getattr(results, name)) is not None}
    return others | parts | {"samples": samples}


def _tell(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
