"""How long a call would wait for its turn in a line, judged without taking anything.

Three things keep it waiting: its model is held, by a limit that others were short of or by the provider's wish; the
limits of the account have no room for it; or there is no place. It waits for the longest of them, and for those before
it: each of them takes as much room, so that of two lines the shorter one is told to be. An estimate: what is not known
is who will come and leave meanwhile.
"""

from edgeclient.core.call import Call
from edgeclient.policy.lane_holds import LaneHolds
from edgeclient.policy.ranks import rank_of
from edgeclient.stages.dispatch.line import Line
from edgeclient.stages.dispatch.places import Places
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.stages.dispatch.waiter import lane_of

_ATTEMPT_S = 1.0  # how long one is taken to last before a place was seen to become free
_LEAST_S = 0.001
_BELONGS_S = -1.0


class Outlook:
    """See the module. Reads no clock.

    Args:
        line: Who waits.
        holds: Which models are held.
        places: How many attempts may be under way.
        reservations: What they may use.
    """

    def __init__(self, line: Line, holds: LaneHolds, *, places: Places, reservations: Reservations) -> None:
        self._line = line
        self._holds = holds
        self._places = places
        self._reservations = reservations

    def in_line_s(self, rank: int, caller: str, lane: str, now_s: float) -> float | None:
        """How long whoever comes into the line now will have to wait; None: nobody knows."""
        wait_s = self._line.wait_s(rank, caller, now_s)
        held_s = self._holds.until_s(rank, lane) - now_s
        return wait_s if held_s <= 0 else max(held_s, wait_s or 0.0)

    def wait_s(self, call: Call, now_s: float) -> float:
        """How long a call would wait if it came now; 0.0: not at all; below: its conversation is here."""
        if self._line.has_conversation(call):
            return _BELONGS_S
        rank, lane = rank_of(call), lane_of(call)
        short_s, has_place = self._reservations.wait_s(call, now_s), self._has_place(call, now_s)
        if short_s <= 0 and has_place and self._holds.until_s(rank, lane) <= now_s:
            return 0.0
        turns = self._line.ahead(rank, call.caller) + 1
        in_line_s = self.in_line_s(rank, call.caller, lane, now_s)
        if in_line_s is None and not has_place:
            in_line_s = _ATTEMPT_S * turns / self._places.limit.width
        return max(short_s * turns, in_line_s or 0.0, _LEAST_S)

    def _has_place(self, call: Call, now_s: float) -> bool:
        """There is one that nobody else waits for; a live call goes before any job."""
        jobs = call.background
        has_room = self._places.has_room_for_job(now_s) if jobs else self._places.has_room()
        return has_room and not self._line.standing_count(jobs=jobs)
