"""Those who wait for their turn: room, order, company, and the timer of each.

Every call has a timer of its own, by its deadline, so that it ends in time whatever else does or does not happen. (A
timer of the event loop costs 1.5 us, as much as an entry in a heap of ours would.) A call that leaves, in whatever way,
leaves at once and leaves nothing behind.

Calls of low priority may wait a moment for company before they stand in line: where the uplink is a radio, it sleeps
between groups. Those of a conversation do not, for one of higher priority must not overtake them.
"""

import asyncio
from collections.abc import Callable, Iterable
from math import inf
from typing import Protocol

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.core.call import Call
from edgeclient.core.ports import Clock
from edgeclient.policy.accumulator import Accumulator
from edgeclient.policy.fair_queue import Closed, FairQueue
from edgeclient.policy.ranks import BACKGROUND, LOW, WEIGHTS
from edgeclient.policy.wait_estimate import WaitEstimate
from edgeclient.policy.waiting_line import WaitingLine
from edgeclient.stages.dispatch.waiter import Waiter


class CallLater(Protocol):
    """The event loop's `call_later`, so that tests own it."""

    def __call__(self, delay: float, callback: Callable[..., object], /, *args: object) -> asyncio.TimerHandle:
        """Call it after so many seconds."""
        ...


class Line:
    """Who waits; see the module.

    Args:
        config: Its limits.
        clock: Measures.
        call_later: Sets timers.
        overdue: Called with a call whose time is over.
    """

    def __init__(
        self, config: DispatchConfig, *, clock: Clock, call_later: CallLater, overdue: Callable[[Waiter], None]
    ) -> None:
        self._config = config
        self._clock = clock
        self._call_later = call_later
        self._overdue = overdue
        self._waiters: dict[int, Waiter] = {}
        self._queue = FairQueue[Waiter](ageing_s=config.ageing_s, weights=WEIGHTS, lane_of=_lane)
        self._numbers = WaitingLine(max_count=config.max_waiting, max_bytes=config.max_waiting_bytes, weights=WEIGHTS)
        self._gathering: dict[int, Waiter] = {}
        self._group = Accumulator(
            max_count=config.max_group_count,
            max_bytes=config.max_group_bytes,
            max_delay_s=config.max_queue_delay_s,
        )
        self._estimate = WaitEstimate()

    def __repr__(self) -> str:
        return f"<Line {self._numbers!r}, {len(self._gathering)} of them wait for company>"

    def __len__(self) -> int:
        """How many wait."""
        return self._numbers.count

    def counts(self) -> dict[int, int]:
        """How many wait, by rank."""
        return self._numbers.counts()

    @property
    def live_count(self) -> int:
        """How many of them are no jobs."""
        return self._numbers.count - self.job_count

    @property
    def job_count(self) -> int:
        """How many of them are."""
        return self._numbers.count_of(BACKGROUND)

    def standing_count(self, *, jobs: bool) -> int:
        """How many wait for more than company; with `jobs` the jobs among them too."""
        gathering = sum(jobs or not waiter.call.background for waiter in self._gathering.values())
        return (self._numbers.count if jobs else self.live_count) - gathering

    def has_conversation(self, call: Call) -> bool:
        """Whether another call of its conversation waits or is under way."""
        conversation_id = call.request.conversation_id
        return bool(conversation_id) and self._queue.has_conversation(call.caller, conversation_id)

    def __contains__(self, seq: int) -> bool:
        """Whether a call of this place in the order of arrival waits."""
        return seq in self._waiters

    def lingers(self, call: Call, rank: int, now_s: float) -> bool:
        """Whether a call is one of those that wait for company: it has the time to."""
        delay_s = self._config.max_queue_delay_s
        return (
            delay_s > 0
            and rank <= LOW
            and not call.request.conversation_id
            and call.deadline.remaining_s(now_s) > 2 * delay_s
        )

    # numbers

    def ahead(self, rank: int, caller: str) -> int:
        """How many of its class leave before a call that comes now."""
        return self._numbers.ahead(rank, caller)

    def wait_s(self, rank: int, caller: str, now_s: float) -> float | None:
        """How long a call that comes now will wait; None: nobody knows."""
        return self._estimate.wait_s(self._numbers.ahead(rank, caller), self._numbers.share(rank), now_s)

    def in_the_way(self, rank: int, size_bytes: int) -> Iterable[Waiter] | None:
        """Who has to leave for a newcomer; None: there is no room for it even so."""
        seqs = self._numbers.in_the_way(rank, size_bytes)
        return None if seqs is None else [self._waiters[seq] for seq in seqs]

    def completed(self, now_s: float) -> None:
        """An attempt has ended."""
        self._estimate.completed(now_s)

    # coming and going

    def enter(self, waiter: Waiter) -> None:
        """A call waits, until `leave`."""
        self._numbers.enter(waiter.priority, waiter.caller, waiter.seq, waiter.size_bytes)
        self._waiters[waiter.seq] = waiter
        self.watch(waiter)
        if self.lingers(waiter.call, waiter.priority, waiter.since_s):
            self._gather(waiter)
        else:
            self._stand(waiter, waiter.since_s)

    def watch(self, waiter: Waiter) -> None:
        """Set its timer by its deadline as it is now."""
        waiter.deadline = waiter.call.deadline
        if waiter.deadline.at_s < inf:
            left_s = waiter.deadline.remaining_s(self._clock.monotonic_s())
            waiter.timer = self._call_later(left_s, self._overdue, waiter)

    def leave(self, waiter: Waiter, now_s: float) -> None:
        """A call waits no more; harmless if it does not wait."""
        if self._forget(waiter, now_s):
            self._queue.remove(waiter.id)

    def everybody(self) -> list[Waiter]:
        """All that wait, in no particular order."""
        return list(self._waiters.values())

    # turns

    def first(self, now_s: float, closed: Closed) -> Waiter | None:
        """Whose turn it is."""
        return self._queue.first(int(now_s * 1000), closed)

    def take(self, waiter: Waiter, now_s: float) -> None:
        """The call that `first` told begins its attempt; nobody else of its conversation does until `over`."""
        self._queue.take()
        self._forget(waiter, now_s)
        if not waiter.conversation_id:
            self._queue.remove(waiter.id)

    def goes_at_once(self, waiter: Waiter, now_s: float) -> bool:
        """Where nobody waits: whether a call of a conversation may begin its attempt; if so, as with `take`."""
        self._queue.add(waiter)
        if self._queue.first(int(now_s * 1000)) is waiter:
            self._queue.take()
            return True
        self._queue.remove(waiter.id)
        return False

    def over(self, waiter: Waiter) -> None:
        """The attempt has ended: its conversation goes on."""
        self._queue.remove(waiter.id)

    # company

    def company_s(self) -> float:
        """When those that wait for company stop to; `inf`: there are none, or company has come."""
        return self._group.due_s()

    def company_came(self, now_s: float) -> None:
        """Others are released, or the time is over: who waited for company stands in line from now on."""
        for waiter in self._gathering.values():
            self._stand(waiter, now_s)
        self._gathering.clear()
        self._group.clear()

    def _stand(self, waiter: Waiter, now_s: float) -> None:
        self._queue.add(waiter)
        self._estimate.waiting(now_s)

    def _gather(self, waiter: Waiter) -> None:
        self._gathering[waiter.seq] = waiter
        self._group.add(waiter.size_bytes, now_s=waiter.since_s)

    def _forget(self, waiter: Waiter, now_s: float) -> bool:
        """Take it out of the numbers; whether it was in them."""
        if self._waiters.pop(waiter.seq, None) is None:
            return False
        if waiter.timer is not None:
            waiter.timer.cancel()
        self._numbers.leave(waiter.priority, waiter.caller, waiter.seq)
        if self._gathering.pop(waiter.seq, None) is not None:
            self._group.remove(waiter.size_bytes)
        if self._numbers.count == len(self._gathering):
            self._estimate.nobody_waits(now_s)
        return True


def _lane(waiter: Waiter) -> str:
    return waiter.lane
