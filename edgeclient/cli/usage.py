"""`edgeclient usage`: who used how much of what, and what it cost.

It asks the running node through its admin port, and reads the files of the queue if no node answers; see
`usage_source.py`. Days are those of UTC, as the provider's bills and the budgets have them.
"""

import re
import shutil
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from edgeclient.cli import usage_view
from edgeclient.cli.exit_codes import exit_code_help
from edgeclient.cli.output import printable, write_json
from edgeclient.cli.settings import config_option, load_or_fail
from edgeclient.cli.usage_source import Told
from edgeclient.cli.usage_source import usage as usage_of
from edgeclient.core.accounts import UsageRow

_EXAMPLES = """\b
Examples:
  edgeclient usage                                   of the last seven days, by caller and model
  edgeclient usage --by day --since 30d              a bar for each day
  edgeclient usage --since today                     who spends it now
  edgeclient usage --config /etc/edgeclient/edgeclient.toml    of a node that may be stopped
  edgeclient usage --by day,caller --csv > usage.csv
"""
_DAYS = re.compile(r"([0-9]+)d")
_WORDS = {"today": 0, "yesterday": 1}
_NARROWEST, _WIDEST = 60, 100


def _groups(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    strange = [name for name in names if name not in usage_view.GROUPS]
    if strange or not names:
        known = ", ".join(usage_view.GROUPS)
        raise click.BadParameter(f"{(strange or ['nothing'])[0]!r} is none of {known}; several have commas between")
    return names


def _since(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    """The first day to show."""
    word = text.strip().lower()
    if word == "all":
        return 0
    if word in _WORDS:
        return usage_view.today() - _WORDS[word]
    if days := _DAYS.fullmatch(word):
        return usage_view.today() - int(days[1]) + 1
    try:
        return usage_view.number_of(date.fromisoformat(word))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is none of 7d, today, yesterday, all, or a date such as 2026-11-01"
        ) from None


@click.command("usage", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@click.option(
    "--by",
    default="caller,model",
    show_default=True,
    callback=_groups,
    metavar="NAMES",
    help="What to add up by: caller, model, day, or several with commas.",
)
@click.option(
    "--since",
    "first_day",
    default="7d",
    show_default=True,
    callback=_since,
    metavar="WHEN",
    help="First day: 7d (the last seven), today, yesterday, all, or a date. Days are UTC.",
)
@click.option("--caller", default="", help="Only of this caller.")
@click.option("--model", default="", help="Only of this model.")
@click.option("--json", "as_json", is_flag=True, help="For programs: all digits, and the budgets of today.")
@click.option("--csv", "as_csv", is_flag=True, help="For spreadsheets.")
@click.option("--admin", default="", metavar="HOST:PORT", help="The node's admin port. [default: admin.listen]")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The files of a stopped node's queue. [default: spool.directory]",
)
@config_option
def usage(
    *,
    by: tuple[str, ...],
    first_day: int,
    caller: str,
    model: str,
    as_json: bool,
    as_csv: bool,
    admin: str,
    directory: Path | None,
    file: Path | None,
) -> None:
    """Show who used how much of what, and what it cost.

    Asks the running node; if none answers, reads the files of its queue. Sums cover live chats, stored jobs and
    batches; the last 62 days are kept.

    "not asked" are answers from the cache, shared, pinned or replayed; "half price" came by the provider's batch
    interfaces; "saved" is what both would have cost in addition. "perhaps billed" are attempts that were cut off, with
    what they may have cost at most: that is not in "cost".
    """
    if as_json and as_csv:
        raise click.UsageError("give --json or --csv, not both")
    told = _told(admin=admin, directory=directory, file=file)
    rows = [
        row for row in told.rows if row.day >= first_day and caller in ("", row.caller) and model in ("", row.model)
    ]
    groups = usage_view.grouped(rows, by)
    if as_json:
        write_json({"origin": told.origin, "usage": usage_view.as_data(groups, by), "budgets": told.budgets}, indent=2)
    elif as_csv:
        click.echo(usage_view.as_csv(groups, by), nl=False)
    else:
        click.echo(printable(_text(told, rows, groups, by, first_day=first_day), sys.stdout))


def _told(*, admin: str, directory: Path | None, file: Path | None) -> Told:
    """A place that is named is the only one that is looked at."""
    if admin or directory:
        return usage_of(admin=admin, directory=str(directory or ""))
    config = load_or_fail(file, {}).config
    return usage_of(admin=config.admin.listen, directory=config.spool.directory)


def _text(told: Told, rows: list[UsageRow], groups: list[UsageRow], by: tuple[str, ...], *, first_day: int) -> str:
    if not groups:
        return (
            f"No usage since {usage_view.iso(first_day)} ({told.origin})."
            if first_day
            else f"No usage ({told.origin})."
        )
    first, last = (usage_view.iso(each(row.day for row in rows)) for each in (min, max))
    days = first if first == last else f"{first} to {last}"
    width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    parts = [
        f"Usage of {days} (UTC), {told.origin}",
        usage_view.as_table(groups, by),
        usage_view.as_bars(groups, by, width=width, blocks=sys.stdout.isatty() and utf8),
        _budgets(told.budgets),
    ]
    return "\n\n".join(part for part in parts if part)


def _budgets(budgets: list[dict[str, Any]]) -> str:
    """How the budgets of today stand, the fullest first."""
    lines = []
    for budget in sorted(budgets, key=lambda each: -_part(each)):
        spent, limit = (budget["spent_nanos"] + budget["reserved_nanos"]), budget["limit_nanos"]
        amounts = f"{usage_view.money(spent)} of {budget['currency']} {usage_view.money(limit)}"
        note = "  USED UP: requests are refused until 00:00 UTC" if budget["refused"] else ""
        lines.append(f"  {budget['caller']}  {amounts}  ({_part(budget):.0%}){note}")
    return "\n".join(["Budgets of today", *lines]) if lines else ""


def _part(budget: dict[str, Any]) -> float:
    used: int = budget["spent_nanos"] + budget["reserved_nanos"]
    return used / max(1, int(budget["limit_nanos"]))
