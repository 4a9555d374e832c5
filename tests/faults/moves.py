"""The same faults with a second target that is well: what moves there, what must not, and who pays.

What moves: all that was certainly not processed, whatever the form; and a time-out before the first piece, but only of
a live call without a key, which may be billed twice by this and is told so. What does not: what the provider refused
for its content, what has begun to arrive, and what was lost in any other way.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from faults.forms import ENDED, Told, ask, cancel, submit, wait
from faults.house import TOTAL_S, House
from faults.kinds import JOBS, KINDS, Fate, Form, Kind, Phase
from faults.matrix import Cell, Row
from faults.oracle import LATE_S, between, bills, requests_each, told_as

from edgeclient.simulator import Entry

_FORMS: Final = (Form.UNARY, Form.SHORT, Form.STREAM, Form.KEYED, Form.JOB)
_ENDS_S: Final = 20.0
_TURNS: Final = 12
_SLOW: Final = ("UPSTREAM_TIMEOUT",)
_WHO: Final = "second"


def moving_cells(kinds: Iterable[Kind] = KINDS) -> list[Cell]:
    """Every kind in every form; left out is what may be told in two ways, for then both are right."""
    return [
        Cell(kind=kind, form=form, passing=False)
        for kind in kinds
        for form in _FORMS
        if form in kind.forms and not (kind.fate is Fate.UNKNOWN and "UPSTREAM_TIMEOUT" in kind.reasons[:-1])
    ]


def moves(kind: Kind, form: Form) -> bool:
    """Whether the rule book lets it go to the second target."""
    if kind.fate is Fate.UNKNOWN:
        return kind.reasons == _SLOW and form in (Form.UNARY, Form.SHORT, Form.STREAM)
    return kind.fate in (Fate.NODE, Fate.MODEL, Fate.LATER, Fate.FREE)


async def run_moves(house: House, chosen: Iterable[Cell]) -> AsyncIterator[Row]:
    """Every cell with its verdict; the house has two targets."""
    await house.traffic()
    for cell in chosen:
        yield await _one(house, cell)


async def _one(house: House, cell: Cell) -> Row:
    mark = house.mark()
    prompt, key = f"{mark} how do I mend the pump of {cell.kind.name}?", f"key-{mark[5:9]}"
    house.sim.faults.add(*cell.kind.rules(mark, count=None))
    if cell.kind.arrange is not None:
        await cell.kind.arrange(house)
    if cell.form in JOBS:
        job_id = await submit(house, cell.form, prompt, key="")  # what holds for a job holds without a key
        told = await wait(house, job_id, at_most_s=_ENDS_S)
        if told.state not in ENDED:
            await cancel(house, job_id)
    else:
        told = await ask(house, cell.form, prompt, key=key)
    if cell.kind.fate is not Fate.UNKNOWN:  # what was given up without headers goes on there, and may be billed anyhow
        await house.settled()
    await house.heal()
    first, second = tuple(house.entries(mark)), tuple(house.second_entries(mark))
    found = [*_problems(cell, told, first, second), *await _well_again(house, cell)]
    return Row(
        cell=cell,
        told=told,
        attempts=len(first) + len(second),
        billed=bills(first) + bills(second),
        problems=tuple(found),
    )


def _problems(cell: Cell, told: Told, first: tuple[Entry, ...], second: tuple[Entry, ...]) -> list[str]:
    kind = cell.kind
    if not moves(kind, cell.form):
        found = [f"the second target heard {len(second)} requests"] if second else []
        if cell.form not in JOBS and kind.fate is not Fate.ANSWERED:
            found += told_as(kind, told, billed=kind.fate is Fate.UNKNOWN)
        return found
    lost = kind.fate is Fate.UNKNOWN
    found = between(len(second), 1, 1)
    if not (told.answered and told.target == _WHO and told.whole):
        found.append(f"did not get its answer from the second target: {told.state} {told.reason} {told.target}")
    if bills(second) != 1 or (bills(first) and not lost):
        found.append(f"was billed {bills(first)} times by the first target and {bills(second)} times by the second")
    if bool(told.paid_before) is not lost:
        found.append(f"says that {told.paid_before} attempts before may be billed")
    found += (
        between(len(first), 0, 0) if kind.phase is Phase.BEFORE_SEND else between(len(first), 1, requests_each(kind))
    )
    limit_s = TOTAL_S if cell.form is Form.SHORT else kind.limit_s
    if lost and limit_s is not None and told.took_s > limit_s + LATE_S:
        found.append(f"moved after {told.took_s:.1f} s, the first time-out is {limit_s:g} s")
    return found


async def _well_again(house: House, cell: Cell) -> list[str]:
    """The first target answers again: by itself, but where a person has to act or it wanted a long rest."""
    if cell.kind.fate in (Fate.NODE, Fate.MODEL) or cell.kind.least_s > 1:
        await house.restart()
        await house.traffic()
        return []
    for _ in range(_TURNS):
        told = await ask(house, Form.UNARY, "are you there?")
        if told.target == "first":
            await house.traffic()
            return []
        await asyncio.sleep(0.5)
    await house.restart()
    return [f"the first target was not asked again: {told.state} {told.reason} {told.target}"]
