"""`python tests/proof --kills 10000 --seed 1`: the large run of the proof that nothing accepted is lost or paid twice.

Kills are spread over campaigns, each with a queue of its own and with the next seed, so that a campaign that found
something can be run again alone. The folder of such a campaign is kept.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proof.campaign import Plan, campaign
from proof.oracle import Findings
from proof.readiness import readiness


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/proof", description="Kill a node; see what it kept.")
    parser.add_argument("--kills", type=int, default=100, help="kills in all (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the first campaign (default 1)")
    parser.add_argument("--per-campaign", type=int, default=50, help="kills of one queue (default 50)")
    parser.add_argument("--devices", type=int, default=6, help="devices at a time (default 6)")
    parser.add_argument("--encrypted", action="store_true", help="encrypt the queue, and search its files for content")
    parser.add_argument("--rows", type=int, default=0, help="instead: time the start with so many rows in the queue")
    parser.add_argument("--starts", type=int, default=5, help="starts to time with --rows (default 5)")
    return parser.parse_args()


def main() -> int:
    """Run it; returns the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the node would outlive its proof
    if arguments.rows:
        with tempfile.TemporaryDirectory(prefix="edgeclient-proof-") as folder:
            found = asyncio.run(
                readiness(Path(folder), rows=arguments.rows, starts=arguments.starts, encrypted=arguments.encrypted)
            )
        for violation in found.violations:
            print(f"VIOLATION {violation}")  # noqa: T201
    else:
        found = _campaigns(arguments)
    for name, count in sorted(found.counts.items()):
        print(f"{name:<45} {count:>10,}")  # noqa: T201  a program of its own
    print("the proof holds" if not found.violations else f"{len(found.violations)} violations")  # noqa: T201
    return 1 if found.violations else 0


def _campaigns(arguments: argparse.Namespace) -> Findings:
    total = Findings()
    slowest_ms = 0
    left, seed = arguments.kills, arguments.seed
    while left > 0:
        plan = Plan(
            kills=min(left, arguments.per_campaign),
            seed=seed,
            devices=arguments.devices,
            encrypted=arguments.encrypted,
        )
        home = Path(tempfile.mkdtemp(prefix="edgeclient-proof-"))
        begun_s = time.monotonic()
        found = asyncio.run(campaign(plan, home))
        slowest_ms = max(slowest_ms, found.counts.pop("slowest start, ms"))
        total.add(found)
        left, seed = left - plan.kills, seed + 1
        kept = "" if not found.violations else f", kept in {home}"
        print(  # noqa: T201
            f"seed {plan.seed}: {plan.kills} kills, {found.counts['jobs accepted']} jobs, {len(found.violations)}"
            f" violations, {time.monotonic() - begun_s:.0f} s{kept}",
            flush=True,
        )
        for violation in found.violations:
            print(f"VIOLATION seed {plan.seed}: {violation}", flush=True)  # noqa: T201
        if not found.violations:
            shutil.rmtree(home)
    total.counts["slowest start, ms"] = slowest_ms
    return total


if __name__ == "__main__":
    sys.exit(main())
