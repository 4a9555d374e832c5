"""The drainer's picture of what waits: the fair queue, fed with rows of the storage.

Times in it are on the monotonic clock: pauses between attempts neither end early nor hang when the wall clock is set.
Whether a job's time is over is known to the storage alone; here is only known when it is worth asking.

A job that was refused for a reason that concerns all (a wrong key, an empty account) is set aside while that lasts, so
that the next probe is another job's turn: the refusal may concern this one only. Where there is no other job, the one
that was set aside first is the probe. A job whose model is closed (`closed_models.py`) is set aside too, under its
model, and waits to be called up. Jobs of a caller that is at a limit of its own (`held_callers.py`) keep their places
and are passed over.
"""

from collections.abc import Callable
from dataclasses import replace

from edgeclient.core.jobs import Job, Waiting
from edgeclient.core.ports import Clock
from edgeclient.policy.fair_queue import FairQueue

_LATE_MS = 100  # after the storage's own moment, whose clock may be behind ours by a rounding
_LONGEST_DELAY_MS = 86_400_000  # the largest spool.retry_max_s; a wall clock that was set back must not hang a job
_ASIDE_MS = 3_600_000


class WaitingRoom:
    """Who waits; see the module.

    Args:
        clock: Both clocks of the node.
        passed_over: Whether jobs of a caller are, at present.
    """

    def __init__(self, *, clock: Clock, passed_over: Callable[[str], bool] = lambda _caller: False) -> None:
        self._clock = clock
        self._passed_over = passed_over
        self._queue = FairQueue[Waiting](lane_of=_caller)
        self._aside: dict[str, dict[str, Waiting]] = {}
        self._aside_for: dict[str, str] = {}

    def __len__(self) -> int:
        """Jobs that wait, whatever for."""
        return len(self._queue)

    def __repr__(self) -> str:
        return f"<WaitingRoom {self._queue!r}>"

    def enter(self, job: Waiting | Job) -> None:
        """A job waits, as the storage tells it."""
        if job.id not in self._aside_for:
            self._queue.add(self._on_our_clock(_waiting(job) if isinstance(job, Job) else job))

    def back(self, job: Waiting, *, delay_s: float = 0.0) -> None:
        """A job that was taken, and was not sent, waits again."""
        self._queue.add(replace(job, next_attempt_ms=self._now_ms() + round(delay_s * 1000) if delay_s else 0))

    def set_aside(self, job: Job | Waiting, *, model: str = "") -> None:
        """A job that was taken was refused, or not tried, because its model is closed; "": because all are."""
        if isinstance(job, Job):  # it was tried, and may be again at any time
            job = replace(self._on_our_clock(_waiting(job)), next_attempt_ms=self._now_ms())
        self._aside_for[job.id] = model
        self._aside.setdefault(model, {})[job.id] = job
        self._queue.add(replace(job, next_attempt_ms=self._now_ms() + _ASIDE_MS))  # its time runs out as ever

    def call_up(self, model: str = "") -> bool:
        """Whoever was set aside first for a model waits like everybody; False: nobody was."""
        first = next(iter(self._aside.get(model, {}).values()), None)
        if first is not None:
            self._forget_aside(first.id)
            self._queue.add(first)
        return first is not None

    def call_back(self, model: str = "") -> None:
        """A model is open again, or all are: who was set aside for that waits like everybody."""
        while self.call_up(model):
            pass

    def next(self) -> Waiting | None:
        """Take the job whose turn it is; taken until `enter`, `back`, `set_aside` or `leave`."""
        now_ms = self._now_ms()
        job = self._queue.first(now_ms, self._is_closed)
        while job is None and self.call_up():
            job = self._queue.first(now_ms, self._is_closed)
        if job is not None:
            self._queue.take()
            self._forget_aside(job.id)
        return job

    def leave(self, job_id: str) -> Waiting | None:
        """A job waits no more; None: it was not known."""
        self._forget_aside(job_id)
        return self._queue.remove(job_id)

    def has_overdue(self) -> bool:
        """Whether the time of a job seems to be over that was not told of before."""
        return bool(self._queue.expired(self._now_ms()))

    def due_s(self, looked_s: float) -> float | None:
        """When there may be something new by the mere passing of time since a moment; both on the monotonic clock.

        None: never.
        """
        due_ms = self._queue.due_ms(int(looked_s * 1000))
        return None if due_ms is None else due_ms / 1000

    def _is_closed(self, _priority: int, caller: str) -> bool:
        return self._passed_over(caller)

    def _forget_aside(self, job_id: str) -> None:
        model = self._aside_for.pop(job_id, None)
        if model is not None:
            jobs = self._aside[model]
            del jobs[job_id]
            if not jobs:
                del self._aside[model]

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_s() * 1000)

    def _on_our_clock(self, job: Waiting) -> Waiting:
        """The job with its times on the monotonic clock."""
        wall_ms = round(self._clock.wall_s() * 1000)
        now_ms = self._now_ms()
        delay_ms = min(job.next_attempt_ms - wall_ms, _LONGEST_DELAY_MS)
        return replace(
            job,
            create_ms=now_ms - max(0, wall_ms - job.create_ms),
            expire_ms=now_ms + max(0, job.expire_ms - wall_ms) + _LATE_MS,
            next_attempt_ms=now_ms + delay_ms if delay_ms > 0 else 0,
        )


def _caller(job: Waiting) -> str:
    return job.caller


def _waiting(job: Job) -> Waiting:
    return Waiting(
        id=job.id,
        caller=job.caller,
        conversation_id=job.conversation_id,
        priority=job.priority,
        seq=job.seq,
        create_ms=job.create_ms,
        expire_ms=job.expire_ms,
        next_attempt_ms=job.next_attempt_ms,
    )
