"""What is counted of one model, or of one caller, and whether one more attempt fits.

Nobody says at which moment the provider counts what. So an attempt counts at every moment at which it may be counted
there, and for a whole window after the last of them:

* The request and its input are counted when they arrive. That is no later than the end of the attempt, and taken to be
  no later than `ARRIVAL_S` after its grant, 0.1 s for windows of a second and 3 s for those of a minute: at worst that
  gives away a tenth of the throughput. Where attempts as a rule end sooner than that, one that does not is late on its
  way, and may arrive until it ends. What takes longer, because a connection has to be made first, may be counted there
  in a later second than here.
* The output is counted in the minute of the attempt's end at the latest, so it is held until then: an attempt of ten
  seconds takes its output's room for seventy.
* In a second, one attempt's output is what a model writes in a second. That is learnt from the attempts that have
  ended, and counts as long as an attempt lasts and for half a second after it; what was written within a second as a
  whole and for a whole one. A model that writes faster than ever before is counted too low until it has ended.

A sixtieth of the tokens per minute is less than one long prompt has. The provider serves such prompts, so a request
with more tokens than a second has fits into a second in which nothing else was counted, and fills it. The same goes for
one that is larger than the growth rule lets traffic begin with, and for one above a limit that was lowered for a while.
"""

from collections.abc import Iterator
from math import inf
from typing import Any

from edgeclient.policy.demand import Demand, Spent
from edgeclient.policy.growth import Growth
from edgeclient.policy.limits import NO_LIMITS, Limits
from edgeclient.policy.quota_place import Block, Place
from edgeclient.policy.rate_window import RateWindow
from edgeclient.policy.running_quantile import RunningQuantile

ARRIVAL_S = 0.1
"""When a request has arrived at the latest, for the windows of a second..."""
LATE_ARRIVAL_S = 1.0
"""...and where half of the attempts end sooner than that."""
ARRIVAL_IN_MINUTE_S = 3.0
"""The same for those of a minute, which can afford more."""

_GRAIN_S = 5.0  # of ages that are stored
_TAIL_S = 0.5  # of an output that was written evenly so much lies in the second before, on average
_FIRST_PACE = 100.0  # tokens that a model writes in a second; fast ones reach that
_FIRST_DURATION_S = 1.0  # of an attempt, before one has ended
_SHORTEST_S, _LONGEST_S = 0.001, 3600.0


