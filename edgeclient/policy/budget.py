"""How much money one caller may still spend today.

What an attempt will cost is reserved by its estimate and settled by its bill, so the sum of both never passes the
budget as long as estimates are not too low; a bill above its estimate is counted in full and delays what comes next.
An attempt belongs to the day on which it began.

A process that is killed forgets what was begun since its last snapshot. So a snapshot of a budget in use counts what is
reserved as spent, and adds an allowance: the most that was ever reserved between two snapshots. As long as no second is
busier than the busiest before, a crash gives a caller no money; it may cost it the allowance. One of a budget at rest
is exact, as is one at a proper end; therefore the first reservation after a rest wants a snapshot at once
(`needs_cover`), and what a crash can forget is begun within the few milliseconds until that is stored.
"""

from dataclasses import dataclass

NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """How a budget stands.

    Attributes:
        caller: Whose.
        path: Of the setting.
        limit_nanos, spent_nanos, reserved_nanos: Billionths of `currency`.
        currency: ISO 4217 code.
        day: Number of the day.
        refused: Something was refused on this day for lack of money.
    """

    caller: str
    path: str
    limit_nanos: int
    spent_nanos: int
    reserved_nanos: int
    currency: str
    day: int
    refused: bool


class Budget:
    """The budget of one caller; see the module.

    Args:
        caller: Whose.
        limit: In units of the currency.
        currency: ISO 4217 code.
        path: Of the setting.
    """

    __slots__ = (
        "_allowance_nanos",
        "_caller",
        "_covered",
        "_fresh_nanos",
        "_reserved_nanos",
        "_spent_nanos",
        "currency",
        "day",
        "limit_nanos",
        "path",
        "refused",
    )

    def __init__(self, *, caller: str, limit: float, currency: str, path: str) -> None:
        self._caller = caller
        self.currency = currency
        self.apply(limit=limit, path=path)
        self.day = -1
        self.refused = False
        self._covered = False
        self._spent_nanos = self._reserved_nanos = self._fresh_nanos = self._allowance_nanos = 0

    def __repr__(self) -> str:
        return f"<Budget {self.path}, {self._spent_nanos} + {self._reserved_nanos} of {self.limit_nanos}>"

    def apply(self, *, limit: float, path: str) -> None:
        """The budget is another one now; what was spent of it stays spent."""
        self.limit_nanos = round(limit * NANOS)
        self.path = path

    def fits(self, cost_nanos: int, currency: str, day: int) -> bool:
        """There is so much left on this day, in this currency."""
        self._turn_to(day)
        if currency != self.currency:
            return False
        return self._spent_nanos + self._reserved_nanos + cost_nanos <= self.limit_nanos

    def ever_fits(self, cost_nanos: int, currency: str) -> bool:
        """A whole day's budget would do."""
        return currency == self.currency and cost_nanos <= self.limit_nanos

    def take(self, cost_nanos: int, day: int) -> None:
        """Reserve it."""
        self._turn_to(day)
        self._reserved_nanos += cost_nanos
        self._fresh_nanos += cost_nanos

    def settle(self, cost_nanos: int, spent_nanos: int, day: int) -> None:
        """What was reserved on this day has been spent, more or less."""
        if day == self.day:
            self._reserved_nanos -= cost_nanos
            self._spent_nanos += spent_nanos

    def give_back(self, cost_nanos: int, day: int) -> None:
        """What was reserved on this day was not used."""
        if day == self.day:
            self._reserved_nanos -= cost_nanos
            self._fresh_nanos = max(0, self._fresh_nanos - cost_nanos)

    @property
    def needs_cover(self) -> bool:
        """It is in use, and its last snapshot does not allow for that."""
        return self._is_in_use and not self._covered

    @property
    def is_covered(self) -> bool:
        """Its last snapshot allowed for more than was known."""
        return self._covered

    @property
    def _is_in_use(self) -> bool:
        return bool(self._fresh_nanos or self._reserved_nanos)

    def state(self, day: int) -> BudgetState:
        """How it stands on this day."""
        self._turn_to(day)
        return BudgetState(
            caller=self._caller,
            path=self.path,
            limit_nanos=self.limit_nanos,
            spent_nanos=self._spent_nanos,
            reserved_nanos=self._reserved_nanos,
            currency=self.currency,
            day=day,
            refused=self.refused,
        )

    def snapshot(self, day: int, *, final: bool) -> dict[str, int | str]:
        """What survives a restart; a crash as well unless it is `final`. See the module."""
        self._turn_to(day)
        self._allowance_nanos = max(self._allowance_nanos, self._fresh_nanos)
        self._covered = self._is_in_use and not final
        self._fresh_nanos = 0
        spent_nanos = self._spent_nanos + self._reserved_nanos + (self._allowance_nanos if self._covered else 0)
        return {
            "day": day,
            "spent_nanos": spent_nanos,
            "allowance_nanos": self._allowance_nanos,
            "currency": self.currency,
        }

    def restore(self, snapshot: dict[str, int | str], day: int) -> None:
        """Go on with what was spent, if that was on this day and in this currency."""
        self._turn_to(day)
        if snapshot.get("day") == day and snapshot.get("currency") == self.currency:
            self._spent_nanos += int(snapshot.get("spent_nanos", 0))
        self._allowance_nanos = int(snapshot.get("allowance_nanos", 0))

    def is_untouched(self, day: int) -> bool:
        """Nothing would be lost by forgetting it."""
        return self.day != day or not (self._spent_nanos or self._reserved_nanos)

    def _turn_to(self, day: int) -> None:
        if day != self.day:
            self.day = day
            self.refused = False
            self._spent_nanos = self._reserved_nanos = self._fresh_nanos = 0
