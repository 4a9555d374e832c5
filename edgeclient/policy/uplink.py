"""What the node believes about its way to a provider, decided from facts.

    fact               UNKNOWN    ONLINE     DEGRADED   OFFLINE
    ANSWERED           ONLINE     ONLINE     ONLINE     ONLINE      a call got an answer, be it an error of the provider
    PROBE_ANSWERED     ONLINE     ONLINE     ONLINE     DEGRADED
    LOST               DEGRADED   DEGRADED   DEGRADED   OFFLINE     a call found no way, or its answer never came
    LOST_REPEATEDLY    OFFLINE    OFFLINE    OFFLINE    OFFLINE     the third loss in a row
    PROBE_LOST         OFFLINE    DEGRADED   OFFLINE    OFFLINE

Why this is slow in one direction and careful in the other: one lost call is no outage, so a node leaves ONLINE for
OFFLINE only by a second kind of evidence or by three losses. And a link that has just come back is often gone again a
second later, so out of OFFLINE one probe gives only DEGRADED (calls are let through, the probe goes on), while a real
call that got through, the very thing the node is for, gives ONLINE at once.

Calls share a connection, and when it breaks they are all lost together. Losses within a second are therefore one
incident: fifty calls that die with their connection do not make the node believe it is offline.
"""

from enum import Enum
from math import inf

from edgeclient.core.events import Uplink

PREFERENCE = (Uplink.ONLINE, Uplink.DEGRADED, Uplink.UNKNOWN, Uplink.OFFLINE)
"""The states, best first."""

LOSSES_UNTIL_OFFLINE = 3
INCIDENT_S = 1.0


class Fact(Enum):
    """What was seen of the way to the provider."""

    ANSWERED = "answered"
    PROBE_ANSWERED = "probe answered"
    LOST = "lost"
    LOST_REPEATEDLY = "lost repeatedly"
    PROBE_LOST = "probe lost"


TRANSITIONS = {
    (Uplink.UNKNOWN, Fact.ANSWERED): Uplink.ONLINE,
    (Uplink.UNKNOWN, Fact.PROBE_ANSWERED): Uplink.ONLINE,
    (Uplink.UNKNOWN, Fact.LOST): Uplink.DEGRADED,
    (Uplink.UNKNOWN, Fact.LOST_REPEATEDLY): Uplink.OFFLINE,
    (Uplink.UNKNOWN, Fact.PROBE_LOST): Uplink.OFFLINE,
    (Uplink.ONLINE, Fact.ANSWERED): Uplink.ONLINE,
    (Uplink.ONLINE, Fact.PROBE_ANSWERED): Uplink.ONLINE,
    (Uplink.ONLINE, Fact.LOST): Uplink.DEGRADED,
    (Uplink.ONLINE, Fact.LOST_REPEATEDLY): Uplink.OFFLINE,
    (Uplink.ONLINE, Fact.PROBE_LOST): Uplink.DEGRADED,
    (Uplink.DEGRADED, Fact.ANSWERED): Uplink.ONLINE,
    (Uplink.DEGRADED, Fact.PROBE_ANSWERED): Uplink.ONLINE,
    (Uplink.DEGRADED, Fact.LOST): Uplink.DEGRADED,
    (Uplink.DEGRADED, Fact.LOST_REPEATEDLY): Uplink.OFFLINE,
    (Uplink.DEGRADED, Fact.PROBE_LOST): Uplink.OFFLINE,
    (Uplink.OFFLINE, Fact.ANSWERED): Uplink.ONLINE,
    (Uplink.OFFLINE, Fact.PROBE_ANSWERED): Uplink.DEGRADED,
    (Uplink.OFFLINE, Fact.LOST): Uplink.OFFLINE,
    (Uplink.OFFLINE, Fact.LOST_REPEATEDLY): Uplink.OFFLINE,
    (Uplink.OFFLINE, Fact.PROBE_LOST): Uplink.OFFLINE,
}


class UplinkJudge:
    """Holds the belief and counts what the table cannot: losses in a row.

    Attributes:
        state: The present belief.
    """

    __slots__ = ("_incident_s", "_loss_count", "state")

    def __init__(self) -> None:
        self.state = Uplink.UNKNOWN
        self._loss_count = 0
        self._incident_s = -inf

    def __repr__(self) -> str:
        return f"<UplinkJudge {self.state.value}, {self._loss_count} losses in a row>"

    def answered(self) -> Uplink:
        """A call got an answer."""
        self._loss_count = 0
        return self._move(Fact.ANSWERED)

    def lost(self, *, now_s: float) -> Uplink:
        """A call found no way to the provider, or its answer never came."""
        if now_s - self._incident_s >= INCIDENT_S:
            self._incident_s = now_s
            self._loss_count += 1
        return self._move(Fact.LOST if self._loss_count < LOSSES_UNTIL_OFFLINE else Fact.LOST_REPEATEDLY)

    def probe_answered(self) -> Uplink:
        """A probe got an answer."""
        self._loss_count = 0
        return self._move(Fact.PROBE_ANSWERED)

    def probe_lost(self) -> Uplink:
        """A probe got none."""
        return self._move(Fact.PROBE_LOST)

    def _move(self, fact: Fact) -> Uplink:
        try:
            self.state = TRANSITIONS[self.state, fact]
        except KeyError:
            raise LookupError(f"no transition for {fact} in state {self.state}") from None
        return self.state
