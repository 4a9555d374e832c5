"""The money of callers whose jobs go out at half price: held when a batch is made, settled line by line.

The limits for live traffic do not apply to batches, a caller's budget does. What a line may cost is held against the
day on which its batch was made, and becomes what it did cost when its answer is there, days later perhaps. A restart
forgets what is held, which costs a caller nothing and gives it nothing: what was held then counts as spent
(`policy/budget.py`).
"""

from collections.abc import Callable, Collection, Iterable

from edgeclient.core.call import Call
from edgeclient.core.ports import Clock
from edgeclient.policy.demand import Demand, Shortage, Spent
from edgeclient.policy.quota import Quota, Reservation
from edgeclient.spool.half_price.bookings import Settled

_NOTHING = Spent(tokens=0, cost_nanos=0)


class Purse:
    """See the module.

    Args:
        quota: The budgets.
        demand: What a line will cost at most.
        clock: Tells the day.
    """

    def __init__(self, quota: Quota, *, demand: Callable[[Call], Demand], clock: Clock) -> None:
        self.demand = demand
        self._quota = quota
        self._clock = clock
        self._held: dict[str, dict[str, Reservation]] = {}

    def hold(self, batch: str, job_id: str, demand: Demand) -> float:
        """Hold what a line may cost.

        Returns:
            0.0: it is held. Else nothing is, and there may be money in so many seconds; inf: never.
        """
        held = self._quota.reserve(demand, now_s=self._clock.monotonic_s())
        if isinstance(held, Shortage):
            return held.wait_s
        self._held.setdefault(batch, {})[job_id] = held
        return 0.0

    def settle(self, batch: str, lines: Iterable[Settled]) -> None:
        """Lines have been accounted for: an answer has its price, a failed line had none, of others nobody knows."""
        held, now_s = self._held.get(batch, {}), self._clock.monotonic_s()
        for line in lines:
            if line.outcome == "missing":  # its batch may come to light
                continue
            reservation = held.pop(line.job_id, None)
            if reservation is None:
                continue
            if line.answered is not None and line.answered.currency_code:
                answered = line.answered
                spent = Spent(
                    tokens=answered.prompt_tokens + answered.completion_tokens,
                    cost_nanos=answered.cost_nanos,
                    currency=answered.currency_code,
                )
                self._quota.settle(reservation, spent, now_s=now_s)
            else:
                is_free = line.outcome in ("failed", "returned")
                self._quota.settle(reservation, _NOTHING if is_free else None, now_s=now_s)

    def give_back(self, batch: str, job_ids: Collection[str] | None = None) -> None:
        """These jobs of a batch were certainly not run; None: all of which nothing was told."""
        held = self._held.get(batch, {})
        for job_id in tuple(held) if job_ids is None else job_ids:
            if (reservation := held.pop(job_id, None)) is not None:
                self._quota.refund(reservation, now_s=self._clock.monotonic_s())
        if not held:
            self._held.pop(batch, None)

    def forget(self, batch: str) -> None:
        """Nothing more will be heard of a batch."""
        for reservation in self._held.pop(batch, {}).values():
            self._quota.settle(reservation, None, now_s=self._clock.monotonic_s())
