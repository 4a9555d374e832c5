"""The state of the way to a provider, told as it changes. What leads to which state is in `policy/uplink.py`.

Also the place to wait for a change, so that whoever acts on one (the probe) sleeps until there is something to do.
"""

import asyncio

from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.uplink import UplinkJudge

_PROBE = "probe"
_CALL = "call"


class UplinkWatch:
    """Holds the state; see the module.

    Args:
        target: Name of the target in events.
        observe: Takes `UplinkChanged`.
        clock: Tells when.

    Attributes:
        since_wall_s: When the present state began, in seconds since the Unix epoch.
        problem: What was wrong when the way was last lost; "" while it is known to work.
    """

    def __init__(self, target: str, *, observe: Observe, clock: Clock) -> None:
        self.since_wall_s = clock.wall_s()
        self.problem = ""
        self._target = target
        self._observe = observe
        self._clock = clock
        self._judge = UplinkJudge()
        self._not_online = asyncio.Event()
        self._not_online.set()

    def __repr__(self) -> str:
        return f"<UplinkWatch {self._target}: {self._judge!r}>"

    @property
    def state(self) -> Uplink:
        """The present state."""
        return self._judge.state

    def answered(self) -> None:
        """A call got an answer."""
        if self._judge.state is not Uplink.ONLINE:
            self._told(self._judge.state, self._judge.answered(), _CALL)
        else:
            self._judge.answered()

    def lost(self, reason: str, problem: str = "") -> None:
        """A call found no way, or its answer never came; the name of the error reason, and what was wrong."""
        self._told(self._judge.state, self._judge.lost(now_s=self._clock.monotonic_s()), reason, problem)

    def probe_answered(self) -> None:
        """A probe got an answer."""
        self._told(self._judge.state, self._judge.probe_answered(), _PROBE)

    def probe_lost(self, reason: str, problem: str = "") -> None:
        """A probe got none; the name of the error reason, and what was wrong."""
        self._told(self._judge.state, self._judge.probe_lost(), f"{_PROBE}: {reason}", problem)

    async def wait_not_online(self) -> None:
        """Return when the way is not known to work; at once if so."""
        await self._not_online.wait()

    def _told(self, before: Uplink, after: Uplink, cause: str, problem: str = "") -> None:
        self.problem = "" if after is Uplink.ONLINE else problem or self.problem
        if after is before:
            return
        self.since_wall_s = self._clock.wall_s()
        if after is Uplink.ONLINE:
            self._not_online.clear()
        else:
            self._not_online.set()
        self._observe(UplinkChanged(target=self._target, before=before, after=after, cause=cause, problem=problem))
