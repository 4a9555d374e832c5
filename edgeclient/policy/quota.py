"""Whether one more attempt may begin: limits and budgets, kept exactly.

Synchronous from the question to the answer, so no two attempts are ever granted the same room. A reservation holds
what the attempt may use at most in everything that applies to it, all or nothing: the limits of its model, where "*" in
the table stands for each model by itself; those of its caller, likewise; and the caller's budget. Settling puts the
truth in place of the estimate, refunding forgets what was certainly not processed. How the windows count is told in
`quota_lane.py`, how money does in `budget.py`, how days do in `utc_day.py`.

A model is limited in each account at the provider by itself; a caller, and its money, over all of them. A `Quota` knows
what this node sends and nothing of other users of an account; what the provider says about that is told with `lower`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf

from edgeclient.core.accounts import QuotaRecord
from edgeclient.policy.budget import NANOS, Budget, BudgetState
from edgeclient.policy.demand import Demand, Shortage, Spent
from edgeclient.policy.limits import CallerRow, LimitRow, limits_told
from edgeclient.policy.quota_lane import Lane
from edgeclient.policy.quota_place import Place
from edgeclient.policy.quota_subjects import Client, Standing, Subjects
from edgeclient.policy.utc_day import UtcDay

__all__ = ["Demand", "Quota", "Reservation", "Shortage", "Spent", "Standing"]


class Reservation:
    """What one attempt holds; opaque. It is settled or refunded once; whatever comes after that changes nothing."""

    __slots__ = ("budget", "day", "demand", "is_open", "places")

    def __init__(
        self, demand: Demand, places: Sequence[tuple[Lane, Place]], budget: Budget | None, *, day: int
    ) -> None:
        self.demand = demand
        self.places = places
        self.budget = budget
        self.day = day
        self.is_open = True


class Quota:
    """The limits of the accounts, of the callers, and their budgets; see the module.

    Args:
        limits: The operator's rows for models.
        callers: The operator's rows for callers.
        now_s: The present moment on the monotonic clock.
        wall_s: The same moment since the Unix epoch.
        resolve: The id of the model that a name in a row stands for.
        unknown: Told the demand of each attempt whose outcome is not known.
        accounts: Names of the accounts.

    Attributes:
        refusals: Demands that were not to wait, by path of the setting.
        on_urgent: Called when a snapshot is to be kept at once, and not only within a second.
    """

    def __init__(
        self,
        *,
        limits: Sequence[LimitRow] = (),
        callers: Sequence[CallerRow] = (),
        now_s: float,
        wall_s: float,
        resolve: Callable[[str], str] = str,
        unknown: Callable[[Demand], None] = lambda _demand: None,
        accounts: Sequence[str] = ("",),
    ) -> None:
        self.on_urgent: Callable[[], None] = lambda: None
        self.refusals: Counter[str] = Counter()
        self._day = UtcDay(now_s=now_s, wall_s=wall_s)
        self._subjects = Subjects(limits=limits, callers=callers, resolve=resolve, day=self._day.at, accounts=accounts)
        self._waiting: dict[Lane, float] = {}
        self._unknown = unknown

    def __repr__(self) -> str:
        return f"<Quota, {self._subjects!r}, {self._day!r}>"

    @property
    def is_limiting(self) -> bool:
        """There is a row, or the provider has told a limit; else nothing has to be reserved."""
        return self._subjects.are_limited

    def apply(self, *, limits: Sequence[LimitRow], callers: Sequence[CallerRow], now_s: float) -> None:
        """From now on these are the operator's rows; who waits for the account is to ask again."""
        self._subjects.apply(limits=limits, callers=callers)
        self._waiting = dict.fromkeys(self._waiting, now_s)

    def reserve(self, demand: Demand, *, now_s: float) -> Reservation | Shortage:
        """Take what an attempt may use at most, or say what is missing; then nothing was taken."""
        day = self._day.at(now_s)
        subjects = self._subjects
        model = subjects.model(demand.model, now_s, account=demand.account)
        client = subjects.client(demand.caller, now_s)
        lanes = () if demand.batch else (model, client.lane)
        budget = client.budget
        if not (
            all(lane.fits(demand, now_s) for lane in lanes)
            and (budget is None or budget.fits(demand.cost_nanos, demand.currency, day))
        ):
            return self._shortage(demand, model, client, now_s)
        self._waiting.pop(model, None)
        if budget is not None:
            budget.take(demand.cost_nanos, day)
            client.lane.changed = True
            if budget.needs_cover:
                self.on_urgent()
        return Reservation(demand, [(lane, lane.take(demand, now_s)) for lane in lanes], budget, day=day)

    def wait_s(self, demand: Demand, *, now_s: float) -> float:
        """How long the limits of the account would keep a demand waiting; 0.0: not at all; inf: for ever.

        Nothing is taken, and the caller's own limits, which hold in whatever account, are not looked at.
        """
        lane = self._subjects.model(demand.model, now_s, account=demand.account)
        if lane.fits(demand, now_s):
            return 0.0
        return max(each.wait_s for each in _missing(lane, demand, now_s, from_s=now_s, of_caller=False))

    def settle(self, reservation: Reservation, spent: Spent | None, *, now_s: float) -> None:
        """An attempt has ended.

        Args:
            reservation: Its own.
            spent: What it used; None: nobody knows, for instance because it was cut off, or the provider did not tell.
                The estimate stays spent then.
            now_s: The present moment.
        """
        if not self._close(reservation, now_s):
            return
        demand = reservation.demand
        known = spent or Spent(tokens=demand.tokens, cost_nanos=0, output_tokens=demand.late_tokens)
        for lane, place in reservation.places:
            lane.settle(place, known, now_s)
        if reservation.budget is not None:
            is_told = not known.tokens or (spent is not None and spent.currency == demand.currency)
            cost_nanos = known.cost_nanos if is_told else demand.cost_nanos
            reservation.budget.settle(demand.cost_nanos, cost_nanos, reservation.day)
        if spent is None:
            self._unknown(demand)

    def refund(self, reservation: Reservation, *, now_s: float) -> None:
        """An attempt was certainly not processed: refused by the provider, or never sent."""
        if not self._close(reservation, now_s):
            return
        for lane, place in reservation.places:
            lane.refund(place)
        if reservation.budget is not None:
            reservation.budget.give_back(reservation.demand.cost_nanos, reservation.day)

    def lower(
        self,
        model: str,
        *,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        now_s: float,
        for_s: float = inf,
        account: str = "",
    ) -> None:
        """The provider permits no more than this; a sixtieth of it per second. 0: it told nothing.

        Args:
            model: Id of the model.
            requests_per_minute: Requests that it permits. A higher configured limit yields to it; a lower one stays.
            tokens_per_minute: Tokens, likewise.
            now_s: The present moment.
            for_s: How long that is believed; inf: until something else is told. One for a time does not touch the
                other.
            account: Whose limit of it; "": the first account's.
        """
        limits = limits_told(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
        if for_s < inf:
            self._subjects.model(model, now_s, account=account).lower(limits, until_s=now_s + for_s)
        else:
            self._subjects.tell(model, limits, account=account)

    def next_s(self, now_s: float) -> float:
        """The earliest moment at which a demand that waits for the account may fit; inf: none waits.

        It may have passed: then something has changed since, and it is worth asking again now.
        """
        del now_s
        return min(self._waiting.values(), default=inf)

    def set_clock(self, *, now_s: float, wall_s: float) -> None:
        """Tell what time of day it is; to be repeated every second or so, because clocks are put right."""
        self._day.set_clock(now_s=now_s, wall_s=wall_s)

    def day(self, now_s: float) -> int:
        """The day that budgets are kept for, in days since the Unix epoch."""
        return self._day.at(now_s)

    def day_ends_s(self, now_s: float) -> float:
        """When the next one begins, on the monotonic clock."""
        return self._day.ends_s(now_s)

    def standings(self, now_s: float) -> Iterator[Standing]:
        """The use of every limit there is: of the models in use, and of the callers that have a row of their own."""
        return self._subjects.standings(now_s)

    def budgets(self, now_s: float) -> list[BudgetState]:
        """The budgets of today, of all callers that were seen."""
        return self._subjects.budgets(now_s)

    def snapshot(
        self, *, now_s: float, wall_s: float, final: bool = False, everything: bool = False
    ) -> list[QuotaRecord]:
        """What has changed since the last one, to be kept over a restart.

        Args:
            now_s: The present moment on the monotonic clock.
            wall_s: The same moment since the Unix epoch.
            final: Nothing follows, so it is everything, and exact; see `budget.py`.
            everything: What has not changed, too.
        """
        return self._subjects.snapshot(now_s=now_s, wall_s=wall_s, final=final, everything=everything or final)

    def restore(self, records: Iterable[QuotaRecord], *, now_s: float, wall_s: float) -> None:
        """Go on with what an earlier process has kept; before the first reservation.

        Time that has passed since then frees the windows. A clock that has been put back meanwhile frees nothing,
        which lasts as long as a window; one that has jumped ahead frees them, once.
        """
        records = list(records)
        days = [int(record.state["budget"].get("day", 0)) for record in records if "budget" in record.state]
        self._day.go_on_with(max(days, default=0), now_s=now_s)
        self._subjects.restore(records, now_s=now_s, wall_s=wall_s)

    def erase(self, caller: str) -> None:
        """Forget a caller's name and what is counted under it. Its budget begins anew."""
        self._subjects.erase(caller)

    def _close(self, reservation: Reservation, now_s: float) -> bool:
        """End a reservation once; who waits for what it held is to ask again."""
        if not reservation.is_open:
            return False
        reservation.is_open = False
        for lane, _ in reservation.places:
            if lane in self._waiting:
                self._waiting[lane] = now_s
        return True

    def _shortage(self, demand: Demand, model: Lane, client: Client, now_s: float) -> Shortage:
        """Why a demand does not fit. What the caller lacks is told before what the account lacks."""
        own = self._money_missing(demand, client.budget, now_s)
        account: list[Shortage] = []
        if not demand.batch:
            own += _missing(client.lane, demand, now_s, from_s=now_s, of_caller=True)
            from_s = now_s + max([0.0, *(each.wait_s for each in own if not each.is_final)])
            account = _missing(model, demand, now_s, from_s=from_s, of_caller=False)
        final = [each for each in (*own, *account) if each.is_final]
        told = max(final or own or account, key=lambda each: each.wait_s)
        found = replace(
            told,
            wait_s=max(each.wait_s for each in (*own, *account)),
            until_end=any(each.until_end for each in (*own, *account)),
        )
        if found.of_caller or found.is_final:
            self.refusals[found.limit] += 1
        else:
            self._waiting[model] = now_s + found.wait_s
        return found

    def _money_missing(self, demand: Demand, budget: Budget | None, now_s: float) -> list[Shortage]:
        if budget is None or budget.fits(demand.cost_nanos, demand.currency, self._day.at(now_s)):
            return []
        budget.refused = True
        ever = budget.ever_fits(demand.cost_nanos, demand.currency)
        return [
            Shortage(
                limit=budget.path,
                value=budget.limit_nanos / NANOS,
                wait_s=self._day.ends_s(now_s) - now_s if ever else inf,
                of_caller=True,
                currency=budget.currency,
            )
        ]


def _missing(lane: Lane, demand: Demand, now_s: float, *, from_s: float, of_caller: bool) -> list[Shortage]:
    """A shortage for each limit of a lane that one more attempt would break."""
    return [
        Shortage(
            limit=lane.path_of(block.limit),
            value=block.value,
            wait_s=lane.guess_s if block.at_s is None else block.at_s - now_s,
            of_caller=of_caller,
            until_end=block.at_s is None,
        )
        for block in lane.blocks(demand, now_s, from_s=from_s)
    ]
