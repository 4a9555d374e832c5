"""Jobs that wait at half price until there are enough of them: a picture in memory, true to the changes of the queue.

A job's model and the size of its line are found out once, when it comes. Times are on the monotonic clock, but for what
is left of a ttl: the storage tells it in wall time, and it only decides which road is worth trying.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from edgeclient.core.jobs import Job, Waiting
from edgeclient.core.ports import Clock
from edgeclient.policy.demand import Demand
from edgeclient.policy.half_price import Candidate


@dataclass(slots=True)
class Waiter:
    """A job that waits.

    Attributes:
        job: As the storage tells it.
        since_s: When it came, or when its pause is over.
        model: Id of its model; "" as long as nobody has looked.
        size_bytes: Of its line.
        demand: What it will cost at most.
    """

    job: Job | Waiting
    since_s: float
    model: str = ""
    size_bytes: int = 0
    demand: Demand | None = None


class Company:
    """See the module.

    Args:
        clock: Both clocks of the node.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._waiters: dict[str, Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def enter(self, job: Job | Waiting) -> None:
        """A job waits."""
        known = self._waiters.get(job.id)
        pause_s = max(0.0, job.next_attempt_ms / 1000 - self._clock.wall_s()) if job.next_attempt_ms else 0.0
        if known is None:
            self._waiters[job.id] = Waiter(job, self._clock.monotonic_s() + pause_s)
        else:
            known.job = job

    def leave(self, job_id: str) -> Waiter | None:
        """It waits no more; None: it was not known."""
        return self._waiters.pop(job_id, None)

    def strangers(self) -> list[str]:
        """Jobs that nobody has looked at yet."""
        return [job_id for job_id, waiter in self._waiters.items() if not waiter.model]

    def introduce(self, job_id: str, *, model: str, size_bytes: int, demand: Demand) -> None:
        """What was found when somebody looked."""
        waiter = self._waiters.get(job_id)
        if waiter is not None:
            waiter.model, waiter.size_bytes, waiter.demand = model, size_bytes, demand

    def demand(self, job_id: str) -> Demand | None:
        """What a job will cost at most; None: it waits no more."""
        waiter = self._waiters.get(job_id)
        return waiter.demand if waiter is not None else None

    def set_aside(self, job_id: str, for_s: float) -> None:
        """It may go, and collects company, when so much time has passed."""
        waiter = self._waiters.get(job_id)
        if waiter is not None:
            waiter.since_s = self._clock.monotonic_s() + for_s

    def candidates(self) -> list[Candidate]:
        """Those that may go now, in order of acceptance."""
        return sorted(self._candidates(), key=lambda each: self._waiters[each.id].job.seq)

    def due_s(self) -> float:
        """When the next pause is over; `inf`: nobody pauses."""
        now_s = self._clock.monotonic_s()
        return min((each.since_s for each in self._waiters.values() if each.since_s > now_s), default=inf)

    def _candidates(self) -> Iterator[Candidate]:
        now_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        for job_id, waiter in self._waiters.items():
            if waiter.model and waiter.since_s <= now_s:
                yield Candidate(
                    id=job_id,
                    model=waiter.model,
                    size_bytes=waiter.size_bytes,
                    since_s=waiter.since_s,
                    left_s=waiter.job.expire_ms / 1000 - wall_s,
                )
