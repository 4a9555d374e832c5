"""Whenever the provider counts what it is sent, no window of its ever holds more than the limit."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.policy.quota import Demand, Quota, Reservation, Shortage, Spent
from edgeclient.policy.quota_lane import ARRIVAL_S

MODEL, CALLERS = "qwen-plus", ("a", "b")
LIMIT = LimitConfig(
    model="*",
    requests_per_minute=30,
    tokens_per_minute=3000,
    requests_per_second=4,
    tokens_per_second=400,
    max_in_flight=9,
)
OF_CALLER = CallerConfig(name="*", requests_per_minute=20, tokens_per_minute=2000, max_in_flight=6)


@dataclass
class Sent:
    """An attempt as the provider sees it: arrived when, and output written when."""

    caller: str
    prompt: int
    begun_s: float
    reservation: Reservation
    estimate: int
    arrived_s: float
    counted: list[tuple[float, int]] = field(default_factory=list)


class World:
    """A quota, its traffic, and a provider that counts at whatever moments chance gives it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.size = rng.choice([10, 60, 300])  # tokens; the largest requests have more than a second may hold
        self.pace = rng.choice([0.2, 1.0])
        self.now_s = 1000.0
        self.quota = Quota(limits=[LIMIT], callers=[OF_CALLER], now_s=self.now_s, wall_s=1.8e9)
        self.open: list[Sent] = []
        self.sent: list[Sent] = []
        self.granted = 0
        self.short: Counter[str] = Counter()

    def begin(self) -> None:
        prompt, output = self.rng.randrange(1, self.size), self.rng.randrange(1, self.size)
        caller = self.rng.choice(CALLERS)
        demand = Demand(
            model=MODEL,
            caller=caller,
            tokens=prompt + output,
            cost_nanos=0,
            output_tokens=self.rng.choice([output, None]),
        )
        got = self.quota.reserve(demand, now_s=self.now_s)
        if isinstance(got, Shortage):
            self.short[got.limit] += 1
            return
        self.granted += 1
        arrived_s = self.now_s + self.rng.random() * ARRIVAL_S
        self.open.append(Sent(caller, prompt, self.now_s, got, prompt + output, arrived_s))

    def end(self) -> None:
        if not self.open:
            return
        sent = self.open.pop(self.rng.randrange(len(self.open)))
        sent.arrived_s = min(sent.arrived_s, self.now_s)
        fate = self.rng.random()
        if fate < 0.15:
            self.quota.refund(sent.reservation, now_s=self.now_s)
            return
        output = self.rng.randrange(sent.estimate - sent.prompt + 1)
        first = self.rng.randrange(output + 1)
        moments_s = [sent.arrived_s + self.rng.random() * (self.now_s - sent.arrived_s) for _ in range(2)]
        sent.counted = [(sent.arrived_s, sent.prompt), *zip(moments_s, (first, output - first), strict=True)]
        self.sent.append(sent)
        spent = Spent(tokens=sent.prompt + output, cost_nanos=0, output_tokens=self.rng.choice([output, None]))
        self.quota.settle(sent.reservation, None if fate < 0.3 else spent, now_s=self.now_s)

    def wait(self) -> None:
        self.now_s += self.pace * self.rng.choice([0.0, 0.01, 0.1, 0.3, 1.0, 5.0, 20.0])


def most_in_any_window(uses: list[tuple[float, int]], period_s: float) -> int:
    """The fullest window that ends with a use; no other is fuller."""
    return max((sum(n for at_s, n in uses if end_s - period_s < at_s <= end_s) for end_s, _ in uses), default=0)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(50, 400))
def test_no_window_of_the_provider_is_ever_exceeded(seed: int, steps: int) -> None:
    world = World(Random(seed))
    for _ in range(steps):
        world.rng.choice([world.begin, world.begin, world.end, world.wait])()
    while world.open:
        world.end()

    for caller in (None, *CALLERS):
        mine = [sent for sent in world.sent if caller in (None, sent.caller)]
        requests = [(sent.arrived_s, 1) for sent in mine]
        tokens = [use for sent in mine for use in sent.counted]
        row: LimitConfig | CallerConfig = LIMIT if caller is None else OF_CALLER
        assert most_in_any_window(requests, 60.0) <= row.requests_per_minute
        assert most_in_any_window(tokens, 60.0) <= row.tokens_per_minute
    requests = [(sent.arrived_s, 1) for sent in world.sent]
    read = [(sent.arrived_s, sent.prompt) for sent in world.sent]
    assert most_in_any_window(requests, 1.0) <= LIMIT.requests_per_second
    assert most_in_any_window(read, 1.0) <= max(LIMIT.tokens_per_second, *(sent.prompt for sent in world.sent), 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_whatever_ends_in_whatever_order_nothing_is_left_behind(seed: int, steps: int) -> None:
    world = World(Random(seed))
    for _ in range(steps):
        world.rng.choice([world.begin, world.begin, world.end, world.wait])()
        in_flight = {s.limit: s.used for s in world.quota.standings(world.now_s) if s.kind == "model"}
        assert in_flight.get("max_in_flight", 0) == len(world.open)
    ended = [sent.reservation for sent in world.sent]
    while world.open:
        world.end()
    before = list(world.quota.standings(world.now_s))
    for reservation in ended:  # once more, in both ways: it changes nothing
        world.quota.settle(reservation, Spent(tokens=9, cost_nanos=9), now_s=world.now_s)
        world.quota.refund(reservation, now_s=world.now_s)

    assert before == list(world.quota.standings(world.now_s))
    assert {0} == {s.used for s in world.quota.standings(world.now_s + 61.0)} or not before


def test_the_campaign_does_reach_the_limits() -> None:
    """Else the tests above would be blind."""
    worlds = [World(Random(seed)) for seed in range(60)]
    for world in worlds:
        for _ in range(400):
            world.rng.choice([world.begin, world.begin, world.end, world.wait])()

    short = sum((world.short for world in worlds), Counter())
    assert short.total() > sum(world.granted for world in worlds) / 10
    of_model = {f"limits[0].{name}" for name in ("requests_per_minute", "requests_per_second", "max_in_flight")}
    of_model |= {"limits[0].tokens_per_minute", "limits[0].tokens_per_second"}
    of_caller = {f"callers[0].{name}" for name in ("requests_per_minute", "tokens_per_minute", "max_in_flight")}
    assert of_model | of_caller <= short.keys()
