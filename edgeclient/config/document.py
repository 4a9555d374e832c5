"""A TOML file with the line on which each value stands.

Python's TOML reader keeps no lines. They are found by reading the file a second time, statement by statement, with the
same reader: a statement ends on the first line at which it is complete. So multi-line texts and quoted keys need no
grammar of their own here. Lines only inform; where they cannot be told, a value has none.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeclient.config.origins import Origin, Source
from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable

KeyPath = tuple[str | int, ...]

_LARGEST_FILE_BYTES = 1024 * 1024  # some thousand times a usual file
_LONGEST_STATEMENT_LINES = 500  # the search for the end of a statement is quadratic in its lines
_PLACE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file holds; an empty one stands for no file.

    Attributes:
        path: The file; None if there is none.
        table: Its content.
        lines: Line of each key, from 1. Rows of an array of tables have their index in the path.
    """

    path: Path | None = None
    table: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def origin(self, *path: str | int) -> Origin:
        """Where the value at `path` stands; the nearest known line above it if its own is not known."""
        known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        return Origin(source=Source.FILE, name=str(self.path or ""), line=self.lines[known] if known else 0)


def read_document(path: Path) -> Document:
    """Read a file.

    Raises:
        SettingError: It cannot be read or is no TOML.
        FileNotFoundError: There is no such file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingError([f"{path}: {why_unreadable(error)}"]) from None
    if len(content) > _LARGEST_FILE_BYTES:
        raise SettingError([f"{path}: is longer than {_LARGEST_FILE_BYTES} bytes; is it the right file?"])
    try:
        text = content.decode("utf-8-sig")  # editors on Windows put a byte order mark before the text
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingError([f"{path}: line {line}: is not UTF-8"]) from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError([f"{path}: {_syntax_problem(str(error))}"]) from None
    except RecursionError:
        raise SettingError([f"{path}: is nested too deeply"]) from None
    return Document(path=path, table=table, lines=dict(_lines(text)))


def _syntax_problem(message: str) -> str:
    place = _PLACE.fullmatch(message)
    if place is None:
        return f"is no TOML: {message}"
    what = place["what"][:1].lower() + place["what"][1:]
    where = f"line {place['line']}, column {place['column']}" if place["line"] else "at its end"
    return f"{where}: {what}"


def _lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    lines = text.replace("\r\n", "\n").split("\n")
    row_counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at = 0
    while at < len(lines):
        length, statement = _statement(lines, at)
        if statement is None:
            return
        is_header = lines[at].lstrip().startswith("[")
        for path in _paths(statement):
            if is_header:
                table = path
            else:
                yield table + path, at + 1
        if is_header:
            if lines[at].lstrip().startswith("[["):
                row_counts[table] = row_counts.get(table, -1) + 1
                table += (row_counts[table],)
            yield table, at + 1
        at += length


def _statement(lines: list[str], at: int) -> tuple[int, dict[str, Any] | None]:
    """How many lines the statement at `at` has, and what it says; None if its end was not found."""
    for length in range(1, min(_LONGEST_STATEMENT_LINES, len(lines) - at) + 1):
        try:
            return length, tomllib.loads("\n".join(lines[at : at + length]))
        except tomllib.TOMLDecodeError:
            continue
    return 0, None


def _paths(statement: Mapping[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in statement.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))
