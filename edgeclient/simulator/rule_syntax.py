"""How rows of rules are written: as a flag (`kind,field=value,...`), as JSON over the admin API, as decoded TOML.

Every error names the place and the field.
"""

from typing import Any, TypeVar

import msgspec

Row = TypeVar("Row", bound=msgspec.Struct)


class RuleSyntaxError(ValueError):
    """A row that cannot be read; the message says where and why."""


def row_of_flag(text: str, into: type[Row], *, first: str, what: str) -> Row:
    """A row from `value,field=value,...`; the bare value is the field `first`."""
    head, *rest = (part.strip() for part in text.split(","))
    row: dict[str, object] = {first: head}
    for field in rest:
        name, equals, value = field.partition("=")
        if not equals:
            raise RuleSyntaxError(f"{what} {text!r}: {field!r} is not of the form field=value")
        row[name.strip()] = value.strip()
    try:
        return msgspec.convert(row, into, strict=False)
    except msgspec.ValidationError as error:
        raise RuleSyntaxError(f"{what} {text!r}: {error}") from None


def rows_of(value: object, into: type[Row], *, first: str, names: tuple[str, ...], where: str) -> list[Row]:
    """One row, a list of rows, or a table with the list under one of `names`; `first` is a field of every row."""
    if isinstance(value, dict) and first not in value:
        unknown = set(value) - set(names)
        if unknown or not value:
            raise RuleSyntaxError(f"{where}: expected a list of rules named `{names[0]}`, found {sorted(value)}")
        value = next(value[name] for name in names if name in value)
    rows: list[Any] = value if isinstance(value, list) else [value]
    return [_row(row, into, where=f"{where}: rule {number}") for number, row in enumerate(rows, 1)]


def rows_of_json(data: bytes, into: type[Row], *, first: str, names: tuple[str, ...], where: str) -> list[Row]:
    """Rows from JSON text."""
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise RuleSyntaxError(f"{where}: not JSON: {error}") from None
    return rows_of(value, into, first=first, names=names, where=where)


def _row(value: object, into: type[Row], *, where: str) -> Row:
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        raise RuleSyntaxError(f"{where}: {error}") from None
