"""Which of those that wait is sent next: jobs in the durable queue, and calls in front of the wire.

Between priorities: weights 8 : 4 : 1, by stride scheduling (each turn moves a priority forward by the inverse of its
weight, the one that is furthest behind is next), for strict order starves. Within a priority: callers take turns, so
one device with ten thousand jobs delays another by one job and not by ten thousand. Within a caller: order of
acceptance. Of a conversation only the oldest job is a candidate, and only while none of it is under way; one that waits
for its next attempt holds the conversation up, because an answer must not overtake the question before it.

Every sixteenth turn goes to the job that was accepted first, if it has waited long enough. It bounds every wait,
whatever arrives later: with n older candidates, a job's turn comes within 16 (n + 1) turns. It is so rare a turn that
a caller whose jobs are all old gains no more than 1/16 of the turns by it.

Jobs may be divided into lanes, of which some are closed at a moment: a job in a closed lane is passed over and keeps
its place. Whose turn it is can be asked for (`first`) before the turn is taken (`take`), so that a turn that cannot be
used costs nobody anything.

What it keeps of a job is one entry and a few integers: heaps hold order numbers, and what left its place is dropped
from a heap when it comes to the top, or when most of the heap is of that kind. All operations are O(log n), amortised,
but for callers all of whose jobs are in closed lanes, which are passed over one by one.

Times are milliseconds on any one clock that the user keeps to. The queue never drops a job for its age: whether time is
over is known to the storage, so `expired` tells each overdue job once and keeps it until it is removed.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from heapq import heappop, heappush
from math import lcm
from typing import Any, Final, Generic, TypeVar

from edgeclient.policy.caller_turns import CallerTurns, drop
from edgeclient.policy.queued import Queued
from edgeclient.v1 import chat_pb2

WEIGHTS: Final[Mapping[int, int]] = {
    chat_pb2.PRIORITY_HIGH: 8,
    chat_pb2.PRIORITY_NORMAL: 4,
    chat_pb2.PRIORITY_LOW: 1,
}
AGED_TURN: Final = 16
_SLACK: Final = 64


Job = TypeVar("Job", bound=Queued)
Item = TypeVar("Item", bound=Any)
Closed = Callable[[int, str], bool]
"""Whether jobs of this priority in this lane cannot be sent at the moment."""


def _never(_priority: int, _lane: str) -> bool:
    return False


class _Place(Enum):
    """Where an entry stands."""

    READY = 1
    DELAYED = 2
    BEHIND = 3
    TAKEN = 4


class _Entry(Generic[Job]):
    """A job and where it stands."""

    __slots__ = ("job", "overdue", "place")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.place = _Place.BEHIND
        self.overdue = False


class _Conversation:
    """The jobs of one conversation; `candidate` is the only one that is not behind another."""

    __slots__ = ("candidate", "heap")

    def __init__(self) -> None:
        self.candidate: int | None = None
        self.heap: list[int] = []


class FairQueue(Generic[Job]):
    """The jobs that wait, and which of them are under way; see the module.

    Args:
        ageing_s: A job that was accepted longer ago than this may take an aged turn.
        weights: Weight by priority.
        lane_of: The lane of a job.
    """

    def __init__(
        self,
        *,
        ageing_s: float = 60.0,
        weights: Mapping[int, int] = WEIGHTS,
        lane_of: Callable[[Job], str] = lambda _: "",
    ) -> None:
        self._ageing_ms = round(ageing_s * 1000)
        self._lane_of = lane_of
        self._entries: dict[int, _Entry[Job]] = {}
        self._seq_of: dict[str, int] = {}
        common = lcm(*weights.values())
        self._classes = {priority: CallerTurns(common // weight) for priority, weight in weights.items()}
        self._conversations: dict[tuple[str, str], _Conversation] = {}
        self._by_age: dict[str, list[int]] = {}
        self._delayed: list[tuple[int, int]] = []
        self._expiring: list[tuple[int, int]] = []
        self._taken_count = 0
        self._turn = 0
        self._passed = 0
        self._first: tuple[int, CallerTurns | None] | None = None

    def __len__(self) -> int:
        """Jobs that wait, whatever for."""
        return len(self._entries) - self._taken_count

    def __contains__(self, job_id: str) -> bool:
        """Whether it waits or is under way."""
        return job_id in self._seq_of

    def has_conversation(self, caller: str, conversation_id: str) -> bool:
        """Whether a job of this conversation waits or is under way."""
        return (caller, conversation_id) in self._conversations

    def __repr__(self) -> str:
        return f"<FairQueue {len(self)} waiting, {self._taken_count} under way>"

    def add(self, job: Job) -> None:
        """A job waits: a new one, one whose attempt has failed, or one that has changed."""
        known = self._leave(job.id)
        entry = self._entries[job.seq] = _Entry(job)
        self._seq_of[job.id] = job.seq
        if job.expire_ms:
            self._push(self._expiring, (job.expire_ms, job.seq), self._is_expiring)
        if not job.conversation_id:
            self._place(entry)
            return
        conversation = self._conversations.setdefault((job.caller, job.conversation_id), _Conversation())
        if known is None:
            heappush(conversation.heap, job.seq)
        self._settle(job)

    def remove(self, job_id: str) -> Job | None:
        """A job neither waits nor is under way any more; its conversation goes on. None: it was not known."""
        job = self._leave(job_id)
        if job is not None and job.conversation_id:
            self._settle(job)
        return job

    def next(self, now_ms: int) -> Job | None:
        """Take the job whose turn it is; it is under way until `add` or `remove`. None: there is no candidate now."""
        job = self.first(now_ms)
        if job is not None:
            self.take()
        return job

    def first(self, now_ms: int, closed: Closed = _never) -> Job | None:
        """The job whose turn it is, among those that are in no closed lane. Nothing has changed by asking."""
        self._release(now_ms)
        self._first = self._aged_turn(now_ms, closed) or self._weighted_turn(closed)
        return None if self._first is None else self._entries[self._first[0]].job

    def take(self) -> None:
        """Take the job that `first` has just told."""
        if self._first is None:
            raise RuntimeError("a turn is taken by whoever `first` has told, and once")
        (seq, kind), self._first = self._first, None
        if kind is not None:
            self._passed = kind.passed
            kind.take()
        self._turn += 1
        self._entries[seq].place = _Place.TAKEN
        self._taken_count += 1

    def expired(self, now_ms: int) -> list[Job]:
        """Jobs that wait and whose time is over, each told once."""
        over = []
        while self._expiring and self._expiring[0][0] <= now_ms:
            item = heappop(self._expiring)
            if self._is_expiring(item):
                self._entries[item[1]].overdue = True
                over.append(self._entries[item[1]].job)
        return over

    def due_ms(self, now_ms: int) -> int | None:
        """When `next` or `expired` will have more to give although nothing is added or removed; None: never."""
        self._release(now_ms)
        drop(self._delayed, self._is_delayed)
        drop(self._expiring, self._is_expiring)
        return min([heap[0][0] for heap in (self._delayed, self._expiring) if heap], default=None)

    def _aged_turn(self, now_ms: int, closed: Closed) -> tuple[int, None] | None:
        """The oldest candidate, if the turn is for it and it has waited long enough."""
        if self._turn % AGED_TURN != AGED_TURN - 1:
            return None
        oldest: int | None = None
        for lane, heap in tuple(self._by_age.items()):
            drop(heap, self._is_ready)
            if not heap:
                del self._by_age[lane]
            elif (oldest is None or heap[0] < oldest) and not closed(self._entries[heap[0]].job.priority, lane):
                oldest = heap[0]
        if oldest is None or self._entries[oldest].job.create_ms + self._ageing_ms > now_ms:
            return None
        return oldest, None

    def _weighted_turn(self, closed: Closed) -> tuple[int, CallerTurns] | None:
        """The candidate of the priority that is furthest behind."""
        found: tuple[int, CallerTurns] | None = None
        for priority, kind in self._classes.items():
            seq = kind.first(self._is_ready, partial(closed, priority))
            if seq is None:
                continue
            kind.passed = max(kind.passed, self._passed)  # who was idle has saved nothing up
            if found is None or kind.passed < found[1].passed:
                found = seq, kind
        return found

    def _leave(self, job_id: str) -> Job | None:
        """Take an entry out of the dictionaries; the heaps notice by themselves."""
        seq = self._seq_of.pop(job_id, None)
        if seq is None:
            return None
        entry = self._entries.pop(seq)
        self._taken_count -= entry.place is _Place.TAKEN
        return entry.job

    def _settle(self, job: Job) -> None:
        """Make the oldest job of this job's conversation its candidate, unless one is under way."""
        conversation = self._conversations[job.caller, job.conversation_id]
        drop(conversation.heap, self._entries.__contains__)
        if not conversation.heap:
            del self._conversations[job.caller, job.conversation_id]
            return
        oldest = conversation.heap[0]
        before = None if conversation.candidate is None else self._entries.get(conversation.candidate)
        if before is not None:
            if before.place is _Place.TAKEN or (before.job.seq == oldest and before.place is not _Place.BEHIND):
                return
            before.place = _Place.BEHIND
        conversation.candidate = oldest
        self._place(self._entries[oldest])

    def _place(self, entry: _Entry[Job]) -> None:
        """Make it a candidate, now or when its time has come."""
        job = entry.job
        if job.next_attempt_ms > 0:
            entry.place = _Place.DELAYED
            self._push(self._delayed, (job.next_attempt_ms, job.seq), self._is_delayed)
        else:
            self._make_ready(entry)

    def _release(self, now_ms: int) -> None:
        """Make candidates of those whose next attempt is due."""
        while self._delayed and self._delayed[0][0] <= now_ms:
            item = heappop(self._delayed)
            if self._is_delayed(item):
                self._make_ready(self._entries[item[1]])

    def _make_ready(self, entry: _Entry[Job]) -> None:
        entry.place = _Place.READY
        job, lane = entry.job, self._lane_of(entry.job)
        self._classes.get(job.priority, self._classes[chat_pb2.PRIORITY_NORMAL]).push(job.caller, lane, job.seq)
        self._push(self._by_age.setdefault(lane, []), job.seq, self._is_ready)

    def _push(self, heap: list[Item], item: Item, is_live: Callable[[Item], bool]) -> None:
        """Add to a heap, and clean it when most of it is of the past."""
        heappush(heap, item)
        if len(heap) > 2 * len(self._entries) + _SLACK:
            heap[:] = sorted({item for item in heap if is_live(item)})

    def _is_ready(self, seq: int) -> bool:
        entry = self._entries.get(seq)
        return entry is not None and entry.place is _Place.READY

    def _is_delayed(self, item: tuple[int, int]) -> bool:
        entry = self._entries.get(item[1])
        return entry is not None and entry.place is _Place.DELAYED and entry.job.next_attempt_ms == item[0]

    def _is_expiring(self, item: tuple[int, int]) -> bool:
        entry = self._entries.get(item[1])
        waits = entry is not None and entry.place is not _Place.TAKEN and not entry.overdue
        return waits and entry is not None and entry.job.expire_ms == item[0]
