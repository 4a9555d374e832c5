"""The order of service in front of the provider: whose attempt begins now, who waits, and who is told that it is vain.

It stands between retry and upstream, so a turn is one attempt: it is given back with the attempt's end and never held
during a pause between attempts; a repeated attempt keeps the place that its call's arrival gave it. Live calls and
stored jobs pass it alike. Below it nothing waits.

An attempt begins when there is a place for it (`places.py`), what it may use is reserved (`reservations.py`), and it is
its turn (`policy/fair_queue.py`: priorities by weight, callers in turn, conversations in order). Where nobody waits and
there is a place, it begins at once: no queue, no task, no timer.

* Short of the account's limits, a call waits, and with it those of its model that are of its class or a lower one;
  higher classes ask for themselves. One that has aged holds up all classes of its model, so that a large call is not
  passed over by small ones for ever. Short of its caller's own limits, it is refused at once.
* What cannot be served is refused at once: no room to wait, or an estimated wait beyond the call's own deadline.
* What has to be done before anything leaves (`Call.before_send`) is done when the turn has come: a stored job waits
  here as what it is on the disk, unsent, and of a call with a key nothing is there yet. The commit is part of the turn;
  one that comes to nothing is given back. Where an attempt was certainly free, a call with a key is unsent again
  (`Call.after_free`), for it may have to wait before the next.
* When the provider says that there is too much traffic, its model pauses for a moment, beside a narrower width. No
  limit is lowered by that: the answer does not say how high the limit is, nor whether it is one of a second or of a
  minute, and others may use the account too. A number made up from it would hold for a minute what is often over in a
  second, while the width finds the pace by itself; what the provider tells of its limits does lower them
  (`upstream/quota_read.py`). If it tells when to come back, nobody of that model waits here for it: another target may
  have room, and who has none knows at once whether there is time enough to wait.
* Calls that wait are released together, at most `max_group_count` in a turn of the event loop, and leave in one write;
  each ends by itself. It saves a radio its waking, and packets: a call alone takes one record of TLS and one segment,
  in a group of fifty it is 0.04 records and 0.44 segments a call (`make bench ARGS=--wire`).
* The way is lost: who waits ends as those do that come then. The node stops: likewise.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import CallError, Reason, Throttled
from edgeclient.core.events import Event, Uplink, UplinkChanged
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.ranks import NAMES
from edgeclient.stages.dispatch import refusals
from edgeclient.stages.dispatch.line import CallLater
from edgeclient.stages.dispatch.places import Places
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.stages.dispatch.turns import Turns
from edgeclient.stages.dispatch.waiter import Grant, lane_of

_PAUSE_S = 1.0  # requests are also limited second by second: after one there is a new window
_JOBS_WAITING = 4  # so that there is always a next one; few, for here they are of one class, in the queue of three


class Dispatch:
    """A stage; see the module. Belongs to one event loop.

    Args:
        config: Limits of the line and of groups.
        target: Name of the target, for events.
        max_in_flight: Most attempts under way.
        peer_limit: How many the provider takes at once, as it said last; None: it has not said.
        reservations: What they may use.
        observe: Takes the events of `core/dispatch_events.py`.
        clock: Measures.
        call_later: Sets timers; None: those of the event loop.
        arrivals: Numbers the calls; shared by all targets, so that a call which moves keeps its place. None: its own.
    """

    def __init__(
        self,
        config: DispatchConfig,
        *,
        target: str,
        max_in_flight: int,
        reservations: Reservations,
        observe: Observe,
        clock: Clock,
        peer_limit: Callable[[], int | None] = lambda: None,
        call_later: CallLater | None = None,
        arrivals: Iterator[int] | None = None,
    ) -> None:
        self._target = target
        self._clock = clock
        self._reservations = reservations
        self._places = Places(
            target=target,
            most=max_in_flight,
            peer_limit=peer_limit,
            background_share=config.background_share,
            observe=observe,
        )
        self._turns = Turns(
            config,
            places=self._places,
            reservations=reservations,
            target=target,
            observe=observe,
            clock=clock,
            call_later=call_later,
            arrivals=arrivals or count(1),
        )
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Dispatch {self._places!r}, {self._turns.line!r}>"

    @property
    def width(self) -> int:
        """How many attempts may be under way."""
        return self._places.limit.width

    @property
    def in_flight(self) -> int:
        """How many are."""
        return self._places.taken

    def waiting(self) -> dict[str, int]:
        """How many calls wait for their turn, by the name of their class."""
        return {NAMES[rank]: count for rank, count in self._turns.line.counts().items()}

    def wait_s(self, call: Call, now_s: float) -> float:
        """How long an attempt would wait for its turn if it came now; see `Target.wait_s`."""
        return self._turns.outlook.wait_s(call, now_s)

    def room_for_jobs(self) -> int:
        """How many jobs make sense at the moment, those that are here included; at least one."""
        waiting = self._turns.line.job_count
        room = self._places.for_jobs(self._clock.monotonic_s())
        return room if waiting < _JOBS_WAITING else min(room, self._places.taken_by_jobs + waiting)

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call by one attempt, when it is its turn."""
        grant = self._turns.at_once(call) or await self._in_turn(call)
        before_s = call.upstream_s
        try:
            if call.before_send is not None:
                await call.before_send()
            reply = await forward(call)
        except BaseException as error:
            self._failed(grant, call, error, sent=call.upstream_s > before_s)
            if call.after_free is not None and isinstance(error, CallError) and not call.maybe_paid:
                await call.after_free()
            raise
        now_s = self._clock.monotonic_s()
        self._places.answered(grant.number, now_s)
        self._turns.over(grant, call)
        self._reservations.answered(grant.reservation, call, reply, now_s)
        return reply

    def uplink_changed(self, event: Event) -> None:
        """Take the fact that the uplink has changed."""
        if not isinstance(event, UplinkChanged) or event.target != self._target:
            return
        if event.after is Uplink.OFFLINE:
            for waiter in self._turns.line.everybody():
                self._turns.turn_away(waiter, refusals.offline(), "offline")
        elif event.before is Uplink.OFFLINE:
            self._places.resume(self._clock.monotonic_s())

    def limits_changed(self) -> None:
        """Let those that wait for the limits of before ask again."""
        self._turns.limits_changed()

    def stop(self) -> None:
        """End all waits with `Stopping`, and begin none any more. May be called again."""
        self._stopping = True
        for waiter in self._turns.line.everybody():
            self._turns.turn_away(waiter, refusals.stopping(), "stopping")

    async def _in_turn(self, call: Call) -> Grant:
        if self._stopping:
            raise refusals.stopping()
        waiter = self._turns.enter(call)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self._turns.left(waiter)
            raise

    def _failed(self, grant: Grant, call: Call, error: BaseException, *, sent: bool) -> None:
        now_s = self._clock.monotonic_s()
        if isinstance(error, CallError):
            self._places.failed(grant.number, error, now_s)
            if error.reason == Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED:
                self._turns.pause(call, now_s + min(error.retry_after_s or _PAUSE_S, _PAUSE_S))
            if isinstance(error, Throttled) and error.retry_after_told and error.retry_after_s:
                self._send_away(lane_of(call), error.retry_after_s)
        self._turns.over(grant, call)
        self._reservations.failed(grant.reservation, error, sent=sent, now_s=now_s)

    def _send_away(self, lane: str, pause_s: float) -> None:
        """The provider has told when it may be asked again for a model: nobody waits for that here."""
        for waiter in self._turns.line.everybody():
            if waiter.lane == lane:
                self._turns.turn_away(waiter, refusals.paused(pause_s=pause_s), "paused")
