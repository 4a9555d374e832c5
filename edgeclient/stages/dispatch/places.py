"""The places at the provider: who has one, and what the outcome of each attempt says about how many there should be.

This is the only limit on requests in progress; below it nothing waits. Live calls may take all places, stored jobs
those that live calls leave them (`policy/background_share.py`).
"""

from collections.abc import Callable

from edgeclient.core.dispatch_events import WidthNarrowed, WidthRestored
from edgeclient.core.errors import CallError, Reason
from edgeclient.core.ports import Observe
from edgeclient.policy.background_share import BackgroundShare
from edgeclient.policy.concurrency_limit import ConcurrencyLimit

_TOO_MUCH = Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED
_TROUBLE = frozenset(
    {_TOO_MUCH, Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, Reason.ERROR_REASON_UPSTREAM_TIMEOUT},
)


class Places:
    """Counts who is under way; see the module.

    Args:
        target: Name of the target, for events.
        most: Most requests in progress.
        peer_limit: How many the peer takes at once, as it said last; None: it has not said.
        background_share: Largest part of them that jobs may take.
        observe: Takes `WidthNarrowed` and `WidthRestored`.

    Attributes:
        taken: Requests in progress.
        taken_by_jobs: Those of them that are jobs.
        limit: The width.
    """

    __slots__ = (
        "_most",
        "_narrow_since_s",
        "_observe",
        "_peer_limit",
        "_share",
        "_target",
        "limit",
        "taken",
        "taken_by_jobs",
    )

    def __init__(
        self,
        *,
        target: str,
        most: int,
        background_share: float,
        observe: Observe,
        peer_limit: Callable[[], int | None],
    ) -> None:
        self._most = most
        self._peer_limit = peer_limit
        self.limit = ConcurrencyLimit(most=most)
        self.taken = 0
        self.taken_by_jobs = 0
        self._share = BackgroundShare(most=background_share)
        self._target = target
        self._observe = observe
        self._narrow_since_s: float | None = None

    def __repr__(self) -> str:
        return f"<Places {self.taken} of {self.limit.width} taken, {self.taken_by_jobs} by jobs>"

    def has_room(self) -> bool:
        """Whether a live call would find a place."""
        self._heed_peer()
        return self.taken < self.limit.width

    def for_jobs(self, now_s: float) -> int:
        """How many places jobs may take, those that they have included."""
        self._heed_peer()
        return self._share.places(self.limit.width, now_s)

    def has_room_for_job(self, now_s: float) -> bool:
        """Whether a job would find a place."""
        return self.has_room() and self.taken_by_jobs < self.for_jobs(now_s)

    def live_here(self, waiting_count: int, now_s: float) -> None:
        """So many live calls are here beside those that have a place."""
        self._share.needed(self.taken - self.taken_by_jobs + waiting_count, now_s)

    def take(self, *, background: bool) -> int:
        """Take a place; returns the number to give back with it."""
        self.taken += 1
        self.taken_by_jobs += background
        return self.limit.begin(self.taken)

    def give_back(self, *, background: bool) -> None:
        """Free a place."""
        self.taken -= 1
        self.taken_by_jobs -= background

    def answered(self, number: int, now_s: float) -> None:
        """An attempt was answered."""
        limit = self.limit
        limit.succeeded(number, now_s=now_s)
        if self._narrow_since_s is not None and limit.width >= limit.most:
            duration_s = now_s - self._narrow_since_s
            self._narrow_since_s = None
            self._observe(WidthRestored(target=self._target, width=limit.width, duration_s=duration_s))

    def failed(self, number: int, error: CallError, now_s: float) -> None:
        """An attempt failed; only what may come from too many at a time says anything."""
        if error.reason in _TROUBLE:
            before = self.limit.width
            if self.limit.failed(number, refused=error.reason == _TOO_MUCH, now_s=now_s):
                self._narrowed(before, error.reason_name, now_s)

    def resume(self, now_s: float) -> None:
        """An outage is over."""
        before = self.limit.width
        self.limit.resume()
        self._narrowed(before, "UPLINK_OFFLINE", now_s)

    def _heed_peer(self) -> None:
        """Above the peer's limit of streams a request would wait inside the engine, out of sight of every queue."""
        told = self._peer_limit()
        most = self._most if told is None else max(1, min(self._most, told))
        if most != self.limit.most:
            self.limit.bound(most)

    def _narrowed(self, before: int, reason: str, now_s: float) -> None:
        if self.limit.width < before:
            if self._narrow_since_s is None:
                self._narrow_since_s = now_s
            self._observe(WidthNarrowed(target=self._target, before=before, after=self.limit.width, reason=reason))
