"""The matrix in small: one cell of each rule against the daemon; `python tests/faults` runs them all."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from faults.house import House, house
from faults.kinds import Fate, Form
from faults.matrix import Cell, cells, run
from faults.report import line_of_row

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHOSEN = (
    "400 context too long / before headers / unary",
    "400 content inside a 200 / before first token / stream",
    "401 key / before headers / short unary",
    "404 model / before headers / unary",
    "429, retry-after-ms / before headers / unary / once",
    "429 insufficient_quota, passing / before headers / stream",
    "500 / before headers / keyed unary",
    "500 / before headers / job",
    "500 inside a 200 / mid-body / keyed unary",
    "captive portal, 200 / before headers / unary",
    "connection refused / before send / job",
    "TLS not yet valid / before send / unary",
    "GOAWAY above our stream / mid-body / stream",
    "GOAWAY below our stream / before headers / stream / once",
    "REFUSED_STREAM / before headers / unary",
    "RST_STREAM / mid-body / stream",
    "RST_STREAM internal / before headers / keyed unary",
    "TCP reset / before headers / job, may be resent once",
    "end without finish reason / mid-body / unary",
    "stall between tokens / mid-body / stream",
    "stall / before first token / unary",
    "empty body / before first token / short unary",
    "malformed / mid-body / job",
    "shrinking stream limit / before headers / unary",
)
BY_NAME = {cell.name: cell for cell in cells()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("faults")) as world:
        yield world


@pytest.mark.parametrize("cell", [pytest.param(BY_NAME[name], id=name) for name in CHOSEN])
async def test_fault_means_what_the_rule_book_says(world: House, cell: Cell) -> None:
    rows = [row async for row in run(world, [cell])]

    assert [] == [line_of_row(row) for row in rows if row.problems]


async def test_every_form_and_every_meaning_is_among_the_cells_here() -> None:
    chosen = [BY_NAME[name] for name in CHOSEN]

    assert set(Form) == {cell.form for cell in chosen}
    assert set(Fate) == {cell.kind.fate for cell in chosen}
