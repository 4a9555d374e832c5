"""With a second target that is well: what moves there, and what must not; `python tests/faults` has all cells."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from faults.house import House, house
from faults.matrix import Cell
from faults.moves import moves, moving_cells, run_moves
from faults.report import line_of_row

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHOSEN = (
    "500 / before headers / stream",
    "connection refused / before send / keyed unary",
    "stall / before headers / unary",
    "stall / before headers / keyed unary",
    "stall / before headers / job",
    "stall between tokens / mid-body / stream",
    "400 content / before headers / unary",
)
BY_NAME = {cell.name: cell for cell in moving_cells()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("route"), two_targets=True) as world:
        yield world


@pytest.mark.parametrize("cell", [pytest.param(BY_NAME[name], id=name) for name in CHOSEN])
async def test_call_moves_where_the_rule_book_lets_it_and_nowhere_else(world: House, cell: Cell) -> None:
    rows = [row async for row in run_moves(world, [cell])]

    assert [] == [line_of_row(row) for row in rows if row.problems]


async def test_some_of_the_cells_here_move_and_some_do_not() -> None:
    assert {True, False} == {moves(BY_NAME[name].kind, BY_NAME[name].form) for name in CHOSEN}
