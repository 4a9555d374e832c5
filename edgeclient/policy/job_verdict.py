"""What follows from a failed attempt of a job: is there another one, when, and does this one count.

The way being down is nobody's fault and costs no attempt, and neither does a refused key or an empty account: the job
waits until a person or the network has mended it, and its ttl is the bound. So an attempt counts only if the provider
was heard of, whatever it is that broke the way: DNS, a proxy, a sign-in page in the middle of TLS, a connection that
nobody takes. Everything else counts. Pauses are those of `policy.backoff` with what the provider asks for as a lower
bound.

Who did not get as far as the provider within its own time budget does not count either. Nobody knows why, so nobody
else is made to wait for it; its own pauses grow with the time that it has waited, for there is no count to grow with.
"""

from dataclasses import dataclass

from edgeclient.core.errors import Blocked, CallError, OutOfTime, Reason, Rejected, Stopping, Unavailable
from edgeclient.policy.backoff import Backoff

BLOCKED_S = 60.0
"""How long the lane rests after a refusal that concerns every request."""

_PATIENCE = 0.1
"""Part of the time waited so far that a pause takes at least, where attempts are not counted."""

_UNCOUNTED = frozenset(
    {
        Reason.ERROR_REASON_UPLINK_OFFLINE,
        Reason.ERROR_REASON_SHUTTING_DOWN,
        Reason.ERROR_REASON_RATE_LIMITED,  # by this node, as the next one
        Reason.ERROR_REASON_DISPATCH_FULL,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to tell the storage.

    Attributes:
        error: Why the attempt failed, in a class that says what may be done.
        retry_in_s: Pause before the next attempt; None: there is none.
        counts: The attempt is one of the job's budget.
    """

    error: CallError
    retry_in_s: float | None
    counts: bool


def verdict(
    error: CallError,
    *,
    attempt_count: int,
    max_attempts: int,
    waited_s: float,
    reached: bool,
    backoff: Backoff,
    draw: float,
) -> Verdict:
    """Judge a failed attempt.

    Args:
        error: Why it failed.
        attempt_count: Attempts that count so far, this one included.
        max_attempts: The budget.
        waited_s: Time since the job was accepted.
        reached: The last that was seen of the provider is an answer, be it an error.
        backoff: Pauses.
        draw: A random number from [0, 1).
    """
    least_s = error.retry_after_s or 0.0
    if isinstance(error, OutOfTime) and not error.possibly_billed:
        error = Unavailable(error.reason, error.message, retry_after_s=error.retry_after_s)
        least_s, reached = max(least_s, min(backoff.max_s, _PATIENCE * waited_s)), False
    if isinstance(error, Rejected):
        return Verdict(error=error, retry_in_s=None, counts=True)
    if isinstance(error, Blocked):
        return Verdict(error=error, retry_in_s=BLOCKED_S, counts=False)
    lost = isinstance(error, Unavailable) and not reached
    if not error.possibly_billed and (lost or error.reason in _UNCOUNTED or isinstance(error, Stopping)):
        return Verdict(error=error, retry_in_s=backoff.delay_s(1, draw=draw, least_s=least_s), counts=False)
    if attempt_count >= max_attempts:
        return Verdict(error=error, retry_in_s=None, counts=True)
    return Verdict(error=error, retry_in_s=backoff.delay_s(attempt_count, draw=draw, least_s=least_s), counts=True)
