"""Rows as text: aligned columns for a terminal, or the same rows as Markdown; the first row is the head."""

from collections.abc import Iterable

Rows = list[list[str]]


def report(head: str, tables: Iterable[tuple[str, Rows]], *, markdown: bool) -> str:
    """One sentence, then the tables, each under its title."""
    parts = [head]
    for title, rows in tables:
        parts.append(f"{'### ' if markdown else ''}{title}\n\n{_markdown(rows) if markdown else _columns(rows)}")
    return "\n\n".join(parts)


def verdict(reached: bool) -> str:  # noqa: FBT001  it is its only meaning
    """Whether a goal was reached; the one that was not is to be seen."""
    return "yes" if reached else "NO"


def _columns(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _markdown(rows: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
