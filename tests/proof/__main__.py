"""`python tests/proof --kills 10000 --seed 1`: the large run of the proof that nothing accepted is lost or paid twice.

Kills are spread over campaigns, each with a queue of its own and with the next seed, so that a campaign that found
something can be run again alone. The folder of such a campaign is kept.

`python tests/proof --rows 10000`: how soon a node with a full queue answers again, and how much memory it takes.

`python tests/proof --mutations`: whether the tests notice when a promise is taken away.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proof.campaign import Plan
from proof.campaigns import campaigns, plans
from proof.mutations import mutations
from proof.oracle import Findings
from proof.readiness import readiness


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/proof", description="Kill a node; see what it kept.")
    parser.add_argument("--kills", type=int, default=100, help="kills in all (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the first campaign (default 1)")
    parser.add_argument("--per-campaign", type=int, default=50, help="kills of one queue (default 50)")
    parser.add_argument("--jobs", type=int, default=2, help="campaigns or mutants at a time (default 2)")
    parser.add_argument(
        "--devices", type=int, default=6, help="devices at a time (default 6; each fourth seed has one)"
    )
    parser.add_argument("--encrypted", action="store_true", help="encrypt the queue, and search its files for content")
    parser.add_argument("--exec", action="store_true", help="a new interpreter for every life, and no forks")
    parser.add_argument(
        "--rows", type=int, default=0, help="instead: measure nodes with so many rows, plain and encrypted"
    )
    parser.add_argument("--starts", type=int, default=5, help="starts to time with --rows (default 5)")
    parser.add_argument(
        "--mutations", nargs="*", metavar="WORD", help="instead: judge the tests by mutants, all or those with a word"
    )
    return parser.parse_args()


def main() -> int:
    """Run it; returns the exit code."""
    arguments = _arguments()
    if arguments.mutations is not None:
        return mutations(arguments.mutations, jobs=arguments.jobs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the node would outlive its proof
    begun_s = time.monotonic()
    try:
        found = _readiness(arguments) if arguments.rows else _campaigns(arguments)
    except KeyboardInterrupt:
        print("interrupted: nothing is proved")  # noqa: T201
        return 130
    for name, count in sorted(found.counts.items()):
        print(f"{name:<60} {count:>10,}")  # noqa: T201  a program of its own
    if kills := found.counts["kills"]:
        print(f"{kills / (time.monotonic() - begun_s) * 60:.0f} kills per minute")  # noqa: T201
    for violation in found.violations:
        print(f"VIOLATION {violation}")  # noqa: T201
    print("the proof holds" if not found.violations else f"{len(found.violations)} violations")  # noqa: T201
    return 1 if found.violations else 0


def _campaigns(arguments: argparse.Namespace) -> Findings:
    first = Plan(
        kills=arguments.per_campaign,
        seed=arguments.seed,
        devices=arguments.devices,
        encrypted=arguments.encrypted,
        execute=arguments.exec,
    )
    return campaigns(plans(arguments.kills, like=first), jobs=arguments.jobs)


def _readiness(arguments: argparse.Namespace) -> Findings:
    total = Findings()
    for encrypted in (False, True):
        with tempfile.TemporaryDirectory(prefix="edgeclient-proof-") as folder:
            found = asyncio.run(
                readiness(Path(folder), rows=arguments.rows, starts=arguments.starts, encrypted=encrypted)
            )
        word = "encrypted" if encrypted else "plain"
        total.violations += [f"{word}: {violation}" for violation in found.violations]
        total.counts.update({f"{word}: {name}": count for name, count in found.counts.items()})
    return total


if __name__ == "__main__":
    sys.exit(main())
