"""The mutants stay alive: each still finds the text that it takes away, and the tests that it names."""

from pathlib import Path

import pytest
from proof.mutants import MUTANTS, Edit, Mutant, StaleMutantError
from proof.mutations import ROOT, Verdict


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_finds_the_text_that_it_takes_away(mutant: Mutant) -> None:
    texts = {edit.file: (ROOT / edit.file).read_text("utf-8") for edit in mutant.edits}
    for edit in mutant.edits:
        texts[edit.file] = edit.applied(texts[edit.file])

    assert [] == [edit.file for edit in mutant.edits if texts[edit.file] == (ROOT / edit.file).read_text("utf-8")]
    assert [] == [test for test in mutant.tests if not (ROOT / test.partition("::")[0]).is_file()]


@pytest.mark.parametrize("text", ["", "twice twice"])
def test_text_that_is_not_there_once_is_an_error(text: str) -> None:
    with pytest.raises(StaleMutantError, match=r"file\.py holds [02] times what should be there once: 'twice'"):
        Edit(file="file.py", old="twice", new="").applied(text)


def test_mutant_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    edits = (Edit(file="a", old="one", new="two"), Edit(file="a", old="three", new="four"))

    with pytest.raises(StaleMutantError):
        Mutant(name="m", edits=edits, tests=()).apply(tmp_path)

    assert "one" == (tmp_path / "a").read_text()


def test_names_are_unique() -> None:
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS})


@pytest.mark.parametrize(
    ("name", "caught_by", "problem", "good"),
    [
        ("m", "a test", "", True),
        ("m", "", "", False),
        ("m", "", "it hung", False),
        ("", "", "", True),
        ("", "a test", "", False),
    ],
)
def test_only_a_failed_test_catches_a_mutant(name: str, caught_by: str, problem: str, *, good: bool) -> None:
    verdict = Verdict(name=name, caught_by=caught_by, problem=problem, duration_s=1.0)

    assert good == verdict.is_as_it_should
