"""Interactive calls beside a backlog of ten thousand jobs, and the same calls without it, in turns.

Both nodes are alike but for what their queue holds: each window starts a daemon anew, with an empty queue or with a
copy of one that was filled beforehand, and asks it the same at the same moments. Live calls come independently of each
other, below saturation, and each is measured from the moment when it was due. The cloud takes 200 ms, 20 % more or
less, and the node may ask it so few calls at a time that the backlog would fill every place, if it were let.

Rounds are pooled: the 99th percentile of one window is the third of its worst calls. What a busy machine adds is told
apart: how long the daemon was ready and others had its core, how late the devices were, and, from the node's own
metrics, how long live calls waited for their turn, which is all that the backlog can do to them but for the CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from bench.figures import median, quantile
from bench.lab import Lab, machine
from bench.layout import Rows, verdict
from bench.outcome import Bars, Outcome
from bench.sim import Entry
from bench.traces import Ask, Seen, poisson, within

GOAL: Final = 1.2
BACKLOG: Final = 10_000
_LATENCY_MS: Final = 200
_WARM_UP_S: Final = 2.0
_TURN: Final = 'edgeclient_queue_wait_seconds_{}{{priority="normal"}}'
_CONNECTIONS: Final = {"": 4}
_LIVE_MODEL, _JOB_MODEL = "qwen-plus", "qwen-flash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A load.

    Attributes:
        title: In the table.
        places: Calls at a time at the provider; with its latency the capacity.
        job_places: Jobs at a time that the queue would send.
        live_per_s: Live calls.
        streamed: They are streams; measured is the first piece.
    """

    title: str
    places: int
    job_places: int
    live_per_s: float
    streamed: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """Of its nodes."""
        return {"upstream.max_in_flight": str(self.places), "spool.max_in_flight": str(self.job_places)}


@dataclass(slots=True, kw_only=True)
class Windows:
    """What was seen at one kind of node under a mix, over all rounds.

    Attributes:
        seen: The live calls.
        jobs_per_s: Jobs that were answered meanwhile, by round.
        busy: Part of its core that the daemon used, by round.
        starved: Part of the time that the daemon was ready to run and others had its core, by round.
        turn_ms: How long a live call waited for its turn in the node, on average, by round, as the node says.
    """

    seen: list[Seen] = field(default_factory=list)
    jobs_per_s: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    starved: list[float] = field(default_factory=list)
    turn_ms: list[float] = field(default_factory=list)

    def ms(self, share: float) -> float:
        """The latency that this share of the answered calls kept."""
        return quantile(sorted(each.latency_s for each in self.seen if not each.failure), share) * 1000

    @property
    def failures(self) -> list[str]:
        """Why calls were not answered."""
        return [each.failure for each in self.seen if each.failure]


