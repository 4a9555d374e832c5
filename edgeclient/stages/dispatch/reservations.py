"""What an attempt may use: reserved before it is released, settled by what it did use.

An attempt that was certainly not processed (never sent, or refused for too much traffic) gives all of it back; one that
the provider answered with an error used a request and no tokens; of one whose outcome is not known, or that was cut off
while it was under way, the estimate stays spent.
"""

from collections.abc import Callable

from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, Throttled
from edgeclient.policy.quota import Demand, Quota, Reservation, Shortage, Spent

_NOTHING = Spent(tokens=0, cost_nanos=0)


class Reservations:
    """Reserves for calls and settles; see the module.

    Args:
        quota: The limits; None: there are none.
        demand: What an attempt of a call will use at most.
        spent: What an answered call did use.
        is_needed: Something is limited at present, or may soon be.
    """

    __slots__ = ("_demand", "_is_needed", "_quota", "_spent")

    def __init__(
        self,
        quota: Quota | None,
        *,
        demand: Callable[[Call], Demand],
        spent: Callable[[Call, Reply], Spent],
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._quota = quota
        self._is_needed = is_needed
        self._demand = demand
        self._spent = spent

    def take(self, call: Call, now_s: float) -> Reservation | Shortage | None:
        """Reserve what an attempt may use; None: nothing is limited."""
        if self._quota is None or not self._is_needed():
            return None
        return self._quota.reserve(self._demand(call), now_s=now_s)

    def wait_s(self, call: Call, now_s: float) -> float:
        """How long the limits of the account would keep an attempt waiting; 0.0: not at all; inf: for ever."""
        if self._quota is None or not self._is_needed():
            return 0.0
        return self._quota.wait_s(self._demand(call), now_s=now_s)

    def untouched(self, reservation: Reservation | None, now_s: float) -> None:
        """Nothing was sent after all."""
        if self._quota is not None and reservation is not None:
            self._quota.refund(reservation, now_s=now_s)

    def answered(self, reservation: Reservation | None, call: Call, reply: Reply, now_s: float) -> None:
        """The attempt was answered."""
        if self._quota is not None and reservation is not None:
            self._quota.settle(reservation, self._spent(call, reply), now_s=now_s)

    def failed(self, reservation: Reservation | None, error: BaseException, *, sent: bool, now_s: float) -> None:
        """The attempt failed or was cancelled."""
        if self._quota is None or reservation is None:
            return
        if not sent or isinstance(error, Throttled):
            self._quota.refund(reservation, now_s=now_s)
        else:
            is_free = isinstance(error, CallError) and not error.possibly_billed
            self._quota.settle(reservation, _NOTHING if is_free else None, now_s=now_s)
