"""Cells of the matrix, one after the other through one daemon; what a cell breaks for good costs a fresh one."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from faults.forms import ENDED, TIMEOUT_S, Told, ask, cancel, submit, wait
from faults.house import House
from faults.kinds import FORMS, JOBS, KINDS, Fate, Form, Kind
from faults.oracle import Seen, bills, problems

from edgeclient.simulator import Entry

_JOB_RESTS_S: Final = 2.0  # for a job that waits, nothing more happens within this time
_JOB_ENDS_S: Final = 12.0
_WELL_WITHIN: Final = 6  # calls until a daemon that recovers by itself has recovered


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A kind of fault, a form, and whether it hits one request or all of them."""

    kind: Kind
    form: Form
    passing: bool

    @property
    def name(self) -> str:
        """For people, and for `--only`."""
        return f"{self.kind.name} / {self.kind.phase.value} / {self.form.value}{' / once' if self.passing else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell with its verdict."""

    cell: Cell
    told: Told
    attempts: int
    billed: int
    problems: tuple[str, ...]


def cells(kinds: Iterable[Kind] = KINDS) -> list[Cell]:
    """All of them."""
    return [
        Cell(kind=kind, form=form, passing=passing)
        for kind in kinds
        for form in FORMS
        if form in kind.forms and (form is not Form.JOB_ONCE or kind.fate is Fate.UNKNOWN)
        for passing in (False, True)
        if not passing or _worth_once(kind, form)
    ]


def _worth_once(kind: Kind, form: Form) -> bool:
    """A fault that hits one request alone shows something else than one that stays."""
    free = kind.fate in (Fate.LATER, Fate.FREE) and kind.least_s < TIMEOUT_S and kind.again
    return kind.passes and (free or (kind.fate is Fate.UNKNOWN and form is Form.JOB_ONCE))


async def run(house: House, chosen: Iterable[Cell]) -> AsyncIterator[Row]:
    """Every cell with its verdict, and at last a row for each whose silence was broken later."""
    await house.traffic()
    past: list[tuple[Cell, str, set[str], int]] = []
    for cell in chosen:
        mark = house.mark()
        row, strangers = await _one(house, cell, mark)
        past.append((cell, mark, strangers, len(_own(house, mark, strangers))))
        yield row
    await house.settled()
    for cell, mark, strangers, before in past:
        own = _own(house, mark, strangers)
        if len(own) > before:
            late = Told(state="later")
            problem = f"{len(own) - before} requests after its end"
            yield Row(cell=cell, told=late, attempts=len(own), billed=bills(tuple(own)), problems=(problem,))


def _own(house: House, mark: str, strangers: set[str]) -> list[Entry]:
    return [entry for entry in house.entries(mark) if entry.client_request_id not in strangers]


async def _one(house: House, cell: Cell, mark: str) -> tuple[Row, set[str]]:
    kind, form = cell.kind, cell.form
    prompt, key = f"{mark} how do I mend the pump of {kind.name}?", f"key-{mark[5:9]}"
    house.sim.faults.add(*kind.rules(mark, count=1 if cell.passing else None))
    if kind.arrange is not None:
        await kind.arrange(house)
    job_id = ""
    if form in JOBS:
        job_id = await submit(house, form, prompt, key=key)
        rests = not cell.passing and kind.fate in (Fate.NODE, Fate.MODEL, Fate.LATER, Fate.FREE)
        told = await wait(house, job_id, at_most_s=_rest_s(kind) if rests else _JOB_ENDS_S)
    else:
        told = await ask(house, form, prompt, key=key)
    await house.settled()
    entries = tuple(house.entries(mark))
    await house.heal()
    again, strangers = None, set[str]()
    if job_id and told.state not in ENDED:
        if kind.fate in (Fate.LATER, Fate.FREE) and kind.least_s < TIMEOUT_S:
            again = await wait(house, job_id, at_most_s=_JOB_ENDS_S)
        else:
            await cancel(house, job_id)
    elif form is Form.KEYED and kind.fate not in (Fate.NODE, Fate.MODEL):
        again = await _repeated(house, prompt, key)
    everything = tuple(house.entries(mark))
    reference, strangers, trouble = await _recovered(house, cell, prompt)
    seen = Seen(
        kind=kind,
        form=form,
        passing=cell.passing,
        told=told,
        entries=entries,
        again=again,
        entries_again=everything,
        reference=reference,
    )
    found = (*problems(seen), *trouble)
    return Row(cell=cell, told=told, attempts=len(everything), billed=seen.bills, problems=found), strangers


def _rest_s(kind: Kind) -> float:
    """How long to watch a job that is to wait: long enough for all its attempts, if the pauses are short."""
    return min(2.5 * kind.least_s, TIMEOUT_S) + _JOB_RESTS_S


async def _repeated(house: House, prompt: str, key: str) -> Told:
    """The same words under the same key, until the node has seen that its way is back."""
    told = await ask(house, Form.KEYED, prompt, key=key)
    for _ in range(_WELL_WITHIN):
        if told.answered or told.delay_s is None:
            break
        await asyncio.sleep(min(told.delay_s, 2.0))
        told = await ask(house, Form.KEYED, prompt, key=key)
    return told


async def _recovered(house: House, cell: Cell, prompt: str) -> tuple[str, set[str], tuple[str, ...]]:
    """What the cloud says to the same words now; the ids of these calls; what is wrong with the recovery.

    Whatever needs no person has to be over by itself. The rest gets a fresh daemon.
    """
    strangers: set[str] = set()
    form = Form.SHORT if cell.form is Form.SHORT else Form.UNARY
    for _ in range(_WELL_WITHIN):
        told = await ask(house, form, prompt)
        strangers.update(told.ids)
        if told.answered:
            await _rested(house, cell)
            await house.traffic()
            return told.text, strangers, ()
        if told.delay_s is None:
            break
        await asyncio.sleep(min(told.delay_s, 2.0))
    mended = cell.kind.fate in (Fate.NODE, Fate.MODEL)
    trouble = () if mended else (f"the node did not recover by itself: {told.state} {told.reason}",)
    await house.restart()
    await house.traffic()
    fresh = await ask(house, form, prompt)
    strangers.update(fresh.ids)
    return fresh.text, strangers, trouble


async def _rested(house: House, cell: Cell) -> None:
    """Return when nothing of the cell concerns the next one: jobs, and whoever was told to come later, rest a while."""
    kind = cell.kind
    rests_long = kind.least_s >= TIMEOUT_S
    jobs_rest = cell.form in JOBS and (rests_long or kind.fate in (Fate.NODE, Fate.MODEL))
    if jobs_rest or (kind.fate is Fate.LATER and rests_long):
        await house.restart()
    elif kind.fate is Fate.LATER:
        await asyncio.sleep(kind.least_s + 1)
