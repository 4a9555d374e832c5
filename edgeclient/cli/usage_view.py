"""Rows of usage, added up as somebody wants to see them: as a table with bars, as JSON, as CSV.

Money of different currencies is never added up, so a group has a line for each of its currencies. Numbers in the table
are short; JSON and CSV have all digits.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from edgeclient.cli.bars import bars
from edgeclient.cli.text_table import table
from edgeclient.core.accounts import SUMS, UsageRow
from edgeclient.policy.budget import NANOS

GROUPS = ("caller", "model", "day")
_EPOCH = date(1970, 1, 1)
_MOST_BARS = 25
_PLAIN_BELOW = 100_000
_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def iso(day: int) -> str:
    """The date of a day."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def number_of(moment: date) -> int:
    """The day of a date."""
    return (moment - _EPOCH).days


def today() -> int:
    """The day of now."""
    return number_of(datetime.now(UTC).date())


def grouped(rows: Iterable[UsageRow], by: Sequence[str]) -> list[UsageRow]:
    """One row for each value of `by` and currency; days in their order, all else by cost, the highest first."""
    groups: dict[tuple[Any, ...], UsageRow] = {}
    for row in rows:
        names = {
            "day": row.day if "day" in by else 0,
            "caller": row.caller if "caller" in by else "",
            "model": row.model if "model" in by else "",
            "currency": row.currency,
        }
        key = tuple(names.values())
        groups.setdefault(key, UsageRow(**names)).add(row)  # type: ignore[arg-type]  # by name
    first_by_day = by[:1] == ("day",)
    return sorted(groups.values(), key=lambda row: (row.day if first_by_day else 0, -row.cost_nanos, -_tokens(row)))


def as_data(rows: Iterable[UsageRow], by: Sequence[str]) -> list[dict[str, Any]]:
    """Plain values, money in units of the currency."""
    return [_plain(row, by) for row in rows]


def as_csv(rows: Iterable[UsageRow], by: Sequence[str]) -> str:
    """The same as CSV with a head."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*by, "currency", *map(_unit, SUMS)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row, by) for row in rows)
    return out.getvalue()


def as_table(rows: Sequence[UsageRow], by: Sequence[str]) -> str:
    """Columns for a person, with a total for each currency."""
    totals = grouped(rows, ())
    used = [name for name, shown in _COLUMNS.items() if name in _ALWAYS or any(shown(row) for row in rows)]
    lines = [[*by, *used]]
    lines += [[*_labels(row, by), *(_COLUMNS[name](row) or "-" for name in used)] for row in rows]
    if len(rows) > len(totals):
        lines += [
            [*(["total", *([""] * (len(by) - 1))]), *(_COLUMNS[name](row) or "-" for name in used)] for row in totals
        ]
    return table(lines)


def as_bars(rows: Sequence[UsageRow], by: Sequence[str], *, width: int, blocks: bool) -> str:
    """A bar for each row, of its cost, or of its tokens where nothing has a price."""
    currencies = sorted({row.currency for row in rows if row.cost_nanos})
    charts = []
    for currency in currencies:
        mine = [row for row in rows if row.currency == currency and row.cost_nanos]
        lines = [(" ".join(_labels(row, by)), row.cost_nanos / NANOS, money(row.cost_nanos)) for row in mine]
        charts.append(f"Cost in {currency}\n" + _cut(lines, width=width, blocks=blocks))
    if not currencies:
        lines = [(" ".join(_labels(row, by)), float(_tokens(row)), short(_tokens(row))) for row in rows if _tokens(row)]
        if lines:
            charts.append("Tokens\n" + _cut(lines, width=width, blocks=blocks))
    return "\n\n".join(charts)


def money(nanos: int) -> str:
    """An amount with as many digits as say something."""
    amount = nanos / NANOS
    return f"{amount:,.2f}" if amount >= 1 or not nanos else f"{amount:.4f}" if amount >= 0.0001 else f"{amount:.2g}"  # noqa: PLR2004


def short(number: int) -> str:
    """A count in at most seven characters."""
    if number < _PLAIN_BELOW:
        return f"{number:,}"
    size, unit = next((size, unit) for size, unit in _UNITS if number >= size)
    return f"{number / size:.3g}{unit}" if number < 1000 * size else f"{number / size:,.0f}{unit}"


def _cut(lines: list[tuple[str, float, str]], *, width: int, blocks: bool) -> str:
    more = len(lines) - _MOST_BARS
    return bars(lines[:_MOST_BARS], width=width, blocks=blocks) + (f"\n... and {more} more" if more > 0 else "")


def _labels(row: UsageRow, by: Sequence[str]) -> list[str]:
    return [iso(row.day) if name == "day" else getattr(row, name) or "(none)" for name in by]


def _tokens(row: UsageRow) -> int:
    return row.prompt_tokens + row.completion_tokens


def _unit(name: str) -> str:
    return name.removesuffix("_nanos") if name.endswith("_nanos") else name


def _plain(row: UsageRow, by: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: iso(row.day) if name == "day" else getattr(row, name) for name in by}
    values["currency"] = row.currency
    for name in SUMS:
        value = getattr(row, name)
        values[_unit(name)] = value / NANOS if name.endswith("_nanos") else value
    return values


def _cost(row: UsageRow) -> str:
    return f"{row.currency} {money(row.cost_nanos)}" if row.currency else "no price"


def _saved(row: UsageRow) -> str:
    nanos = row.saved_nanos + row.batch_saved_nanos
    return f"{row.currency} {money(nanos)}" if nanos else ""


def _uncertain(row: UsageRow) -> str:
    return f"{row.uncertain}, {row.currency} {money(row.uncertain_nanos)}".rstrip() if row.uncertain else ""


_COLUMNS: dict[str, Any] = {
    "requests": lambda row: short(row.requests),
    "failed": lambda row: short(row.failed) if row.failed else "",
    "attempts": lambda row: short(row.attempts),
    "input": lambda row: short(row.prompt_tokens),
    "output": lambda row: short(row.completion_tokens),
    "reasoning": lambda row: short(row.reasoning_tokens) if row.reasoning_tokens else "",
    "not asked": lambda row: short(_reused(row)) if _reused(row) else "",
    "half price": lambda row: short(row.batched) if row.batched else "",
    "cost": _cost,
    "saved": _saved,
    "perhaps billed": _uncertain,
}
_ALWAYS = ("requests", "attempts", "input", "output", "cost")


def _reused(row: UsageRow) -> int:
    return row.from_cache + row.coalesced + row.pinned + row.replayed
