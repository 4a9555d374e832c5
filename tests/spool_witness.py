"""Who asks a queue for things, and remembers what was told: the judge of every test of faults.

What is known of a job is the set of states that it may be in. An answer leaves one of them; "nothing was changed"
leaves the set as it was; "nobody knows" adds the state that it would be in. Whoever looks later, with no memory of all
this, must find each job in a state of its set, its content as it was given, and what was erased in no file: then
nothing that was acknowledged is lost, nothing that was refused is stored, and no refusal has lied.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spool_bench import SpoolBench, new_job

from edgeclient.config.setting import SettingError
from edgeclient.core.errors import CallError
from edgeclient.core.events import Event
from edgeclient.core.job_events import SpoolDamaged, SpoolFellBack
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Attempt, Job, JobKind, JobState, NewJob, ResendPolicy
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.sealing import Vault
from edgeclient.spool.verification import verified
from edgeclient.v1 import chat_pb2

T = TypeVar("T")
States = frozenset[JobState | None]
"""Where a job may be; None: nowhere."""

NOWHERE: States = frozenset({None})
ENDED = TERMINAL | {JobState.UNCERTAIN}
LONG_S = 1e6
UNKNOWN = "STORAGE_OUTCOME_UNKNOWN"
REASONS = {"STORAGE_UNAVAILABLE", UNKNOWN, "QUEUE_FULL"}


@dataclass(kw_only=True)
class Known:
    """What is known of a job.

    Attributes:
        states: Where it may be.
        cancelling: Whether its running attempt may be its last.
        is_wiped: Its content was said to be destroyed.
        attempt: The one that the witness holds.
    """

    id: str
    caller: str
    kind: JobKind
    resend: ResendPolicy
    states: States = NOWHERE
    cancelling: frozenset[bool] = frozenset({False})
    is_wiped: bool = False
    attempt: Attempt | None = None

    def may_be(self, *states: JobState | None) -> None:
        self.states |= frozenset(states)

    def may_be_cancelling(self) -> None:
        self.cancelling |= {True}

    def after_a_crash(self) -> "Known":
        """What a new process makes of it."""
        after = copy.copy(self)
        after.attempt = None
        if JobState.SENDING in self.states:
            left: set[JobState | None] = {JobState.CANCELLED} if True in self.cancelling else set()
            if False in self.cancelling:
                left.add(JobState.UNCERTAIN)
            if False in self.cancelling and self.resend is ResendPolicy.RESEND_ONCE:
                left.add(JobState.RETRY_WAIT)
            after.states = self.states - {JobState.SENDING} | left
        return after


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What somebody was told instead."""

    of: str
    reason: str
    message: str

    @property
    def is_of_room(self) -> bool:
        """Something new was not taken, because there is no room: what a full disk does and no more."""
        return self.reason == "QUEUE_FULL" and self.of.startswith("accept ")


