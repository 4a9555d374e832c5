"""Functions from a file. (The file is the subject, so there is one.)"""

from pathlib import Path

import pytest

from edgeclient.cli.failure import Failure
from edgeclient.cli.tool_file import tools_of


def test_both_spellings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text(
        '[{"type": "function", "function": {"name": "a", "parameters": {"type": "object"}}},'
        ' {"name": "b", "description": "读", "parameters": "{}"}]'
    )
    first, second = [tool.function for tool in tools_of(file)]

    assert (first.name, first.description, first.parameters) == ("a", "", '{"type": "object"}')
    assert (second.name, second.description, second.parameters) == ("b", "读", "{}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{}", "a list"), ("[]", "a list"), ("[{}]", "entry 1"), ("[1]", "entry 1"), ("[", "not JSON")],
)
def test_other_files_are_refused(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "tools.json"
    file.write_text(content)
    with pytest.raises(Failure, match=sentence):
        tools_of(file)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot read"):
        tools_of(tmp_path / "none")
