import pytest

from edgeclient.core.errors import (
    Blocked,
    CallError,
    OutOfTime,
    Reason,
    Rejected,
    Stopping,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.policy.backoff import Backoff
from edgeclient.policy.job_verdict import BLOCKED_S, Verdict, verdict

BACKOFF = Backoff(initial_s=2.0, max_s=300.0)


def judged(error: CallError, attempt_count: int = 1, *, waited_s: float = 0.0, reached: bool = True) -> Verdict:
    return verdict(
        error,
        attempt_count=attempt_count,
        max_attempts=3,
        waited_s=waited_s,
        reached=reached,
        backoff=BACKOFF,
        draw=0.5,
    )


@pytest.mark.parametrize(
    ("error", "attempt_count", "retry_in_s", "counts"),
    [
        (Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down"), 1, 1.0, True),
        (Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down"), 2, 2.0, True),
        (Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down"), 3, None, True),
        (Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow", retry_after_s=30), 1, 31.0, True),
        (Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way"), 1, 1.0, False),
        (Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way"), 99, 1.0, False),
        (Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "stop"), 3, 1.0, False),
        (Throttled(Reason.ERROR_REASON_RATE_LIMITED, "own limit", retry_after_s=30), 99, 31.0, False),
        (Throttled(Reason.ERROR_REASON_DISPATCH_FULL, "no turn", retry_after_s=9), 99, 10.0, False),
        (Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "key"), 3, BLOCKED_S, False),
        (Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"), 1, None, True),
        (Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"), 1, 1.0, True),
        (Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"), 3, None, True),
        (Uncertain(Reason.ERROR_REASON_UPLINK_OFFLINE, "cut"), 3, None, True),
        (OutOfTime(Reason.ERROR_REASON_DEADLINE, "late", possibly_billed=True), 1, 1.0, True),
        (OutOfTime(Reason.ERROR_REASON_DEADLINE, "late"), 3, 1.0, False),
    ],
    ids=lambda value: f"{type(value).__name__}-{value.reason}" if isinstance(value, CallError) else str(value),
)
def test_every_class_of_error_has_its_consequence(
    error: CallError, attempt_count: int, retry_in_s: float | None, *, counts: bool
) -> None:
    found = judged(error, attempt_count)

    assert (retry_in_s, counts) == (found.retry_in_s, found.counts)
    assert (error.reason, error.possibly_billed) == (found.error.reason, found.error.possibly_billed)


def test_request_that_never_left_may_be_sent_again() -> None:
    assert isinstance(judged(OutOfTime(Reason.ERROR_REASON_DEADLINE, "late")).error, Unavailable)


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "refuses connections"), False),
        (Unavailable(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "no answer"), False),
        (Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow"), True),
        (Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"), True),
        (Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"), True),
    ],
)
def test_attempt_that_found_no_way_to_the_provider_does_not_count(error: CallError, *, counts: bool) -> None:
    assert counts == judged(error, 3, reached=False).counts


@pytest.mark.parametrize(("waited_s", "retry_in_s"), [(0.0, 1.0), (100.0, 11.0), (3600.0, 301.0)])
def test_pauses_of_who_never_gets_as_far_as_the_provider_grow_with_its_age(waited_s: float, retry_in_s: float) -> None:
    found = judged(OutOfTime(Reason.ERROR_REASON_DEADLINE, "late"), waited_s=waited_s)

    assert retry_in_s == found.retry_in_s
