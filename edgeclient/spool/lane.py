"""Whether jobs may begin now, and how many: everything that concerns all of them and none in particular.

Closed while the uplink is offline, while the node stops, for a minute after a refusal that every request would get (a
wrong key, an empty account), for some seconds after the storage has failed, and after each setback for a pause that
doubles with every setback in a row: one failing provider must not use up the attempts of a thousand jobs. Open as wide
as the ramp says, and as live calls leave room for. After a refusal of that kind one job at a time is the probe, until
one gets an answer; a new key or a new state of the uplink makes the lane try at once. Refusals and failures of the
storage are told once, when they begin, and once when they are over.
"""

from collections.abc import Callable
from math import inf
from random import Random
from sys import maxsize

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import CallError, Throttled, Unavailable
from edgeclient.core.events import Uplink
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.backoff import Backoff
from edgeclient.policy.job_verdict import BLOCKED_S
from edgeclient.policy.ramp import Ramp
from edgeclient.spool.pause import Pause

STORAGE_PAUSE_S = 5.0
_LONGEST_SETBACK_S = 60.0


class Lane:
    """Holds the limit; see the module.

    Args:
        config: The largest width and the spread after an outage.
        uplink: Best state of all targets.
        places: How many jobs live calls leave room for.
        observe: Takes `SpoolPaused` and `SpoolResumed`.
        clock: Measures pauses.
        rng: Draws the start after an outage.
    """

    def __init__(
        self,
        config: SpoolConfig,
        *,
        uplink: Callable[[], Uplink],
        places: Callable[[], int] = lambda: maxsize,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._places = places
        self._uplink = uplink
        self._clock = clock
        self._rng = rng
        self._ramp = Ramp(most=config.max_in_flight, spread_s=config.resume_spread_s)
        self._backoff = Backoff(initial_s=config.retry_initial_s, max_s=min(config.retry_max_s, _LONGEST_SETBACK_S))
        self._setback_count = 0
        self._offline = uplink() is Uplink.OFFLINE
        self._blocked = Pause(observe)
        self._storage = Pause(observe)
        self._rested_s = -inf
        self._closed = False

    def limit(self, now_s: float) -> int:
        """How many jobs may be under way at this moment."""
        if self._closed or self._offline or now_s < self._paused_until_s:
            return 0
        limit = min(self._ramp.limit(now_s), self._places())
        return min(limit, 1) if self._blocked or self._storage else limit

    def opens_s(self, now_s: float) -> float:
        """When the limit grows by itself, in time; `inf`: not before something happens."""
        if self._closed or self._offline:
            return inf
        at_s = max(self._paused_until_s, self._ramp.start_s)
        return at_s if at_s > now_s else inf

    @property
    def _paused_until_s(self) -> float:
        return max(self._blocked.until_s, self._storage.until_s, self._rested_s)

    def close(self) -> None:
        """Begin nothing any more."""
        self._closed = True

    def resume(self) -> None:
        """Jobs of before an outage or a restart are waiting: begin slowly, and not in step with other nodes."""
        self._setback_count = 0
        self._ramp.resume(self._clock.monotonic_s(), draw=self._rng.random())

    def begin(self) -> int:
        """An attempt begins; returns the mark that its outcome is told with."""
        return self._ramp.begin()

    def answered(self, mark: int) -> None:
        """The provider did what it was asked."""
        self._ramp.succeeded(mark)
        self.refused()

    def refused(self) -> None:
        """The provider refused one request, for reasons of that request: the way and the key are good."""
        self._setback_count = 0
        self._blocked.over(now_s=self._clock.monotonic_s())

    def setback(self, mark: int, error: CallError) -> None:
        """The way failed, or the provider asked for less."""
        asked_s = error.retry_after_s if isinstance(error, Throttled | Unavailable) else None
        least_s = min(asked_s or 0.0, _LONGEST_SETBACK_S)
        pause_s = self._backoff.delay_s(self._setback_count + 1, draw=self._rng.random(), least_s=least_s)
        if self._ramp.setback(mark, until_s=self._clock.monotonic_s() + pause_s):
            self._setback_count += 1

    def rest(self, pause_s: float) -> None:
        """There is no room for jobs at present: live calls have taken it."""
        self._rested_s = self._clock.monotonic_s() + pause_s

    @property
    def is_online(self) -> bool:
        """The last that was seen of the provider is an answer."""
        return self._uplink() is Uplink.ONLINE

    @property
    def is_blocked(self) -> bool:
        """The provider refused this node, and has not done what it was asked since."""
        return bool(self._blocked)

    def blocked(self, error: CallError) -> None:
        """The provider refused this node, not this request."""
        self._blocked.begin(error, now_s=self._clock.monotonic_s(), pause_s=BLOCKED_S)

    def storage_failed(self, error: CallError) -> None:
        """The storage cannot be used."""
        self._storage.begin(error, now_s=self._clock.monotonic_s(), pause_s=STORAGE_PAUSE_S)

    def storage_worked(self) -> None:
        """The storage can be used."""
        self._storage.over(now_s=self._clock.monotonic_s())

    def retry_blocked(self) -> None:
        """Something has changed that may have mended it: try again now."""
        self._blocked.until_s = -inf

    def uplink_changed(self) -> None:
        """The uplink has a new state."""
        was_offline, self._offline = self._offline, self._uplink() is Uplink.OFFLINE
        if self._offline == was_offline:
            return
        self.retry_blocked()
        if was_offline:
            self.resume()
