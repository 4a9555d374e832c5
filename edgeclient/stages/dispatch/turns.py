"""Gives out turns: at once where nobody waits and nothing is short, else in the order of the line.

`release` is the only place where calls leave the line for their attempt. It runs at most once per turn of the event
loop, whatever woke it (a place, a newcomer, time), so calls that may begin then begin together, as one group. Nothing
here awaits: between a look at the places and their use nothing can change.
"""

import asyncio
from collections.abc import Iterator
from math import inf

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.core.call import Call
from edgeclient.core.dispatch_events import CallReleased, CallTurnedAway, GroupReleased
from edgeclient.core.errors import CallError
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.accumulator import Accumulator
from edgeclient.policy.demand import refusal
from edgeclient.policy.lane_holds import LaneHolds
from edgeclient.policy.quota import Reservation, Shortage
from edgeclient.policy.ranks import BACKGROUND, HIGH, NAMES, rank_of
from edgeclient.stages.dispatch import refusals
from edgeclient.stages.dispatch.line import CallLater, Line
from edgeclient.stages.dispatch.outlook import Outlook
from edgeclient.stages.dispatch.places import Places
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.stages.dispatch.waiter import Grant, Waiter, lane_of

_LEAST_HOLD_S = 0.001


class Turns:
    """Decides who begins; see the module.

    Args:
        config: Limits of the line and of groups.
        places: How many attempts may be under way.
        reservations: What they may use.
        target: Name of the target, for events.
        observe: Takes `CallReleased`, `GroupReleased` and `CallTurnedAway`.
        clock: Measures.
        call_later: Sets timers; None: those of the event loop.
        arrivals: Numbers the calls.
    """

    def __init__(
        self,
        config: DispatchConfig,
        *,
        places: Places,
        reservations: Reservations,
        target: str,
        observe: Observe,
        clock: Clock,
        call_later: CallLater | None,
        arrivals: Iterator[int],
    ) -> None:
        self._places = places
        self._reservations = reservations
        self._target = target
        self._observe = observe
        self._clock = clock
        self._ageing_s = config.ageing_s
        self._loop = asyncio.get_running_loop()
        self._call_later: CallLater = call_later or self._loop.call_later
        self._group = Accumulator(max_count=config.max_group_count, max_bytes=config.max_group_bytes)
        self._holds = LaneHolds()
        self._arrivals = arrivals
        self._woken = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = inf
        self.line = Line(config, clock=clock, call_later=self._call_later, overdue=self._overdue)
        self.outlook = Outlook(self.line, self._holds, places=places, reservations=reservations)

    def at_once(self, call: Call) -> Grant | None:
        """Permission to begin now; None: the call has to wait.

        Raises:
            CallError: A limit of its caller is reached, or no limit is as large as it.
        """
        now_s = self._clock.monotonic_s()
        line, places = self.line, self._places
        if not call.arrival or call.arrival in line:
            call.arrival = next(self._arrivals)
        rank, size_bytes = rank_of(call), call.request.ByteSize()
        if call.background:
            may = not len(line) and places.has_room_for_job(now_s)
        else:
            places.live_here(line.live_count + 1, now_s)
            may = not line.live_count and places.has_room()
        if (
            not may
            or not self._group.fits(size_bytes)
            or line.lingers(call, rank, now_s)
            or (self._holds and self._holds.until_s(rank, lane_of(call)) > now_s)
        ):
            return None
        reservation = self._reserve(call, now_s)
        if isinstance(reservation, Shortage):
            return None
        waiter = None
        if call.request.conversation_id:
            waiter = Waiter(call, rank=rank, size_bytes=size_bytes, now_s=now_s)
            if not line.goes_at_once(waiter, now_s):
                self._reservations.untouched(reservation, now_s)
                return None
        return self._begin(call, reservation, waiter, size_bytes=size_bytes, wait_s=0.0, now_s=now_s)

    def enter(self, call: Call) -> Waiter:
        """Let a call wait for its turn.

        Raises:
            CallError: It would be in vain, or there is no room to wait.
        """
        now_s = self._clock.monotonic_s()
        waiter = Waiter(call, rank=rank_of(call), size_bytes=call.request.ByteSize(), now_s=now_s)
        probe = self._reserve(call, now_s)
        if not isinstance(probe, Shortage):
            self._reservations.untouched(probe, now_s)
        wait_s = self._wait_s(waiter, now_s)
        left_s = call.deadline.remaining_s(now_s)
        if wait_s is not None and wait_s > left_s:
            raise self._refused(waiter, refusals.too_long(wait_s=wait_s, left_s=left_s), "too_long")
        going = self.line.in_the_way(waiter.priority, waiter.size_bytes)
        if going is None:
            raise self._refused(waiter, refusals.full(count=len(self.line), wait_s=wait_s), "full")
        for other in going:
            self.turn_away(other, refusals.shed(wait_s=self._wait_s(other, now_s)), "shed")
        self.line.enter(waiter)
        self.wake()
        return waiter

    def left(self, waiter: Waiter) -> None:
        """The caller of a call that waits has gone."""
        now_s = self._clock.monotonic_s()
        turn = waiter.turn
        if turn.done() and not turn.cancelled():
            if turn.exception() is None:  # its turn came in the same moment
                grant = turn.result()
                self._reservations.untouched(grant.reservation, now_s)
                self.over(grant, waiter.call)
            return
        self.turn_away(waiter, None, "left")

    def turn_away(self, waiter: Waiter, error: CallError | None, cause: str) -> None:
        """A call waits no more, and this is what it is told; None: there is nobody to tell."""
        now_s = self._clock.monotonic_s()
        self.line.leave(waiter, now_s)
        self._holds.lift(waiter.lane)
        self.wake()
        if error is not None:
            if waiter.turn.done():
                return  # its caller has gone in the same moment, and that is what is told
            waiter.turn.set_exception(error)
        waiter.call.queued_s += now_s - waiter.since_s
        self._told_away(waiter, cause, wait_s=now_s - waiter.since_s)

    def over(self, grant: Grant, call: Call) -> None:
        """An attempt has ended: its place is free, and its conversation goes on."""
        line, now_s = self.line, self._clock.monotonic_s()
        self._places.live_here(line.live_count, now_s)
        self._places.give_back(background=call.background)
        if grant.waiter is not None:
            line.over(grant.waiter)
        if len(line):
            line.completed(now_s)
            self._holds.lift(lane_of(call))
            self.wake()

    def pause(self, call: Call, until_s: float) -> None:
        """The provider wants no more calls of this model before a moment."""
        self._holds.hold(lane_of(call), rank=HIGH, until_s=until_s, firm=True)

    def limits_changed(self) -> None:
        """The operator's limits are others now: who waits for the account is to ask again."""
        for waiter in self.line.everybody():
            self._holds.lift(waiter.lane)
        self.wake()

    def wake(self) -> None:
        """Something has changed: look whose turn it is, once in this turn of the event loop."""
        if not self._woken and len(self.line):
            self._woken = True
            self._loop.call_soon(self._release)

    def _release(self) -> None:
        """Let as many begin as may."""
        self._woken = False
        now_s = self._clock.monotonic_s()
        line = self.line
        self._holds.over(now_s)
        if line.company_s() <= now_s:
            line.company_came(now_s)
        while self._places.has_room() and (waiter := line.first(now_s, self._closed)) is not None:
            if waiter.turn.done():
                line.leave(waiter, now_s)  # its caller has gone, and its task has not run since
                continue
            if not self._group.fits(waiter.size_bytes):
                self.wake()
                break
            self._try(waiter, now_s)
        self._set_alarm(now_s)

    def _try(self, waiter: Waiter, now_s: float) -> None:
        call = waiter.call
        reservation = self._reservations.take(call, now_s)
        if not isinstance(reservation, Shortage):
            self.line.take(waiter, now_s)
            self.line.company_came(now_s)
            waited_s = now_s - waiter.since_s
            call.queued_s += waited_s
            held = waiter if waiter.conversation_id else None
            waiter.turn.set_result(
                self._begin(call, reservation, held, size_bytes=waiter.size_bytes, wait_s=waited_s, now_s=now_s)
            )
        elif reservation.of_caller or reservation.is_final:
            self.turn_away(waiter, refusal(reservation), _cause(reservation))
        else:
            rank = HIGH if now_s - waiter.since_s >= self._ageing_s else waiter.priority
            self._holds.hold(waiter.lane, rank=rank, until_s=now_s + max(reservation.wait_s, _LEAST_HOLD_S))

    def _begin(
        self,
        call: Call,
        reservation: Reservation | None,
        waiter: Waiter | None,
        *,
        size_bytes: int,
        wait_s: float,
        now_s: float,
    ) -> Grant:
        """Take the place and count the call into the group of this turn of the event loop."""
        number = self._places.take(background=call.background)
        if not self._group.count:
            self._loop.call_soon(self._group_over)
        self._group.add(size_bytes, now_s=now_s)
        self._observe(CallReleased(call_id=call.id, priority=NAMES[rank_of(call)], wait_s=wait_s))
        return Grant(number=number, reservation=reservation, waiter=waiter)

    def _group_over(self) -> None:
        group = self._group
        self._observe(GroupReleased(target=self._target, call_count=group.count, size_bytes=group.size_bytes))
        group.clear()

    def _reserve(self, call: Call, now_s: float) -> Reservation | Shortage | None:
        """Reserve for a call that has just come."""
        outcome = self._reservations.take(call, now_s)
        if isinstance(outcome, Shortage) and (outcome.of_caller or outcome.is_final):
            self._observe(
                CallTurnedAway(call_id=call.id, priority=NAMES[rank_of(call)], cause=_cause(outcome), wait_s=0.0)
            )
            raise refusal(outcome)
        return outcome

    def _closed(self, rank: int, lane: str) -> bool:
        """Whether it can be nobody's turn of this class and model."""
        if rank == BACKGROUND and not self._places.has_room_for_job(self._clock.monotonic_s()):
            return True
        return self._holds.holds(rank, lane)

    def _wait_s(self, waiter: Waiter, now_s: float) -> float | None:
        """How long it will have to wait from now on, as if it came now; None: nobody knows."""
        return self.outlook.in_line_s(waiter.priority, waiter.caller, waiter.lane, now_s)

    def _overdue(self, waiter: Waiter) -> None:
        """The timer of a call that waits."""
        if waiter.call.deadline > waiter.deadline:  # others have joined it
            self.line.watch(waiter)
            return
        waited_s = self._clock.monotonic_s() - waiter.since_s
        self.turn_away(waiter, refusals.out_of_time(waited_s=waited_s), "deadline")

    def _refused(self, waiter: Waiter, error: CallError, cause: str) -> CallError:
        """A call that may not even wait."""
        self._told_away(waiter, cause, wait_s=0.0)
        return error

    def _told_away(self, waiter: Waiter, cause: str, *, wait_s: float) -> None:
        priority = NAMES[waiter.priority]
        self._observe(CallTurnedAway(call_id=waiter.call.id, priority=priority, cause=cause, wait_s=wait_s))

    def _set_alarm(self, now_s: float) -> None:
        """Look again when a hold ends or the wait for company does."""
        at_s = min(self._holds.next_s(), self.line.company_s()) if len(self.line) else inf
        if at_s == self._alarm_s:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_s = None, at_s
        if at_s < inf:
            self._alarm = self._call_later(max(0.0, at_s - now_s), self._rang)

    def _rang(self) -> None:
        self._alarm, self._alarm_s = None, inf
        self.wake()


def _cause(shortage: Shortage) -> str:
    return "never_fits" if shortage.is_final else "caller_limit"
