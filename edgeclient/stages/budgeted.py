"""The money of a caller on a road that the limits for live traffic do not apply to: the half-price endpoint."""

from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.ports import Clock
from edgeclient.policy.demand import refusal
from edgeclient.policy.quota import Shortage
from edgeclient.stages.dispatch.reservations import Reservations


class Budgeted:
    """A stage: reserves what an attempt may cost, and settles it by its bill.

    Args:
        reservations: Reserves and settles.
        clock: Tells the day.
    """

    def __init__(self, reservations: Reservations, *, clock: Clock) -> None:
        self._reservations = reservations
        self._clock = clock

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call, or raise what its caller's budget says."""
        reserved = self._reservations.take(call, self._clock.monotonic_s())
        if isinstance(reserved, Shortage):
            raise refusal(reserved)
        before_s = call.upstream_s
        try:
            reply = await forward(call)
        except BaseException as error:
            sent = call.upstream_s > before_s
            self._reservations.failed(reserved, error, sent=sent, now_s=self._clock.monotonic_s())
            raise
        self._reservations.answered(reserved, call, reply, self._clock.monotonic_s())
        return reply
