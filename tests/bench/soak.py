"""Does memory grow? Many calls, every tenth given up by its caller, and a look at the memory in between."""

from collections.abc import Callable

from bench.process import Process
from bench.results import Soak

_LOOKS = 40
_IN_FLIGHT = 50
_CANCEL_EVERY = 10


def soak(subject: Process, callers: Process, address: str, *, calls: int, tell: Callable[[str], None]) -> Soak:
    """Make so many calls at a daemon that has had none."""
    cancelled = failures = 0
    failure = ""
    portion = max(1, calls // _LOOKS)
    rss_mb = [(0, subject.rss_mb)]
    for number in range(1, calls // portion + 1):
        seen = callers.order("cancelling", address=address, in_flight=_IN_FLIGHT, calls=portion, every=_CANCEL_EVERY)
        rss_mb.append((number * portion, subject.rss_mb))
        cancelled += seen["left"]
        failures += seen["failures"]
        failure = failure or seen["failure"]
        tell(f"soak: {number * portion} of {calls} calls, {rss_mb[-1][1]:.1f} MB")
    return Soak(calls=rss_mb[-1][0], cancelled=cancelled, failures=failures, failure=failure, rss_mb=rss_mb)