class Witness:
    """Asks, and remembers.

    Args:
        bench: The queue.
        refused: Called once all who wait for the same commit have been told.
        hears: Whether an answer reaches it: what a dying process says nobody hears.

    Attributes:
        known: By job.
        refusals: In this order.
    """

    def __init__(
        self, bench: SpoolBench, *, refused: Callable[[], None] = lambda: None, hears: Callable[[], bool] = lambda: True
    ) -> None:
        self.bench = bench
        self.known: dict[str, Known] = {}
        self.refusals: list[Refusal] = []
        self._refused = refused
        self._hears = hears
        self._together = False

    def crashed(self) -> None:
        """All attempts are those of a process that is gone."""
        self.known = {known.id: known for known in self.remembered()}

    def remembered(self) -> list[Known]:
        """What is known, as a new process has to keep it."""
        return [known.after_a_crash() for known in self.known.values()]

    async def opened(self) -> bool:
        """A new process; False: it has said why it does not start."""
        try:
            await self.bench.open()
        except SettingError as error:
            assert str(error).startswith("spool.directory: "), error  # noqa: PT017  or it does start
            self.refusals.append(Refusal(of="open", reason="does not start", message=str(error)))
            self._refused()
            self.bench.renew()
            return False
        return True

    async def accept(
        self,
        job_id: str,
        *,
        caller: str = "device-7",
        kind: JobKind = JobKind.JOB,
        resend: ResendPolicy = ResendPolicy.HOLD,
    ) -> None:
        known = Known(id=job_id, caller=caller, kind=kind, resend=resend)
        known = self.known.setdefault(job_id, known)
        to = JobState.SENDING if kind is JobKind.CALL else JobState.QUEUED
        accepted = await self._ask(known, "accept", self.bench.spool.accept(_new(known)), to)
        if accepted:
            known.states = frozenset({to})
            known.attempt = accepted[0].attempt

    async def together(self, *works: Awaitable[None]) -> None:
        """Asked at the same time, for commits that are shared."""
        self._together = True
        before = len(self.refusals)
        await asyncio.gather(*works)
        self._together = False
        if len(self.refusals) > before:
            self._refused()

    async def begin(self, job_id: str) -> Attempt | None:
        known = self.known[job_id]
        if known.attempt is None and known.kind is JobKind.JOB and known.states & RUNNABLE:
            taken_back = JobState.QUEUED  # an attempt that nobody got
            begun = await self._ask(known, "begin", self.bench.spool.begin(job_id), JobState.SENDING, taken_back)
            if begun:
                known.attempt = begun[0]
                _learn(known, {JobState.SENDING} if begun[0] else known.states - RUNNABLE, JobState.SENDING)
        if known.attempt is not None and known.kind is JobKind.JOB:
            assert known.attempt.job.request is not None
            assert prompt_of(job_id) == known.attempt.job.request.prompt
        return known.attempt

    async def succeed(self, job_id: str) -> None:
        attempt = await self.begin(job_id)
        if attempt is not None:
            work = self.bench.spool.succeed(attempt, chat_pb2.ChatResponse(model=job_id))
            await self._end(self.known[job_id], "succeed", work, JobState.SUCCEEDED)

    async def fail(self, job_id: str, error: CallError, to: JobState) -> None:
        attempt = await self.begin(job_id)
        if attempt is not None:
            work = self.bench.spool.fail(attempt, error, retry_in_s=0.0, counts=True)
            await self._end(self.known[job_id], "fail", work, to)

    async def forget(self, job_id: str) -> None:
        known = self.known[job_id]
        if known.attempt is not None:
            await self._end(known, "forget", _true(self.bench.spool.forget(known.attempt)), None)

    async def park(self, job_id: str) -> None:
        known = self.known[job_id]
        if known.attempt is not None:
            await self._end(known, "park", self.bench.spool.park(known.attempt, ttl_s=LONG_S), JobState.QUEUED)
            known.kind = JobKind.CALL if JobState.SENDING in known.states else JobKind.JOB

    async def cancel(self, job_id: str) -> None:
        known = self.known[job_id]
        to = JobState.SENDING if known.states == {JobState.SENDING} else JobState.CANCELLED
        cancel = self.bench.spool.cancel(known.caller, job_id)
        told = await self._ask(known, "cancel", cancel, to, maybe=known.may_be_cancelling)
        if told:
            _learn(known, {_state(told[0])}, to)
            known.cancelling = frozenset({True})

    async def erase(self, job_id: str) -> None:
        known = self.known[job_id]
        await self._erase([known], "erase", self.bench.spool.erase(known.caller, job_id))

    async def erase_caller(self, caller: str) -> None:
        theirs = [known for known in self.known.values() if known.caller == caller]
        await self._erase(theirs, "erase_caller", self.bench.spool.erase_caller(caller))

    async def sweep(self, *, due: Callable[[Known], bool] = lambda _: False) -> None:
        """What has ended and is due may be gone then."""
        for known in filter(due, self.known.values()):
            if known.states & ENDED:
                known.may_be(None)
        try:
            await self.bench.spool.sweep()
        except CallError as error:
            self._noted("sweep", error)
            self._refused()

    async def read(self, job_id: str) -> Job | None:
        known = self.known[job_id]
        read = await self._ask(known, "get", self.bench.spool.get(known.caller, job_id), *known.states)
        if not read:
            return None
        _learn(known, {_state(read[0])})
        known.kind = read[0].kind if read[0] is not None else known.kind
        assert "" == _wrong_content(read[0])
        return read[0]

    async def _erase(self, theirs: list[Known], word: str, work: Awaitable[object]) -> None:
        theirs = [known for known in theirs if known.states != NOWHERE]
        refusal = None
        try:
            await work
        except CallError as error:
            refusal = self._noted(word, error)
        for known in theirs:
            erased = known.states & NOWHERE | ({JobState.ERASED} if known.states - NOWHERE else set())
            if refusal is None:
                known.states, known.is_wiped, known.attempt = frozenset(erased), True, None
            elif refusal.reason == UNKNOWN:
                known.states |= erased
            elif "erase it again" in refusal.message:
                known.states = frozenset(erased)
        if refusal is not None:
            self._refused()

    async def _end(self, known: Known, word: str, work: Awaitable[object], to: JobState | None) -> None:
        """An attempt has ended, if it was that of the row still."""
        done = await self._ask(known, word, work, to)
        if done:
            known.attempt = None
            end = done[0].state if isinstance(done[0], Job) else to
            _learn(known, {end} if done[0] else known.states - {JobState.SENDING}, to)

    async def _ask(
        self,
        known: Known,
        word: str,
        work: Awaitable[T],
        *to: JobState | None,
        maybe: Callable[[], None] = lambda: None,
    ) -> tuple[T] | None:
        """The answer; None: it was refused, and if nobody knows, the job may be in one of these states."""
        try:
            return (await work,)
        except CallError as error:
            if self._noted(f"{word} {known.id}", error).reason == UNKNOWN:
                known.may_be(*to)
                maybe()
            if not self._together:
                self._refused()
            return None

    def _noted(self, of: str, error: CallError) -> Refusal:
        assert error.reason_name in REASONS, f"{of}: {error.reason_name}, {error.message}"
        reason = error.reason_name if self._hears() else UNKNOWN
        self.refusals.append(Refusal(of=of, reason=reason, message=error.message))
        return self.refusals[-1]