class Lane:
    """The windows of one subject; see the module.

    Args:
        limits: What is configured.
        path: Of the row, such as `limits[0]`.
    """

    __slots__ = (
        "_duration",
        "_growth",
        "_limits",
        "_pace",
        "_passing",
        "_requests",
        "_requests_now",
        "_tokens",
        "_tokens_now",
        "_told",
        "_until_s",
        "_usual",
        "_windows",
        "changed",
        "in_flight",
        "limits",
        "path",
    )

    def __init__(self, limits: Limits, *, path: str) -> None:
        self.path = path
        self.in_flight = 0
        self._duration = RunningQuantile(first=_FIRST_DURATION_S, part=0.5, least=_SHORTEST_S, most=_LONGEST_S)
        self.changed = False
        self._limits = limits
        self._told = self._passing = NO_LIMITS
        self._until_s = inf
        self._requests, self._requests_now = RateWindow(60.0), RateWindow(1.0)
        self._tokens, self._tokens_now = RateWindow(60.0), RateWindow(1.0)
        self._windows = {
            "requests_per_minute": self._requests,
            "tokens_per_minute": self._tokens,
            "requests_per_second": self._requests_now,
            "tokens_per_second": self._tokens_now,
        }
        self._growth = Growth()
        self._pace = RunningQuantile(first=_FIRST_PACE, part=0.95, least=1.0, most=1e6)
        self._lower()

    def __repr__(self) -> str:
        return f"<Lane {self.path}, {self.in_flight} in flight, {self.limits}>"

    @property
    def guess_s(self) -> float:
        """When the next of the attempts under way ends, judging by how long they took so far."""
        return self._duration.value / max(1, self.in_flight)

    def apply(self, limits: Limits, *, path: str) -> None:
        """Keep below these from now on; what counts already goes on counting."""
        self.path = path
        self._limits = limits
        self._lower()

    def tell(self, limits: Limits) -> None:
        """Keep below these too; they take the place of what was told before."""
        self._told = limits
        self._lower()

    def lower(self, limits: Limits, *, until_s: float) -> None:
        """Keep below these too, until then; they take the place of what was lowered before."""
        self._passing = limits
        self._until_s = until_s
        self._lower()

    def _lower(self) -> None:
        self._usual = self._limits.lowered_to(self._told)
        self.limits = self._usual.lowered_to(self._passing)

    def path_of(self, limit: str) -> str:
        """Where a limit was set: in the row, or by the provider."""
        return f"{self.path if getattr(self._limits, limit) else 'provider'}.{limit}"

    def fits(self, demand: Demand, now_s: float) -> bool:
        """One more attempt breaks no limit."""
        return next(self._blocks(demand, now_s), None) is None and not self._growth_block(demand.tokens, now_s, now_s)

    def blocks(self, demand: Demand, now_s: float, *, from_s: float) -> list[Block]:
        """The limits that one more attempt would break, now or at `from_s`, before which others forbid it.

        The growth rule is asked for the moment when everything else fits: it may forbid later what it permits now.
        """
        found = list(self._blocks(demand, now_s))
        base_s = max([from_s, *(block.at_s for block in found if block.at_s is not None)])
        growth = self._growth_block(demand.tokens, now_s, base_s)
        return found + ([growth] if growth else [])

    def take(self, demand: Demand, now_s: float) -> Place:
        """Count an attempt that begins now."""
        self.changed = True
        self.in_flight += 1
        late = demand.late_tokens
        at_s = now_s + ARRIVAL_IN_MINUTE_S
        at_now_s = now_s + (ARRIVAL_S if self._duration.value > ARRIVAL_S else LATE_ARRIVAL_S)
        written_tokens = self._written(demand)
        place = Place(demand=demand, at_s=at_s, at_now_s=at_now_s, begun_s=now_s, written_tokens=written_tokens)
        self._requests.add(1, at_s)
        self._tokens.add(demand.tokens - late, at_s)
        self._tokens.hold(late)
        self._requests_now.add(1, at_now_s)
        self._tokens_now.add(demand.read_tokens, at_now_s)
        self._tokens_now.hold(place.written_tokens)
        return place

    def settle(self, place: Place, spent: Spent, now_s: float) -> None:
        """Count what an attempt did use instead of what it was thought to."""
        demand, output = place.demand, spent.output_tokens
        if output is None:  # what is more than was thought is the output's, for input is known before
            output = max(0, spent.tokens - (demand.tokens - demand.late_tokens))
        self.refund(place)
        duration_s = now_s - place.begun_s
        written = int(output / max(1.0, duration_s))
        self._duration.learn(duration_s)
        if written:
            self._pace.learn(written)
        self._requests.add(1, min(place.at_s, now_s))
        self._tokens.add(spent.tokens - output, min(place.at_s, now_s))
        self._tokens.add(output, now_s)
        self._requests_now.add(1, min(place.at_now_s, now_s))
        self._tokens_now.add(spent.tokens - output, min(place.at_now_s, now_s))
        self._tokens_now.add(written, now_s if duration_s < 1 else now_s - _TAIL_S)
        if self._limits.growth_tokens:
            self._growth.add(spent.tokens, now_s)

    def refund(self, place: Place) -> None:
        """Forget an attempt."""
        self.changed = True
        self.in_flight -= 1
        demand, late = place.demand, place.demand.late_tokens
        self._requests.take(1, place.at_s)
        self._tokens.take(demand.tokens - late, place.at_s)
        self._tokens.release(late)
        self._requests_now.take(1, place.at_now_s)
        self._tokens_now.take(demand.read_tokens, place.at_now_s)
        self._tokens_now.release(place.written_tokens)

    def _written(self, demand: Demand) -> int:
        """What of an attempt's output counts in a second."""
        return min(demand.tokens - demand.read_tokens, int(self._pace.value) + 1)

    def use(self, now_s: float) -> dict[str, tuple[int, int]]:
        """By the name of each limit: what counts, and the present limit, 0 for none."""
        self._expire(now_s)
        counted = {name: window.used(now_s) for name, window in self._windows.items()}
        counted["max_in_flight"] = self.in_flight
        return {name: (used, getattr(self.limits, name)) for name, used in counted.items()}

    def is_idle(self, now_s: float) -> bool:
        """Nothing would be lost by forgetting this lane."""
        counted = self.in_flight or any(window.used(now_s) for window in self._windows.values())
        return not counted and self._passing is NO_LIMITS and self._growth.is_empty(now_s)

    def state(self, now_s: float) -> dict[str, Any]:
        """What survives a restart: the minutes, with ages. A restart takes longer than the windows of a second."""
        state: dict[str, Any] = {
            name: window.ages(now_s, grain_s=_GRAIN_S) for name, window in self._windows.items() if window.period_s > 1
        }
        if self._limits.growth_tokens:
            state["growth"] = self._growth.ages(now_s)
        return state

    def restore(self, state: dict[str, Any], *, gap_s: float, now_s: float) -> None:
        """Count what an earlier process has counted, `gap_s` ago."""
        for name, window in self._windows.items():
            window.restore([(age_s + gap_s, int(amount)) for age_s, amount in state.get(name, ())], now_s)
        self._growth.restore([(age_s + gap_s, int(amount)) for age_s, amount in state.get("growth", ())], now_s)

    def _expire(self, now_s: float) -> None:
        if now_s >= self._until_s:
            self.lower(NO_LIMITS, until_s=inf)

    def _blocks(self, demand: Demand, now_s: float) -> Iterator[Block]:
        self._expire(now_s)
        limits = self.limits
        if limits == NO_LIMITS:
            return
        if limits.max_in_flight and self.in_flight >= limits.max_in_flight:
            yield Block(limit="max_in_flight", value=limits.max_in_flight, at_s=None)
        for name, window in self._windows.items():
            limit: int = getattr(limits, name)
            if not limit:
                continue
            amount = self._amount(name, demand)
            if window.used(now_s) + self._needed(name, amount, limit) > limit:
                yield Block(limit=name, value=limit, at_s=self._fit_s(name, amount, now_s))

    def _amount(self, name: str, demand: Demand) -> int:
        """What an attempt takes of a window."""
        if name == "tokens_per_minute":
            return demand.tokens
        return demand.read_tokens + self._written(demand) if name == "tokens_per_second" else 1

    def _needed(self, name: str, amount: int, limit: int) -> int:
        """How much of a limit an amount needs: all of it, if it is larger and may go alone."""
        if amount <= limit:
            return amount
        may_go_alone = name == "tokens_per_second" or limit < getattr(self._usual, name)
        return limit if may_go_alone else amount

    def _fit_s(self, name: str, amount: int, now_s: float) -> float | None:
        """When an amount fits into a window; a limit that was lowered for a while may be back by then."""
        window, limit, usual = self._windows[name], getattr(self.limits, name), getattr(self._usual, name)
        room = limit - self._needed(name, amount, limit)
        at_s = window.fit_s(room, now_s) if room >= 0 else inf
        if self._until_s == inf or (at_s is not None and at_s <= self._until_s):
            return at_s
        if not usual:
            return self._until_s
        if amount > usual and name != "tokens_per_second":
            return inf
        later_s = window.fit_s(usual - min(amount, usual), now_s)
        return None if later_s is None else max(later_s, self._until_s)

    def _growth_block(self, amount: int, now_s: float, from_s: float) -> Block | None:
        """The growth rule, at `from_s` and after if nothing else happens."""
        at_once = self.limits.growth_tokens
        if not at_once:
            return None
        needed = min(amount, at_once)
        used = self._tokens.used(now_s)
        if used + needed <= at_once:
            return None
        departures = self._tokens.departures(now_s)
        at_s = self._growth.fit_s(at_once, needed, used=used, departures=departures, now_s=now_s, from_s=from_s)
        if at_s == now_s:
            return None
        return Block(limit="growth_tokens", value=self._growth.allowed(at_once, now_s), at_s=at_s)
