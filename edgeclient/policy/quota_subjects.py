"""Whose use is counted: models by the rows for models, callers by the rows for callers, each found by its name.

Memory is bounded: models and callers of which nothing counts any more are forgotten when there is no room. If all are
in use, further ones share one account, which is stricter than what they are owed and never more generous.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgeclient.core.accounts import QuotaRecord
from edgeclient.policy.budget import NANOS, Budget, BudgetState
from edgeclient.policy.demand import BUDGET
from edgeclient.policy.limits import NO_LIMITS, CallerRow, LimitRow, Limits, limits_of_caller, limits_of_model
from edgeclient.policy.quota_lane import Lane
from edgeclient.policy.quota_register import Register

ANY = "*"
MOST_MODELS = 256
MOST_CALLERS = 4096
MOST_TOLD = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How much of a limit is used.

    Attributes:
        kind: `model` or `caller`.
        name: Which.
        limit: Name of the setting.
        used: What counts now.
        most: The present limit.
    """

    kind: str
    name: str
    limit: str
    used: int
    most: int


@dataclass(slots=True, kw_only=True)
class Client:
    """A caller's limits and money; None: it has no budget."""

    lane: Lane
    budget: Budget | None


class Subjects:
    """The models and callers; see the module.

    Args:
        limits, callers: The operator's rows.
        resolve: The id of the model that a name in a row stands for.
        day: Number of the day at a moment.
        accounts: Names of the accounts; a model of the first has its bare name, of another one `model@account`.

    Attributes:
        are_limited: There is a row, or the provider has told a limit.
    """

    def __init__(
        self,
        *,
        limits: Sequence[LimitRow],
        callers: Sequence[CallerRow],
        resolve: Callable[[str], str],
        day: Callable[[float], int],
        accounts: Sequence[str] = ("",),
    ) -> None:
        self._first, *others = accounts
        self._others = frozenset(others)
        self._told: dict[str, Limits] = {}
        self._day = day
        self._resolve = resolve
        self._models = Register(self._new_lane, is_idle=Lane.is_idle, most=MOST_MODELS)
        self._callers = Register(self._new_client, is_idle=self._is_idle, most=MOST_CALLERS)
        self.apply(limits=limits, callers=callers)

    def apply(self, *, limits: Sequence[LimitRow], callers: Sequence[CallerRow]) -> None:
        """From now on these are the rows. What counts already goes on counting, and what was spent stays spent."""
        found: dict[tuple[str, str], tuple[str, Limits]] = {}
        for index, row in enumerate(limits):  # of two for the same model, by whatever names, the first holds
            model = row.model if row.model == ANY else self._resolve(row.model)
            found.setdefault((row.account, model), (f"limits[{index}]", limits_of_model(row)))
        self._limits = found
        self._rows = {row.name: (f"callers[{index}]", row) for index, row in enumerate(callers)}
        self.are_limited = bool(limits or callers or self._told)
        for name, lane in self._models:
            path, now = self._of_model(name)
            lane.apply(now, path=path)
        for name, client in self._callers:
            fresh = self._new_client(name)
            client.lane.apply(fresh.lane.limits, path=fresh.lane.path)
            client.budget = _carried(client.budget, fresh.budget)

    def __repr__(self) -> str:
        return f"<Subjects, {len(self._models)} models, {len(self._callers)} callers>"

    def model(self, name: str, now_s: float, *, account: str = "") -> Lane:
        """What is counted of a model in an account."""
        return self._models.of(self._name(name, account), now_s)

    def client(self, name: str, now_s: float) -> Client:
        """What is counted of a caller."""
        return self._callers.of(name, now_s)

    def tell(self, model: str, limits: Limits, *, account: str = "") -> None:
        """The provider permits no more than this of a model in an account."""
        model = self._name(model, account)
        if model not in self._told and len(self._told) >= MOST_TOLD:
            return
        self._told[model] = limits
        self.are_limited = True
        lane = self._models.find(model)
        if lane is not None:
            lane.tell(limits)

    def standings(self, now_s: float) -> Iterator[Standing]:
        """The use of every limit: of the models in use, and of the callers that have a row of their own."""
        subjects = [("model", name, lane) for name, lane in self._models]
        subjects += [("caller", name, client.lane) for name, client in self._callers if name in self._rows]
        for kind, name, lane in subjects:
            for limit, (used, most) in lane.use(now_s).items():
                if most:
                    yield Standing(kind=kind, name=name, limit=limit, used=used, most=most)

    def budgets(self, now_s: float) -> list[BudgetState]:
        """The budgets of today, of all callers that were seen."""
        day = self._day(now_s)
        return [client.budget.state(day) for _, client in self._callers if client.budget is not None]

    def snapshot(self, *, now_s: float, wall_s: float, final: bool, everything: bool) -> list[QuotaRecord]:
        """What has changed since the last one, or everything; budgets exactly, if it is final."""
        day = self._day(now_s)
        records = []
        for name, lane in self._models:
            if lane.changed or everything:
                lane.changed = False
                records.append(QuotaRecord(kind="model", name=name, wall_s=wall_s, state=lane.state(now_s)))
        for name, client in self._callers:
            if client.lane.changed or everything:
                client.lane.changed = False
                state = client.lane.state(now_s)
                if client.budget is not None:
                    state["budget"] = client.budget.snapshot(day, final=final)
                    client.lane.changed = client.budget.is_covered  # the next one may be exact
                records.append(QuotaRecord(kind="caller", name=name, wall_s=wall_s, state=state))
        return records

    def restore(self, records: Iterable[QuotaRecord], *, now_s: float, wall_s: float) -> None:
        """Go on with what an earlier process has kept."""
        for record in records:
            gap_s = max(0.0, wall_s - record.wall_s)
            if record.kind == "model":
                self.model(record.name, now_s).restore(record.state, gap_s=gap_s, now_s=now_s)
                continue
            client = self.client(record.name, now_s)
            client.lane.restore(record.state, gap_s=gap_s, now_s=now_s)
            if client.budget is not None and "budget" in record.state:
                client.budget.restore(record.state["budget"], self._day(now_s))

    def erase(self, caller: str) -> None:
        """Forget a caller's name and what is counted under it."""
        self._callers.forget(caller)

    def _of_model(self, name: str) -> tuple[str, Limits]:
        """The row of a model: one of its account goes before those for all accounts, one of its own before "*"."""
        model, _, account = name.rpartition("@")
        if account not in self._others:
            model, account = name, self._first
        keys = ((account, model), (account, ANY), ("", model), ("", ANY))
        return next((self._limits[key] for key in keys if key in self._limits), ("provider", NO_LIMITS))

    def _name(self, model: str, account: str) -> str:
        return f"{model}@{account}" if account in self._others else model

    def _new_lane(self, name: str) -> Lane:
        path, limits = self._of_model(name)
        lane = Lane(limits, path=path)
        lane.tell(self._told.get(name, NO_LIMITS))
        return lane

    def _new_client(self, name: str) -> Client:
        path, row = self._rows.get(name) or self._rows.get(ANY) or ("", None)
        if row is None:
            return Client(lane=Lane(NO_LIMITS, path=""), budget=None)
        budget = None
        if row.budget_per_day:
            budget = Budget(
                caller=name, limit=row.budget_per_day, currency=row.budget_currency, path=f"{path}.{BUDGET}"
            )
        return Client(lane=Lane(limits_of_caller(row), path=path), budget=budget)

    def _is_idle(self, client: Client, now_s: float) -> bool:
        is_spent = client.budget is not None and not client.budget.is_untouched(self._day(now_s))
        return not is_spent and client.lane.is_idle(now_s)


def _carried(before: Budget | None, now: Budget | None) -> Budget | None:
    """The budget that holds now, with what was spent of the one before; another currency begins anew."""
    if before is None or now is None or before.currency != now.currency:
        return now
    before.apply(limit=now.limit_nanos / NANOS, path=now.path)
    return before
