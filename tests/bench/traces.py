"""What devices ask, and when: seeded, so that two subjects are asked the same at the same moments, on any day.

Traces are made beforehand and are plain lists, so that whoever replays them has nothing left to decide. They are open
loops: a call comes when it is due, whether or not those before it were answered.
"""

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from random import Random

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One call or one job of a device.

    Attributes:
        at_s: When it is due, after the beginning of the replay.
        prompt: What is asked.
        device: Who asks.
        model: Who is asked; empty: the default of the node.
        token: The bearer token that proves it; empty: none is shown.
        streamed: Ask for the answer in pieces; latency is then that of the first one.
        temperature: None: the default of the model.
        timeout_s: Its deadline.
        deferrable: Of a job: it may wait for half the price.
    """

    at_s: float
    prompt: str
    device: str = ""
    model: str = ""
    token: str = ""
    streamed: bool = False
    temperature: float | None = None
    timeout_s: float = 30.0
    deferrable: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.

    Attributes:
        device: Who asked.
        due_s: When it was due, after the beginning of the replay.
        late_s: How much later than due it was begun: the time that the replay itself lost.
        latency_s: From the moment when it was due to its answer, or to its failure.
        source: Where the answer came from, by the number of the API; 0: there was none.
        cost_nanos: What the node says that it cost this caller; nothing if it was not made for this call.
        failure: Status and reason; empty: it was answered.
    """

    device: str
    due_s: float
    late_s: float
    latency_s: float
    source: int = 0
    cost_nanos: int = 0
    failure: str = ""


def poisson(rate: float, duration_s: float, random: Random) -> Iterator[float]:
    """Moments at which calls come independently of each other, so many a second on average."""
    at_s = random.expovariate(rate)
    while at_s < duration_s:
        yield at_s
        at_s += random.expovariate(rate)


class Zipf:
    """Ranks from 0, each drawn in proportion to 1 / (rank + 1) ** s.

    Args:
        count: How many ranks.
        s: How much the first ones are preferred; 0: not at all.
    """

    def __init__(self, count: int, s: float) -> None:
        self._sums = list(accumulate((rank + 1) ** -s for rank in range(count)))

    def draw(self, random: Random) -> int:
        """One rank."""
        return bisect(self._sums, random.random() * self._sums[-1])


def bursts(times: Iterable[float], size: int, spread_s: float, random: Random) -> Iterator[list[float]]:
    """For each moment so many of them shortly after it: an alarm that all devices of a hall see."""
    for at_s in times:
        yield [at_s + random.uniform(0.0, spread_s) for _ in range(size)]


def in_order(asks: Iterable[Ask]) -> list[Ask]:
    """As they come."""
    return sorted(asks, key=lambda ask: ask.at_s)


def within(seen: Sequence[Seen], begin_s: float, end_s: float) -> list[Seen]:
    """Those that were due in a part of the replay."""
    return [each for each in seen if begin_s <= each.due_s < end_s]