MIXES: Final = (
    Mix(title="32 places, live calls need 3", places=32, job_places=32, live_per_s=16),
    Mix(title="32 places, live calls need 16", places=32, job_places=32, live_per_s=80),
    Mix(title="100 places as installed, live streams need 16", places=100, job_places=16, live_per_s=80, streamed=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """Everything: both nodes under each mix, and jobs a second of a backlog alone, by places."""

    alone: dict[Mix, Windows]
    beside: dict[Mix, Windows]

    def ratio(self, mix: Mix, share: float) -> float:
        """Latency beside the backlog to that without it."""
        return self.beside[mix].ms(share) / self.alone[mix].ms(share)


def run(*, quick: bool, seed: int) -> Outcome:
    """Measure."""
    head = machine()
    rounds, duration_s, mixes = (1, 5.0, MIXES[:2]) if quick else (2, 8.0, MIXES)
    found = Mixed(alone={mix: Windows() for mix in mixes}, beside={mix: Windows() for mix in mixes})
    with Lab("--latency-ms", str(_LATENCY_MS), "--jitter", "0.2", "--seed", str(seed)) as lab:
        backlog = lab.filled([_job(number) for number in range(BACKLOG)])
        for number in range(rounds):
            for mix in mixes:
                calls = _calls(mix, duration_s, Random(f"{seed}/{number}"))
                both = [(found.alone, None), (found.beside, backlog)]
                for windows, jobs in both if number % 2 else reversed(both):  # neither is always the first
                    _window(lab, mix, lab.queue(like=jobs), calls, windows[mix])
    p99 = {
        "no backlog": [found.alone[mix].ms(0.99) for mix in mixes],
        f"{BACKLOG:,} jobs": [found.beside[mix].ms(0.99) for mix in mixes],
    }
    ratios = {"p99 beside the backlog / without": [found.ratio(mix, 0.99) for mix in mixes]}
    titles = [mix.title for mix in mixes]
    bars = [
        Bars(title="Live calls, 99th percentile", unit="ms", groups=titles, series=p99),
        Bars(title="What the backlog does to it", unit="ratio", groups=titles, series=ratios, goal=GOAL),
    ]
    return Outcome(machine=head, tables=[("Live calls beside a backlog", _table(found))], bars=bars)


def _window(lab: Lab, mix: Mix, queue: Path, calls: Sequence[Ask], into: Windows) -> None:
    with lab.node(mix.settings, queue=queue) as node:
        lab.cloud.forget()
        cpu_s, core_wait_s = node.process.cpu_s, node.process.core_wait_s
        seen = lab.replay(node, calls, _CONNECTIONS)
        into.busy.append((node.process.cpu_s - cpu_s) / calls[-1].at_s)
        into.starved.append((node.process.core_wait_s - core_wait_s) / calls[-1].at_s)
        into.turn_ms.append(node.metric(_TURN.format("sum")) / node.metric(_TURN.format("count")) * 1000)
        into.jobs_per_s.append(jobs_per_s(lab.cloud.entries()))
    into.seen += within(seen, _WARM_UP_S, calls[-1].at_s)


def jobs_per_s(entries: Sequence[Entry]) -> float:
    """Jobs that the cloud began, from the end of the warm-up to the last live call."""
    live_s = [entry.time for entry in entries if entry.model == _LIVE_MODEL]
    begin_s, end_s = live_s[0] + _WARM_UP_S, live_s[-1]
    jobs = [entry for entry in entries if entry.model == _JOB_MODEL and begin_s <= entry.time < end_s]
    return len(jobs) / (end_s - begin_s)


def _calls(mix: Mix, duration_s: float, random: Random) -> list[Ask]:
    times = poisson(mix.live_per_s, _WARM_UP_S + duration_s, random)
    return [
        Ask(at_s=at_s, model=_LIVE_MODEL, prompt=f"Is reading {number} of the boiler normal?", streamed=mix.streamed)
        for number, at_s in enumerate(times)
    ]


def _job(number: int) -> Ask:
    return Ask(at_s=0.0, model=_JOB_MODEL, prompt=f"Sum up shift {number} of hall 7 in one sentence.")


def _table(found: Mixed) -> Rows:
    head = [
        "mix",
        "backlog",
        "live/s",
        "calls",
        "p50 ms",
        "p99 ms",
        "worst",
        "failed",
        "jobs/s",
        "turn ms",
        "busy",
        "starved",
        "late p99",
    ]
    rows = [[*head, "p99 ratio", "goal", "reached"]]
    for mix in found.alone:
        ratio = found.ratio(mix, 0.99)
        rows.append([*_row(mix, "none", found.alone[mix]), "", "", ""])
        rows.append(
            [*_row(mix, f"{BACKLOG:,}", found.beside[mix]), f"{ratio:.2f}", f"<= {GOAL}", verdict(ratio <= GOAL)]
        )
    return rows


def _row(mix: Mix, backlog: str, windows: Windows) -> list[str]:
    late_ms = quantile(sorted(each.late_s for each in windows.seen), 0.99) * 1000
    return [
        mix.title,
        backlog,
        f"{mix.live_per_s:.0f}",
        str(len(windows.seen)),
        *(f"{windows.ms(share):.0f}" for share in (0.50, 0.99, 1.0)),
        str(len(windows.failures)),
        f"{median(windows.jobs_per_s):.0f}",
        f"{median(windows.turn_ms):.2f}",
        f"{median(windows.busy):.0%}",
        f"{median(windows.starved):.0%}",
        f"{late_ms:.1f} ms",
    ]
