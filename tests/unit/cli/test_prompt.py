"""Prompts from arguments; what is piped is tested with real pipes."""

import pytest

from edgeclient.cli.prompt import prompt_of, well_formed


@pytest.mark.parametrize(
    ("words", "expected"), [((), ""), (("one", "two"), "one two"), (("-",), ""), ((" ",), ""), (("你好",), "你好")]
)
def test_words_are_joined(words: tuple[str, ...], expected: str) -> None:
    assert prompt_of(words, read_stdin=False) == expected


def test_odd_bytes_of_the_shell_are_replaced() -> None:
    assert well_formed("a\udcffb") == "a�b"
