"""Twenty callers, one of whom sends a hundred times as much as each other: what does everybody get?

The fair share of a caller is what an ideal server of the same total would have given: all that he asks for, or as much
as every other who is short (`shares.max_min`). The figure is Jain's index of served calls as parts of fair shares, 1 if
everybody got his. The control is the same traffic at a node that does not know its callers: all are `anonymous` there,
and it serves them in the order in which they come.

* Live, light callers ask for less than an equal share: each is to get all, the heavy one the rest.
* Live, all ask for more than an equal share: each is to get the same.
* Live, with patience: deadlines are so long that nobody is refused for an estimated wait, so the heavy caller fills
  every room that the node has for calls that wait.
* Jobs: all callers have jobs in the queue; counted at the cloud, in the order in which it was asked, as long as
  all of them still have some if they are served alike.

Live calls are counted by the answers in time, of those that were due after a second of warm-up.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Final

import msgspec
from bench.lab import Lab, machine
from bench.layout import Rows, verdict
from bench.outcome import Bars, Outcome
from bench.shares import jain, satisfaction
from bench.sim import Entry
from bench.traces import Ask, Seen, in_order, poisson, within

GOAL: Final = 0.95
CALLERS: Final = 20
TIMES: Final = 100
_LATENCY_MS: Final = 100
_WARM_UP_S: Final = 1.0
_DEVICES: Final = tuple(f"device-{number:02}" for number in range(CALLERS))
_HEAVY: Final = _DEVICES[0]
_CONNECTIONS: Final = {device: 16 if device == _HEAVY else 1 for device in _DEVICES}
_KNOWN, _UNKNOWN = "callers by token", "control: all anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A load of calls.

    Attributes:
        title: In the table.
        places: Calls at a time at the provider; with its latency the capacity.
        light_per_s: Calls of each light caller.
        timeout_s: Deadline of each call.
        duration_s: How long calls come.
    """

    title: str
    places: int
    light_per_s: float
    timeout_s: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured under one load at one node.

    Attributes:
        title: The load.
        subject: The node.
        index: Jain's index.
        served: By caller.
        demands: By caller.
        refused: Calls that were not answered in time, and their causes.
    """

    title: str
    subject: str
    index: float
    served: dict[str, int]
    demands: dict[str, int]
    refused: dict[str, int]


LIVE: Final = (
    Live(title="live, light ones want less", places=8, light_per_s=2.0, timeout_s=2.0, duration_s=11.0),
    Live(title="live, all want more", places=4, light_per_s=2.5, timeout_s=2.0, duration_s=11.0),
    Live(title="live, with patience", places=8, light_per_s=2.0, timeout_s=30.0, duration_s=11.0),
)
_JOBS_OF_LIGHT: Final = 40
_PLACES_WITH_JOBS: Final = "32"
_COUNTED: Final = 0.9  # of the jobs after which light callers have none left, if all are served alike


def run(*, quick: bool, seed: int) -> Outcome:
    """Measure."""
    head = machine()
    with Lab("--latency-ms", str(_LATENCY_MS), "--jitter", "0.2", "--seed", str(seed), "--keep-bodies") as lab:
        loads = [replace(load, duration_s=5.0) for load in LIVE] if quick else LIVE
        rows = [row for load in loads for row in _live(lab, load, seed)]
        rows += _jobs(lab, seed, _JOBS_OF_LIGHT // 4 if quick else _JOBS_OF_LIGHT)
    by_subject = {subject: [row.index for row in rows if row.subject == subject] for subject in (_KNOWN, _UNKNOWN)}
    titles = [row.title for row in rows if row.subject == _KNOWN]
    bars = Bars(title="Fair shares", unit="Jain's index", groups=titles, series=by_subject, goal=GOAL)
    title = f"{CALLERS} callers, one of them sends {TIMES} times as much"
    return Outcome(machine=head, tables=[(title, _table(rows))], bars=[bars])


def index(served: Counter[str], demands: Counter[str]) -> float:
    """Jain's index of what each caller got of his fair share."""
    return jain(satisfaction([served[name] for name in _DEVICES], [demands[name] for name in _DEVICES]))


