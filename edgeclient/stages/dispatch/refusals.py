"""What a call is told that is not released. Nothing was sent in any of these cases, and all say so.

`DISPATCH_FULL` is RESOURCE_EXHAUSTED with a delay: the estimated wait, by which the caller may also decide to go
elsewhere. None of these errors counts as an attempt, of a live call or of a stored job.
"""

from edgeclient.core.errors import CallError, OutOfTime, Reason, Stopping, Throttled, Unavailable

_COME_BACK_S = 1.0


def full(*, count: int, wait_s: float | None) -> CallError:
    """There is no room to wait."""
    return _busy(
        f"{count} calls wait for their turn at this node; dispatch.max_waiting and max_waiting_bytes permit no more",
        wait_s,
    )


def shed(*, wait_s: float | None) -> CallError:
    """It gave way to a higher priority."""
    return _busy("the call gave way to one of higher priority, because no more calls may wait at this node", wait_s)


def too_long(*, wait_s: float, left_s: float) -> CallError:
    """Its turn would come too late."""
    return _busy(f"the call has {left_s:.1f} s left, and its turn at this node would come later", wait_s)


def out_of_time(*, waited_s: float) -> CallError:
    """Its turn did not come in time."""
    return OutOfTime(
        Reason.ERROR_REASON_DEADLINE,
        f"the time budget of the call was used up after {waited_s:.1f} s of waiting for its turn at this node;"
        " nothing was sent",
    )


def offline() -> CallError:
    """The way to the provider was lost while it waited."""
    return Unavailable(
        Reason.ERROR_REASON_UPLINK_OFFLINE,
        "the provider cannot be reached any more, found while the call waited for its turn; nothing was sent",
    )


def paused(*, pause_s: float) -> CallError:
    """The provider has asked for a pause while it waited."""
    return Throttled(
        Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED,
        f"the provider wants no more calls of this model for {pause_s:.1f} s, found while the call waited for its turn;"
        " nothing was sent",
        retry_after_s=pause_s,
        retry_after_told=True,
    )


def stopping() -> CallError:
    """The node shuts down."""
    return Stopping(
        Reason.ERROR_REASON_SHUTTING_DOWN,
        "this node is shutting down, and it was not the turn of the call yet; nothing was sent",
        retry_after_s=_COME_BACK_S,
    )


def _busy(what: str, wait_s: float | None) -> CallError:
    told = "" if wait_s is None else f", the wait is about {wait_s:.1f} s"
    return Throttled(
        Reason.ERROR_REASON_DISPATCH_FULL,
        f"{what}; nothing was sent{told}",
        retry_after_s=_COME_BACK_S if wait_s is None else wait_s,
    )
