"""What the suite found, as lines for a terminal and as tables for the README."""

from collections.abc import Iterable, Sequence
from typing import Final

from faults.cancels import Cancelled
from faults.kinds import JOBS
from faults.matrix import Row
from faults.partitions import Finding
from faults.runaway import Cost

OK: Final = "ok"
_WIDTH: Final = 78


def line_of_row(row: Row) -> str:
    """One cell."""
    told = f"{row.told.state} {row.told.reason}".strip()
    facts = f"{row.cell.name:<{_WIDTH}} {told:<46} attempts {row.attempts:>3}, billed {row.billed}"
    return _with(facts, row.problems)


def line_of_finding(found: Finding) -> str:
    """One partition."""
    measured = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in found.measured.items())
    return _with(f"{found.name:<32} {measured}", found.problems)


def line_of_cancel(found: Cancelled) -> str:
    """One cancel."""
    there = "never sent" if found.there_s is None else f"there after {found.there_s * 1000:.0f} ms"
    facts = f"{found.place.name:<22} {found.form:<12} gone here after {found.here_s * 1000:.0f} ms, {there}"
    return _with(f"{facts}, {found.tokens_after} tokens afterwards", found.problems)


def line_of_cost(found: Cost) -> str:
    """One provider that is no good."""
    facts = f"{found.trouble.name:<22} {found.calls} calls: {found.requests} requests of at most {found.most}"
    return _with(f"{facts}, {found.billed} billed", found.problems)


def _with(facts: str, problems: Sequence[str]) -> str:
    return f"{'BAD' if problems else OK:<4}{facts}" + "".join(f"\n       {problem}" for problem in problems)


def table(rows: Iterable[Row]) -> str:
    """Kinds that are told alike in one line: what calls are told, what jobs become, what it costs at most."""
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.cell.kind.name, row.cell.kind.phase.value), []).append(row)
    alike: dict[tuple[str, str], list[tuple[str, list[Row]]]] = {}
    for (name, phase), group in kinds.items():
        live = [row for row in group if row.cell.form not in JOBS]
        jobs = [row for row in group if row.cell.form in JOBS]
        alike.setdefault((_told(live), _told(jobs)), []).append((f"{name} ({phase})", group))
    lines = ["| fault (when) | a call is told | a job | requests | bills | cells |", "|---|---|---|---|---|---|"]
    for (live_told, job_told), members in alike.items():
        group = [row for _, rows_of in members for row in rows_of]
        bad = sum(bool(row.problems) for row in group)
        cells = f"{len(group)} {OK}" if not bad else f"{bad} of {len(group)} BAD"
        names = "; ".join(name for name, _ in members)
        costs = (str(max(row.attempts for row in group)), str(max(row.billed for row in group)))
        lines.append("| " + " | ".join((names, live_told, job_told, *costs, cells)) + " |")
    return "\n".join(lines) + "\n"


def _told(rows: Sequence[Row]) -> str:
    lasting = [row.told for row in rows if not row.cell.passing]
    words = dict.fromkeys((told.reason or told.state).replace("OK", "the answer") for told in lasting)
    ends = dict.fromkeys(told.state for told in lasting if rows[0].cell.form in JOBS)
    if ends:
        return ", ".join(dict.fromkeys(f"{told.state.lower()} {_code(told.reason)}".strip() for told in lasting))
    return ", ".join(_code(word) if word.isupper() else word for word in words)


def _code(reason: str) -> str:
    return f"`{reason}`" if reason else ""
