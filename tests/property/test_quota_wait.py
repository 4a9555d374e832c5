"""A shortage tells the truth: at the moment it names the demand fits if nothing else happens, and never before."""

import copy
from collections import Counter
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.policy.quota import Demand, Quota, Reservation, Shortage, Spent

LIMITS: tuple[dict[str, Any], ...] = (
    {"requests_per_minute": 24, "requests_per_second": 3},
    {"tokens_per_minute": 6000, "tokens_per_second": 300},
    {"tokens_per_minute": 2500, "tokens_per_second": 2500},
    {"tokens_per_minute": 6000, "tokens_per_second": 6000, "growth_tokens": 1500},
    {"requests_per_minute": 600, "requests_per_second": 2, "tokens_per_minute": 90_000, "growth_tokens": 900},
)
OF_CALLERS: tuple[dict[str, Any], ...] = ({"requests_per_minute": 12}, {"tokens_per_minute": 2000}, {})
_ROUNDING_S = 1e-5  # a window's part leaves a millionth of its length before its end
_UNCHECKED = 0.7  # a part of the shortages, because each check copies the quota


class Traffic:
    """Random attempts that end at once or stay open for a while; some limits are lowered for some time."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now_s = 1000.0
        limit = LimitConfig(model="*", **self.rng.choice(LIMITS))
        of_caller = CallerConfig(name="*", **self.rng.choice(OF_CALLERS))
        self.quota = Quota(limits=[limit], callers=[of_caller], now_s=self.now_s, wall_s=1.8e9)
        self.open: list[tuple[Reservation, int]] = []
        self.seen: Counter[str] = Counter()

    def demand(self) -> Demand:
        tokens = self.rng.choice([1, 20, 100, 400, 900])
        return Demand(model="m", caller=self.rng.choice("ab"), tokens=tokens, cost_nanos=0, output_tokens=tokens // 3)

    def step(self) -> tuple[Demand, Shortage] | None:
        rng = self.rng
        self.now_s += rng.choice([0.0, 0.0, 0.05, 0.5, 0.5, 3.0, 17.0])
        if rng.random() < 0.02:
            self.quota.lower(
                "m", requests_per_minute=rng.choice([0, 20]), now_s=self.now_s, for_s=rng.choice([5.0, 90.0])
            )
        if self.open and rng.random() < 0.6:
            reservation, tokens = self.open.pop(rng.randrange(len(self.open)))
            self.quota.settle(reservation, Spent(tokens=tokens, cost_nanos=0), now_s=self.now_s)
        demand = self.demand()
        got = self.quota.reserve(demand, now_s=self.now_s)
        if isinstance(got, Shortage):
            self.seen[got.limit] += 1
            return demand, got
        self.open.append((got, demand.tokens))
        return None

    def fits(self, demand: Demand, after_s: float) -> bool:
        later = copy.deepcopy(self.quota)
        return not isinstance(later.reserve(demand, now_s=self.now_s + after_s), Shortage)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 150))
def test_it_fits_at_the_moment_told_and_not_before(seed: int, steps: int) -> None:
    traffic = Traffic(seed)
    for _ in range(steps):
        if (short := traffic.step()) is None:
            continue
        demand, shortage = short
        assert shortage.wait_s >= 0
        if shortage.until_end or traffic.rng.random() < _UNCHECKED:
            continue
        assert traffic.fits(demand, shortage.wait_s)
        for part in (0.0, traffic.rng.random(), 1.0):
            assert not traffic.fits(demand, shortage.wait_s * part - _ROUNDING_S), (shortage, part)


def test_the_campaign_does_meet_every_limit() -> None:
    """Else the test above would be blind."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        traffic = Traffic(seed)
        for _ in range(150):
            traffic.step()
        seen += traffic.seen

    names = {name for row in LIMITS for name in row}
    of_model = {f"limits[0].{name}" for name in names}
    assert of_model | {f"callers[0].{name}" for row in OF_CALLERS for name in row} <= seen.keys()


@given(st.integers(1, 20_000))
def test_what_is_above_the_limit_itself_never_fits(tokens: int) -> None:
    quota = Quota(limits=[LimitConfig(model="m", tokens_per_minute=5000)], now_s=0.0, wall_s=0.0)

    got = quota.reserve(Demand(model="m", caller="a", tokens=tokens, cost_nanos=0), now_s=0.0)

    assert (tokens > 5000) == (isinstance(got, Shortage) and got.is_final)
    assert (tokens > 5000) == isinstance(got, Shortage)
