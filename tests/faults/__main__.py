"""`python tests/faults`: every fault at every phase, in every form, against the daemon; judged by an oracle.

    --only WORD ...   cells, partitions, cancels and runaways with all of these words in their names
    --quick           a cell of each kind, and short keepalives for the partitions
    --part NAME       matrix, route (with a second target), partitions, cancels or runaway; repeatable; else all
    --table FILE      writes the table of the matrix as markdown
    --mutations [WORD ...]   instead: does the suite notice when a promise is taken away

Partitions need root and `ip`; with the keepalives as they come, they take some minutes.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import report
from faults.cancels import cancels
from faults.house import house
from faults.matrix import Cell, Row, cells, run
from faults.moves import moving_cells, run_moves
from faults.mutants import MUTANTS
from faults.networks import missing
from faults.partitions import SHORT, USUAL, partitions
from faults.runaway import runaways
from proof.mutations import mutations

PARTS: Final = ("matrix", "route", "partitions", "cancels", "runaway")


def quick(chosen: list[Cell]) -> list[Cell]:
    """The first cell of each kind and phase, another form for each."""
    by_kind: dict[tuple[str, str], list[Cell]] = {}
    for cell in chosen:
        by_kind.setdefault((cell.kind.name, cell.kind.phase.value), []).append(cell)
    return [group[number % len(group)] for number, group in enumerate(by_kind.values())]


async def _matrix(folder: Path, words: list[str], *, fast: bool) -> AsyncIterator[tuple[Row, str, bool]]:
    chosen = [cell for cell in cells() if all(word in cell.name for word in words)]
    chosen = quick(chosen) if fast else chosen
    if not chosen:
        return
    async with house(folder) as it:
        async for row in run(it, chosen):
            yield row, report.line_of_row(row), bool(row.problems)


async def _route(folder: Path, words: list[str], *, fast: bool) -> AsyncIterator[tuple[Row, str, bool]]:
    chosen = [cell for cell in moving_cells() if all(word in cell.name for word in words)]
    chosen = quick(chosen) if fast else chosen
    if not chosen:
        return
    async with house(folder, two_targets=True) as it:
        async for row in run_moves(it, chosen):
            yield row, report.line_of_row(row), bool(row.problems)


async def _others(folder: Path, part: str, *, fast: bool) -> AsyncIterator[tuple[str, bool]]:
    if part == "partitions":
        if reason := missing():
            print(f"skipped: {reason}")  # noqa: T201  a program of its own
            return
        async for found in partitions(folder, SHORT if fast else USUAL):
            yield report.line_of_finding(found), bool(found.problems)
    elif part == "cancels":
        async for cancelled in cancels(folder):
            yield report.line_of_cancel(cancelled), bool(cancelled.problems)
    else:
        async with house(folder) as it:
            async for cost in runaways(it):
                yield report.line_of_cost(cost), bool(cost.problems)


async def _all(arguments: argparse.Namespace) -> int:
    bad, rows, told = 0, [], Counted()
    for part in arguments.part or PARTS:
        print(f"-- {part}")  # noqa: T201
        with tempfile.TemporaryDirectory(prefix="edgeclient-faults-") as name:
            folder = Path(name)
            if part == "matrix":
                async for row, line, is_bad in _matrix(folder, arguments.only, fast=arguments.quick):
                    rows.append(row)
                    bad += told.line(line, is_bad=is_bad)
            elif part == "route":
                async for _, line, is_bad in _route(folder, arguments.only, fast=arguments.quick):
                    bad += told.line(line, is_bad=is_bad)
            else:
                async for line, is_bad in _others(folder, part, fast=arguments.quick):
                    if all(word in line for word in arguments.only):
                        bad += told.line(line, is_bad=is_bad)
    arguments.rows = rows
    return bad


class Counted:
    """Prints as it comes."""

    def __init__(self, write: Callable[[str], None] = print) -> None:
        self._write = write

    def line(self, line: str, *, is_bad: bool) -> int:
        """One finding; 1 if it is bad."""
        self._write(line)
        sys.stdout.flush()
        return int(is_bad)


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="what has all of these words in its name")
    parser.add_argument("--quick", action="store_true", help="a cell of each kind, short keepalives")
    parser.add_argument("--part", action="append", choices=PARTS, help="not all of it; repeatable")
    parser.add_argument("--table", metavar="FILE", help="write the table of the matrix as markdown")
    parser.add_argument("--mutations", nargs="*", metavar="WORD", help="judge the suite by mutants")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time (default 1)")
    arguments = parser.parse_args()
    if arguments.mutations is not None:
        return mutations(arguments.mutations, jobs=arguments.jobs, mutants=MUTANTS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or daemons and namespaces would stay
    begun_s = time.monotonic()
    try:
        bad = asyncio.run(_all(arguments))
    except KeyboardInterrupt:
        print("interrupted: nothing is proved")  # noqa: T201
        return 130
    if arguments.table:
        Path(arguments.table).write_text(report.table(arguments.rows))
    print(f"{bad or 'no'} broken promises, {time.monotonic() - begun_s:.0f} s")  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
