"""Each mutant of the suite fits the sources, and names tests that there are."""

from pathlib import Path

import pytest
from faults.mutants import MUTANTS
from faults.test_matrix import CHOSEN as CELLS
from faults.test_moves import CHOSEN as MOVES
from proof.mutants import Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_changes_the_sources_and_names_a_test(mutant: Mutant) -> None:
    for edit in mutant.edits:
        before = (ROOT / edit.file).read_text("utf-8")
        assert before != edit.applied(before)
    for test in mutant.tests:
        path, _, rest = test.partition("::")
        name = rest.partition("[")[2].removesuffix("]")
        assert (ROOT / path).is_file()
        assert not name or "test_cancels" in path or name in CELLS + MOVES


def test_names_are_told_apart() -> None:
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS})
