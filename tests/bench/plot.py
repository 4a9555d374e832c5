"""The results as a picture: what a call costs beside its floors, and memory over a hundred thousand calls."""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import median
from bench.results import DAEMON, ECHO, ENGINE, JOINED, TRANSPORT, Load, Results, Soak

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # type: ignore[import-not-found,unused-ignore]  # `make lint` goes without

_GOAL = 1.3
_ECHO, _WAY, _JOINED, _DAEMON, _LINE = "#7f9fbf", "#c3d3e3", "#e0b878", "#c0504d", "#444444"
_WIDTH = 0.26


def draw(results: Results, into: Path) -> Path:
    """Write a PNG."""
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  half a second, for this

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  after the backend

    groups = [load for load in results.samples if load.method == "unary"]
    others = [load for load in results.samples if load.method != "unary"]
    shown = [group for group in (groups, others) if group]
    figure, axes = plt.subplots(1, len(shown) + 1, figsize=(5.2 * (len(shown) + 1), 5), squeeze=False)
    for axis, group in zip(axes[0], shown, strict=False):
        _bars(axis, results, group)
    _memory(axes[0][-1], results)
    figure.suptitle(results.machine, fontsize=9, color=_LINE)
    figure.tight_layout()
    figure.savefig(into, dpi=110)
    plt.close(figure)
    return into


def _bars(axis: "Axes", results: Results, loads: list[Load]) -> None:
    def cpu_us(load: Load, name: str) -> float:
        return median([sample.cpu_us for sample in results.samples[load][name]])

    for at, load in enumerate(loads):
        echo_us, way_us, engine_us = (cpu_us(load, name) for name in (ECHO, TRANSPORT, ENGINE))
        joined_us, daemon_us = cpu_us(load, JOINED), cpu_us(load, DAEMON)
        first = at == 0
        axis.bar(at - _WIDTH, echo_us, _WIDTH, color=_ECHO, label=ECHO if first else "_")
        axis.bar(at - _WIDTH, way_us, _WIDTH, bottom=echo_us, color=_WAY, label=TRANSPORT if first else "_")
        left, right, label = at - 1.5 * _WIDTH, at + 1.5 * _WIDTH, f"with {ENGINE}" if first else "_"
        axis.hlines(echo_us + engine_us, left, at - _WIDTH / 2, color=_LINE, lw=1, ls=":", label=label)
        axis.bar(at, joined_us, _WIDTH, color=_JOINED, label=JOINED if first else "_")
        axis.bar(at + _WIDTH, daemon_us, _WIDTH, color=_DAEMON, label=DAEMON if first else "_")
        goal_us = _GOAL * (echo_us + way_us)
        label = f"goal: {_GOAL} x (echo + transport)" if first else "_"  # an underscore keeps it out of the legend
        axis.hlines(goal_us, left, right, color=_LINE, lw=1.2, ls="--", label=label)
        for offset, value in ((-_WIDTH, echo_us + way_us), (0.0, joined_us), (_WIDTH, daemon_us)):
            axis.annotate(f"{value:.0f}", (at + offset, value), ha="center", va="bottom", fontsize=8)
    axis.set_xticks(range(len(loads)), [f"{load.method}\n{load.in_flight} in flight" for load in loads])
    axis.set_ylabel("CPU of the whole process per call, us")
    axis.set_title("CPU of a unary call" if loads[0].method == "unary" else "CPU where the provider streams")
    axis.set_ylim(top=axis.get_ylim()[1] * 1.45)
    axis.legend(fontsize=8, loc="upper right", frameon=False)


def _memory(axis: "Axes", results: Results) -> None:
    axis.set_title("Memory of the daemon")
    axis.set_ylabel("RSS, MB")
    if results.soak is None:
        axis.bar(["idle", "after all loads"], [results.rss_idle_mb, results.rss_loaded_mb], color=_DAEMON, width=0.5)
    else:
        _soak(axis, results.soak)
    axis.axhline(64, color=_LINE, lw=1.2, ls="--", label="goal when idle: 64 MB")
    axis.set_ylim(0, axis.get_ylim()[1] * 1.25)
    axis.legend(fontsize=8, loc="upper right", frameon=False)


def _soak(axis: "Axes", soak: Soak) -> None:
    calls, rss_mb = zip(*soak.rss_mb, strict=True)
    axis.plot(calls, rss_mb, color=_DAEMON, lw=1.8, label="50 in flight, every tenth call cancelled")
    axis.set_xlabel("calls")
    axis.ticklabel_format(axis="x", style="plain")
    for at in (0, len(rss_mb) // 2, len(rss_mb) - 1):
        axis.annotate(f"{rss_mb[at]:.1f}", (calls[at], rss_mb[at]), ha="center", va="bottom", fontsize=8)