def _live(lab: Lab, load: Live, seed: int) -> Iterator[Row]:
    for subject in (_KNOWN, _UNKNOWN):
        asks = _calls(load, seed, known=subject == _KNOWN)
        tables = _callers() if subject == _KNOWN else ""
        with lab.node({"upstream.max_in_flight": str(load.places)}, tables=tables) as node:
            seen = within(lab.replay(node, asks, _CONNECTIONS), _WARM_UP_S, load.duration_s)
        yield _live_row(load.title, subject, seen)


def _live_row(title: str, subject: str, seen: Sequence[Seen]) -> Row:
    served = Counter(each.device for each in seen if not each.failure)
    demands = Counter(each.device for each in seen)
    refused = Counter(each.failure for each in seen if each.failure)
    return Row(
        title=title, subject=subject, index=index(served, demands), served=served, demands=demands, refused=refused
    )


def _jobs(lab: Lab, seed: int, of_light: int) -> Iterator[Row]:
    for subject in (_KNOWN, _UNKNOWN):
        known = subject == _KNOWN
        demands = Counter({device: of_light * (TIMES if device == _HEAVY else 1) for device in _DEVICES})
        waiting = list(demands.elements())
        Random(seed).shuffle(waiting)
        jobs = [_ask(device, 0.0, number, known=known) for number, device in enumerate(waiting)]
        settings = {"upstream.max_in_flight": _PLACES_WITH_JOBS}
        queue = lab.filled(jobs, tables=_callers() if known else "", settings=settings)
        lab.cloud.forget()
        counted = int(_COUNTED * of_light * CALLERS)
        with lab.node(settings, tables=_callers() if known else "", queue=queue):
            lab.cloud.await_requests(counted + CALLERS)
        served = Counter(_device(entry) for entry in lab.cloud.entries()[:counted])
        fair = index(served, demands)
        yield Row(title="jobs, all wait", subject=subject, index=fair, served=served, demands=demands, refused={})


def _calls(load: Live, seed: int, *, known: bool) -> list[Ask]:
    asks = []
    for device in _DEVICES:
        rate = load.light_per_s * (TIMES if device == _HEAVY else 1)
        times = poisson(rate, load.duration_s, Random(f"{seed}/{device}"))
        asks += [_ask(device, at_s, number, known=known, timeout_s=load.timeout_s) for number, at_s in enumerate(times)]
    return in_order(asks)


def _ask(device: str, at_s: float, number: int, *, known: bool, timeout_s: float = 30.0) -> Ask:
    token = _token(device) if known else ""
    prompt = f"{device} asks for the {number}th time: is it hot?"
    return Ask(at_s=at_s, device=device, token=token, prompt=prompt, timeout_s=timeout_s)


def _callers() -> str:
    rows = ((device, sha256(_token(device).encode()).hexdigest()) for device in _DEVICES)
    return "".join(f'[[callers]]\nname = "{device}"\ntoken_sha256 = ["{digest}"]\n\n' for device, digest in rows)


def _token(device: str) -> str:
    return f"token-of-{device}"


def _device(entry: Entry) -> str:
    """Who asked, by the first word of the prompt."""
    body = msgspec.json.decode(entry.body or "")
    return str(body["messages"][-1]["content"]).partition(" ")[0]


def _table(rows: Sequence[Row]) -> Rows:
    table = [
        ["load", "node", "Jain", "goal", "reached", "light: served of asked", "least", "heavy", "not in time, and why"]
    ]
    for row in rows:
        light = [(row.served[device], row.demands[device]) for device in _DEVICES if device != _HEAVY]
        goal = [f">= {GOAL}", verdict(row.index >= GOAL)] if row.subject == _KNOWN else ["", ""]
        table.append(
            [
                row.title,
                row.subject,
                f"{row.index:.3f}",
                *goal,
                f"{sum(served for served, _ in light)} of {sum(asked for _, asked in light)}",
                f"{min(served / asked for served, asked in light):.0%}",
                f"{row.served[_HEAVY]} of {row.demands[_HEAVY]}",
                ", ".join(f"{count} {cause}" for cause, count in sorted(row.refused.items())),
            ]
        )
    return table