async def what_is_wrong(root: Path, known: list[Known], *, vault: Vault | None = None) -> list[str]:
    """What a process without any memory finds in a folder and should not; opens and changes it."""
    bench = SpoolBench(root, vault=vault)
    bench.options = {"synchronous": "OFF"}
    bench.renew()
    wrong = [
        f"{each.id} was erased, and {path.name} has it still"
        for each in known
        if each.is_wiped
        for path in bench.directory.iterdir()
        if f"<{each.id}>".encode() in path.read_bytes()
    ]
    try:
        await bench.open()
    except SettingError as error:
        return [*wrong, f"it does not start: {error}"]
    for each in known:
        wrong += await _wrong_job(bench, each)
    stats = bench.spool.stats()
    if stats.accepted_total != sum(stats.by_state.values()) + stats.purged_total + stats.lost_total:
        wrong.append(f"jobs are missing in the counts: {stats}")
    wrong += [f"it told {event}" for event in bench.events if _is_loss(event)]
    await bench.close()
    with OperatorQueue(bench.directory, vault=bench.vault, config=bench.config) as queue:
        return wrong + verified(queue.desk).problems


def prompt_of(job_id: str) -> str:
    """Longer than a page, and to be found again in a file."""
    return f"<{job_id}> " * 600


def _is_loss(event: Event) -> bool:
    return isinstance(event, SpoolFellBack) or (isinstance(event, SpoolDamaged) and bool(event.lost + event.spoilt))


async def _wrong_job(bench: SpoolBench, known: Known) -> list[str]:
    job = await bench.spool.get(known.caller, known.id)
    if _state(job) not in known.states:
        return [f"{known.id} is {_name(_state(job))} and not {' or '.join(sorted(map(_name, known.states)))}"]
    if job is not None and job.state in RUNNABLE:
        attempt = await bench.spool.begin(known.id)
        request = attempt.job.request if attempt else None
        if request is None or prompt_of(known.id) != request.prompt:
            return [f"the request of {known.id} is not what it was"]
    return [problem] if (problem := _wrong_content(job)) else []


def _wrong_content(job: Job | None) -> str:
    if job is None or (job.state is JobState.SUCCEEDED) == (job.response is not None and job.response.model == job.id):
        return ""
    return f"the response of {job.id} is not what it was"


def _learn(known: Known, now: Iterable[JobState | None], *may: JobState | None) -> None:
    states = frozenset(now)
    assert states, f"{known.id} was denied, and it was certain that it is {known.states}"
    assert states <= known.states | set(may), f"{known.id} is {states} and not {known.states}"
    known.states = states


def _new(known: Known) -> NewJob:
    return new_job(
        known.id,
        caller=known.caller,
        kind=known.kind,
        resend_policy=known.resend,
        prompt=prompt_of(known.id),
        idempotency_key=f"key of {known.id}",
        ttl_s=LONG_S,
    )


def _state(job: Job | None) -> JobState | None:
    return None if job is None else job.state


def _name(state: JobState | None) -> str:
    return "nowhere" if state is None else state.name


async def _true(work: Awaitable[None]) -> bool:
    await work
    return True
