"""What a measurement of whole nodes hands back: tables to read, bars to look at, and both as files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.layout import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # type: ignore[import-not-found,unused-ignore]  # `make lint` goes without

_COLOURS = ("#7f9fbf", "#c0504d", "#e0b878", "#8fae7f")
_LINE = "#444444"
_ALL_BARS = 0.8
_WHOLE = 100.0  # from here on, digits behind the point say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One picture of bars, in groups.

    Attributes:
        title: Above it.
        unit: Of the height.
        groups: Below it, from left to right.
        series: One bar in each group, by the name of its colour.
        goal: A line across; None: there is none.
    """

    title: str
    unit: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float]]
    goal: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was measured.

    Attributes:
        machine: What on.
        tables: By title.
        bars: Pictures, side by side.
    """

    machine: str
    tables: Sequence[tuple[str, Rows]]
    bars: Sequence[Bars]


def write(outcome: Outcome, into: Path) -> Path:
    """Write the tables as JSON to this name, and the bars as PNG beside it; returns the PNG."""
    tables = {title: [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] for title, rows in outcome.tables}
    facts = {"machine": outcome.machine, "tables": tables}
    into.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return _draw(outcome, into.with_suffix(".png"))


def _draw(outcome: Outcome, into: Path) -> Path:
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  half a second, for this

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  after the backend

    figure, axes = plt.subplots(1, len(outcome.bars), figsize=(6.5 * len(outcome.bars), 5), squeeze=False)
    for axis, bars in zip(axes[0], outcome.bars, strict=True):
        _panel(axis, bars)
    figure.suptitle(outcome.machine, fontsize=9, color=_LINE)
    figure.tight_layout()
    figure.savefig(into, dpi=110)
    plt.close(figure)
    return into


def _panel(axis: "Axes", bars: Bars) -> None:
    width = _ALL_BARS / len(bars.series)
    for number, (name, heights) in enumerate(bars.series.items()):
        places = [at + (number - (len(bars.series) - 1) / 2) * width for at in range(len(heights))]
        axis.bar(places, heights, width, color=_COLOURS[number % len(_COLOURS)], label=name)
        for place, height in zip(places, heights, strict=True):
            axis.annotate(
                f"{height:,.0f}" if height >= _WHOLE else f"{height:.3g}",
                (place, height),
                ha="center",
                va="bottom",
                fontsize=8,
            )
    if bars.goal is not None:
        axis.axhline(bars.goal, color=_LINE, lw=1.2, ls="--", label=f"goal: {bars.goal:g}")
    axis.set_xticks(range(len(bars.groups)), [group.replace(", ", ",\n") for group in bars.groups], fontsize=8)
    axis.set_title(bars.title)
    axis.set_ylabel(bars.unit)
    axis.set_ylim(top=axis.get_ylim()[1] * 1.25)
    axis.legend(fontsize=8, loc="upper right", frameon=False)
