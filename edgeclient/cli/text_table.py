"""Columns on a terminal, where a Chinese character is two cells wide and a combining mark none."""

import unicodedata
from collections.abc import Sequence


def width_of(text: str) -> int:
    """Cells that the text takes on a terminal."""
    return sum(_cells(character) for character in text)


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as aligned columns, two blanks apart, without blanks at the end of a line."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("F", "W") else 1
