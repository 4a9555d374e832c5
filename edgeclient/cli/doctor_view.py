"""How checks are shown: a line each, with what is to be done under those that are not well; or as JSON."""

import textwrap
from collections.abc import Sequence
from typing import Any

from edgeclient.cli.doctor_verdict import Check, Level, span

_LEVEL_WIDTH = max(len(level.value) for level in Level)
_NAME_WIDTH = len("credentials")
_TIME_WIDTH = len("999 ms")
_LINE = 110
_PARTS = (("seen", "seen   "), ("means", "means  "))
_DO = "do     "
_BULLET = "- "


def check_text(check: Check) -> str:
    """A check as lines for a person."""
    verdict = check.verdict
    time = "" if verdict.level is Level.SKIPPED else span(check.duration_s)
    text = f"{verdict.level.value:{_LEVEL_WIDTH}}  {check.name:{_NAME_WIDTH}}  {time:>{_TIME_WIDTH}}  "
    margin = " " * (_LEVEL_WIDTH + 2)
    lines = [f"{text}{f'({verdict.line})' if verdict.level is Level.SKIPPED else verdict.line}"]
    for name, label in _PARTS:
        lines += _indented(getattr(verdict, name), margin=margin, label=label)
    for number, cure in enumerate(verdict.do):
        lines += _indented(cure, margin=margin, label=(" " * len(_DO) if number else _DO) + _BULLET)
    return "\n".join(lines)


def summary(checks: Sequence[Check], *, duration_s: float) -> str:
    """The last line."""
    failed = [check for check in checks if check.verdict.level is Level.FAIL]
    warnings = sum(check.verdict.level is Level.WARNING for check in checks)
    skips = sum(check.verdict.level is Level.SKIPPED for check in checks)
    well = "" if failed or warnings else "All is well"
    counts = [well, _count(len(failed), "failure"), _count(warnings, "warning"), f"{skips} skipped" if skips else ""]
    several = len({check.target for check in checks if check.target}) > 1
    head = ", ".join(filter(None, counts))
    whose = f" of {failed[0].target}" if failed and several and failed[0].target else ""
    begin = f" Begin with {failed[0].name}{whose}." if failed else ""
    return f"{head}: {len(checks)} checks in {span(duration_s)}.{begin}"


def as_data(checks: Sequence[Check], *, version: str, duration_s: float) -> dict[str, Any]:
    """The same for programs."""
    return {
        "ok": not any(check.verdict.level is Level.FAIL for check in checks),
        "version": version,
        "duration_s": round(duration_s, 3),
        "checks": [_data(check) for check in checks],
    }


def _data(check: Check) -> dict[str, Any]:
    verdict = check.verdict
    return {
        "check": check.name,
        "target": check.target,
        "level": verdict.level.name.lower(),
        "line": verdict.line,
        "seen": verdict.seen,
        "means": verdict.means,
        "do": list(verdict.do),
        "duration_s": round(check.duration_s, 4),
    }


def _indented(text: str, *, margin: str, label: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        text,
        _LINE,
        initial_indent=margin + label,
        subsequent_indent=margin + " " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}" if number else ""
