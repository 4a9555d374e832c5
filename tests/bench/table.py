"""The results as text: aligned columns for a terminal, or the same rows as Markdown."""

from collections.abc import Iterator, Sequence

from bench import layout, payload
from bench.figures import median
from bench.layout import Rows, verdict
from bench.results import DAEMON, ECHO, ENGINE, JOINED, SUBJECTS, TRANSPORT, Load, Results, Sample

MOST_RATIO, MOST_START_S, MOST_IDLE_MB, MOST_GROWTH_MB = 1.3, 0.8, 64.0, 2.0

_TITLES = {
    "unary": "A unary call whose answer is bounded to be short",
    "unary-long": f"A unary call of any length: {payload.PIECES} pieces from the provider, one answer for the caller",
    "stream": f"A stream of {payload.PIECES} pieces and an end",
}
_HEAD = ["in flight", "subject", "CPU us/call", "lowest-highest", "us/piece", "calls/s", "p50 ms", "p99 ms"]
_RATIOS = [
    "method",
    "in flight",
    "daemon / (echo + transport)",
    "daemon / both in one",
    "both in one / (echo + engine)",
]


def text(results: Results, *, markdown: bool) -> str:
    """The whole report."""
    return layout.report(results.machine, _tables(results), markdown=markdown)


def _tables(results: Results) -> Iterator[tuple[str, Rows]]:
    for method, title in _TITLES.items():
        loads = [load for load in results.samples if load.method == method]
        if loads:
            yield title, _loads(results, loads)
    yield "CPU as a ratio", _ratios(results)
    yield "Goals", _goals(results)
    if results.startup is not None:
        rows = [["package", "ms of its own"], *([name, f"{ms:.0f}"] for name, ms in results.startup.heaviest)]
        yield "What the imports cost", rows


def _loads(results: Results, loads: Sequence[Load]) -> Rows:
    rows = [[*_HEAD, "core busy", "others on it", "failed"]]
    for load in loads:
        rows += [_row(load, name, results.samples[load][name]) for name in SUBJECTS]
    return rows


def _row(load: Load, name: str, samples: Sequence[Sample]) -> list[str]:
    cpu_us = [sample.cpu_us for sample in samples]

    def middle(figure: str) -> float:
        return median([float(getattr(sample, figure)) for sample in samples])

    return [
        str(load.in_flight),
        name,
        f"{median(cpu_us):.0f}",
        f"{min(cpu_us):.0f}-{max(cpu_us):.0f}",
        "" if load.method == "unary" else f"{median(cpu_us) / (payload.PIECES + 1):.1f}",
        f"{middle('calls_per_s'):.0f}",
        f"{middle('p50_ms'):.1f}",
        f"{middle('p99_ms'):.1f}",
        f"{middle('busy'):.0%}",
        f"{middle('others'):.0%}",
        _failed(samples),
    ]


def _failed(samples: Sequence[Sample]) -> str:
    failures = sum(sample.failures for sample in samples)
    return f"{failures}: {next(sample.failure for sample in samples if sample.failures)}" if failures else "0"


def _ratios(results: Results) -> Rows:
    rows = [_RATIOS]
    for load in results.samples:
        ratios = (
            results.ratio(DAEMON, ECHO, TRANSPORT, load=load),
            results.ratio(DAEMON, JOINED, load=load),
            results.ratio(JOINED, ECHO, ENGINE, load=load),
        )
        rows.append([load.method, str(load.in_flight), *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def _goals(results: Results) -> Rows:
    rows = [["what", "goal", "measured", "reached"]]
    for load in results.samples:
        if load.method == "unary":
            ratio = results.ratio(DAEMON, ECHO, TRANSPORT, load=load)
            what = f"CPU of a unary call to echo + transport, {load.in_flight} in flight"
            rows.append([what, f"<= {MOST_RATIO}", f"{ratio:.2f}", verdict(ratio <= MOST_RATIO)])
    if results.startup is not None:
        start = results.startup
        reached = verdict(start.answered_s <= MOST_START_S)
        rows.append(["exec to first answer", f"<= {MOST_START_S} s", f"{start.answered_s:.2f} s", reached])
        rows.append(["- of it until the port listens", "", f"{start.listening_s:.2f} s", ""])
        rows.append(["- imports and a bare interpreter", "", f"{start.import_s:.2f} s", ""])
        rows.append(["- a bare interpreter", "", f"{start.python_s:.2f} s", ""])
    idle_mb = results.rss_idle_mb
    rows.append(["RSS idle", f"<= {MOST_IDLE_MB:.0f} MB", f"{idle_mb:.1f} MB", verdict(idle_mb <= MOST_IDLE_MB)])
    rows.append(["RSS after all loads", "", f"{results.rss_loaded_mb:.1f} MB", ""])
    return rows + _soak_rows(results)


def _soak_rows(results: Results) -> Rows:
    soak = results.soak
    if soak is None:
        return []
    start, middle, end = (soak.rss_mb[at][1] for at in (0, len(soak.rss_mb) // 2, -1))
    what = f"RSS growth in the second half of {soak.calls:,} calls, {soak.cancelled:,} cancelled"
    grown_mb = f"{soak.growth_mb:+.1f} MB ({start:.1f}, {middle:.1f}, {end:.1f})"
    rows = [[what, f"<= {MOST_GROWTH_MB:.0f} MB", grown_mb, verdict(soak.growth_mb <= MOST_GROWTH_MB)]]
    why = f"- calls that failed: {soak.failure}" if soak.failures else "- calls that failed"
    return [*rows, [why, "0", str(soak.failures), verdict(not soak.failures)]]
