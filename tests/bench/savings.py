"""What coalescing, the cache and half price save, told by the ledger of the cloud: calls, tokens, money.

One trace, four times, with one more measure switched on each time. The trace is that of a hall with a few thousand
questions, of which some are asked much more often than others (Zipf), with alarms at which forty devices ask the same
within a moment, and with reports that may wait, as deferrable jobs. All calls want the same answer each time
(temperature 0), for others are neither cached nor shared; all devices are one caller. The whole trace is shorter than
the cache's time to live, so it says nothing about answers that become too old.

Money is what the ledger billed, by the prices below; beside it stands what the node said to its callers that it cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bench.figures import quantile
from bench.lab import Lab, machine
from bench.layout import Rows, verdict
from bench.outcome import Bars, Outcome
from bench.sim import Entry
from bench.traces import Ask, Seen, Zipf, bursts, in_order, poisson

QUESTIONS: Final = 2_000
ZIPF_S: Final = 1.1
BURST: Final = 40
_BURST_SPREAD_S: Final = 0.1
_CALLS_PER_S: Final = 100.0
_BURSTS_PER_S: Final = 0.5
_ROUNDING: Final = 1e-9
_HALF: Final = 0.5 + _ROUNDING
_LATENCY_MS: Final = 200
_LIVE_MODEL, _JOB_MODEL = "qwen-plus", "qwen-flash"
PRICES: Final = {_LIVE_MODEL: (0.8, 2.0), _JOB_MODEL: (0.15, 1.5)}  # of a million tokens, input and output
_CURRENCY: Final = "CNY"
_CONNECTIONS: Final = {"": 8}
_ROW: Final = """
[[prices]]
model = "{}"
currency = "{}"
input_per_million = {}
output_per_million = {}
"""
_TABLES: Final = "".join(_ROW.format(model, _CURRENCY, *prices) for model, prices in PRICES.items())
_OFF: Final = {"cache.max_bytes": "0", "cache.coalesce": "false"}
MEASURES: Final[Mapping[str, Mapping[str, str]]] = {
    "off": _OFF,
    "coalescing": {"cache.max_bytes": "0"},
    "+ cache": {},
    "+ half price": {"half_price.mode": "file", "half_price.linger_s": "1", "half_price.poll_s": "0.2"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is asked.

    Attributes:
        calls: Live calls, when they are due.
        jobs: Deferrable jobs, submitted before.
    """

    calls: Sequence[Ask]
    jobs: Sequence[Ask]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one measure made of the trace.

    Attributes:
        name: The measure.
        seen: The live calls.
        entries: The ledger.
    """

    name: str
    seen: Sequence[Seen]
    entries: Sequence[Entry]

    def cost(self, model: str = "") -> float:
        """What the cloud billed, of all calls or of those of a model."""
        return sum(cost_of(entry) for entry in self.entries if model in ("", entry.model))

    @property
    def live_count(self) -> int:
        """Live calls that reached the cloud."""
        return sum(entry.model == _LIVE_MODEL for entry in self.entries)

    @property
    def job_count(self) -> int:
        """Jobs that did."""
        return len(self.entries) - self.live_count

    @property
    def told(self) -> float:
        """What the node said to the callers of live calls that these cost."""
        return sum(each.cost_nanos for each in self.seen) / 1e9

    def ms(self, share: float) -> float:
        """The latency that this share of the answered calls kept."""
        return quantile(sorted(each.latency_s for each in self.seen if not each.failure), share) * 1000


def run(*, quick: bool, seed: int) -> Outcome:
    """Measure."""
    head = machine()
    trace = made(seed, duration_s=5.0 if quick else 20.0, jobs=60 if quick else 400)
    with Lab("--latency-ms", str(_LATENCY_MS), "--jitter", "0.2", "--seed", str(seed)) as lab:
        rows = [_row(lab, name, settings, trace) for name, settings in MEASURES.items()]
    distinct = len({ask.prompt for ask in trace.calls})
    title = f"{len(trace.calls):,} live calls of {distinct:,} questions, {len(trace.jobs):,} deferrable jobs"
    names = [row.name for row in rows]
    calls = {"live": [float(row.live_count) for row in rows], "jobs": [float(row.job_count) for row in rows]}
    cost = {"live": [row.cost(_LIVE_MODEL) for row in rows], "jobs": [row.cost(_JOB_MODEL) for row in rows]}
    bars = [
        Bars(title="Upstream calls", unit="calls", groups=names, series=calls),
        Bars(title="Billed", unit=_CURRENCY, groups=names, series=cost),
    ]
    return Outcome(machine=head, tables=[(title, _table(rows)), ("Goals", _goals(rows, distinct))], bars=bars)


def made(seed: int, *, duration_s: float, jobs: int) -> Trace:
    """The trace: the same for the same seed."""
    random = Random(seed)
    zipf = Zipf(QUESTIONS, ZIPF_S)
    calls = [_call(at_s, zipf.draw(random)) for at_s in poisson(_CALLS_PER_S, duration_s, random)]
    for burst in bursts(poisson(_BURSTS_PER_S, duration_s, random), BURST, _BURST_SPREAD_S, random):
        question = zipf.draw(random)
        calls += [_call(at_s, question) for at_s in burst]
    reports = [
        Ask(at_s=0.0, model=_JOB_MODEL, prompt=f"Sum up shift {number} of hall 7.", deferrable=True)
        for number in range(jobs)
    ]
    return Trace(calls=in_order(calls), jobs=reports)


def cost_of(entry: Entry) -> float:
    """What the provider bills for a call."""
    into, out = PRICES[entry.model]
    return (entry.prompt_tokens_billed * into + entry.tokens_billed * out) * entry.price_factor / 1e6


def _call(at_s: float, question: int) -> Ask:
    prompt = f"Question {question} of hall 7: what does the manual say about alarm {question}?"
    return Ask(at_s=at_s, model=_LIVE_MODEL, prompt=prompt, temperature=0.0)


def _row(lab: Lab, name: str, settings: Mapping[str, str], trace: Trace) -> Row:
    lab.cloud.forget()
    with lab.node(settings, tables=_TABLES, queue=lab.queue()) as node:
        lab.submit(node, trace.jobs)
        seen = lab.replay(node, trace.calls, _CONNECTIONS)
        lab.await_no_jobs(node)
    return Row(name=name, seen=seen, entries=lab.cloud.entries())


def _table(rows: Sequence[Row]) -> Rows:
    money = f"cost, {_CURRENCY}"
    head = ["measures", "upstream calls", "live", "tokens", money, "of it jobs", "saved", "told of live"]
    table = [[*head, "p50 ms", "p99 ms", "failed"]]
    return table + [_cells(row, rows[0]) for row in rows]


def _cells(row: Row, first: Row) -> list[str]:
    return [
        row.name,
        f"{len(row.entries):,}",
        f"{row.live_count:,}",
        f"{sum(entry.prompt_tokens_billed + entry.tokens_billed for entry in row.entries):,}",
        f"{row.cost():.5f}",
        f"{row.cost(_JOB_MODEL):.5f}",
        f"{1 - row.cost() / first.cost():.1%}",
        f"{row.told:.5f}",
        *(f"{row.ms(share):.0f}" for share in (0.5, 0.99)),
        str(sum(bool(each.failure) for each in row.seen)),
    ]


def _goals(rows: Sequence[Row], distinct: int) -> Rows:
    cached, half = rows[-2], rows[-1]
    told = max(abs(row.told - row.cost(_LIVE_MODEL)) for row in rows)
    factor = half.cost(_JOB_MODEL) / cached.cost(_JOB_MODEL)
    return [
        ["what", "goal", "measured", "reached"],
        [
            "live calls upstream, with coalescing and cache: each question once",
            f"<= {distinct:,}",
            f"{cached.live_count:,}",
            verdict(cached.live_count <= distinct),
        ],
        ["jobs at half price cost, to the same sent live", "<= 0.5", f"{factor:.3f}", verdict(factor <= _HALF)],
        ["what callers are told of cost, off what is billed", "0", f"{told:.9f}", verdict(told < _ROUNDING)],
    ]
