"""A provider that always times out costs a bounded number of requests."""

from pathlib import Path

from faults.house import house
from faults.report import line_of_cost
from faults.runaway import TROUBLES, cost


async def test_provider_that_is_never_any_good_costs_attempts_times_calls_at_most(tmp_path: Path) -> None:
    async with house(tmp_path) as world:
        found = await cost(world, TROUBLES[-1], watch_s=4)

    assert [] == found.problems, line_of_cost(found)
    assert found.worst > 1, "a blind run: nothing was tried again"
