"""The intent to send a job: committed when it is its turn, and before the first byte leaves.

A job that stands in a line waits on the disk as well. So a crash in that moment leaves it as it was, and nobody has to
wonder whether it was billed; its cancellation, erasure or end of time takes effect at once, like that of any other that
waits. What is begun is counted as an attempt, however many targets are asked in it: what came before the last of them
was certainly not billed.

When its turn comes, the reason to send it may be gone: it was cancelled, its time is over, the lane has closed. Then
its turn is given back, and what was reserved for it too.
"""

from collections.abc import Awaitable
from typing import TypeVar

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError
from edgeclient.core.job_events import JobStarted
from edgeclient.core.jobs import Attempt, Job
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.spool.job_run import DEFECT_PAUSE_S, JobRun, Phase, defect
from edgeclient.spool.lane import Lane
from edgeclient.v1 import chat_pb2

T = TypeVar("T")


class NotBegunError(Exception):
    """The attempt must not begin, and nothing was sent. It is no `CallError`: nobody on the road has to judge it.

    Args:
        reason: Why, for whoever debugs.

    Attributes:
        waits: The job waits on as it was; else the storage has to be asked what has become of it.
    """

    def __init__(self, reason: str, *, waits: bool) -> None:
        super().__init__(reason)
        self.waits = waits


class Intent:
    """That of one run; see the module.

    Args:
        run: The run.
        spool: The storage.
        lane: Says whether jobs may begin, and is told whether the storage works.
        config: The time budget of an attempt.
        observe: Takes `JobStarted` and `DefectFound`.
        clock: Measures.

    Attributes:
        attempt: What was begun; None: nothing, so nothing was sent.
    """

    __slots__ = ("_clock", "_config", "_lane", "_observe", "_run", "_spool", "attempt")

    def __init__(
        self, run: JobRun, *, spool: Spool, lane: Lane, config: SpoolConfig, observe: Observe, clock: Clock
    ) -> None:
        self._run = run
        self._spool = spool
        self._lane = lane
        self._config = config
        self._observe = observe
        self._clock = clock
        self.attempt: Attempt | None = None

    def deadline(self, job: Job) -> Deadline:
        """When an attempt that begins now has to have ended."""
        timeout_s = self._config.attempt_timeout_s
        if job.request is not None and job.request.HasField("timeout"):
            timeout_s = job.request.timeout.ToNanoseconds() / 1e9
        left_s = job.expire_ms / 1000 - self._clock.wall_s()
        if left_s > 0:  # else the wall clock has jumped: the storage, whose clock has not, says that there is time
            timeout_s = min(timeout_s, left_s)
        return Deadline.after(timeout_s, now_s=self._clock.monotonic_s())

    async def commit(self, call: Call, job: Job) -> None:
        """It is the job's turn; see `Call.before_send`. Once it is committed, further attempts at the call just begin.

        The time budget begins now: what the job has waited for its turn is not taken from its answer.

        Args:
            call: The call that asks for the job.
            job: The job as it waited.

        Raises:
            NotBegunError: Nothing may be sent.
        """
        if self.attempt is not None:
            return
        self._run.phase = Phase.BEGINNING
        if not self._lane.limit(self._clock.monotonic_s()):
            raise NotBegunError("the lane has closed since the job was taken", waits=True)
        self.attempt = attempt = await self.begun()
        if attempt is None:
            raise NotBegunError("the job has ended since it was taken", waits=False)
        if attempt.job.attempt_count == 1 and not job.next_attempt_ms:  # an attempt that did not count had a pause
            self._tell_started()
        if self._run.cancelled:
            raise NotBegunError("the job was cancelled while its intent was stored", waits=False)
        self._run.mark = self._lane.begin()
        self._run.phase = Phase.SENDING
        call.deadline = self.deadline(job)

    async def read(self) -> Job:
        """The job as it waits, with its request.

        Raises:
            NotBegunError: There is nothing to send, or the storage cannot be used.
        """
        job = await self._from_storage(self._spool.peek(self._run.job.id))
        if job is None:  # over, damaged or gone: to begin it is what settles that
            self.attempt = attempt = await self.begun()
            if attempt is None:
                raise NotBegunError("the job has ended since it was taken", waits=False)
            job = attempt.job
        return job

    async def begun(self) -> Attempt | None:
        """Begin it in the storage; None: it has ended, or does with this.

        Raises:
            NotBegunError: The storage cannot be used.
        """
        return await self._from_storage(self._spool.begin(self._run.job.id))

    async def _from_storage(self, wanted: Awaitable[T]) -> T:
        try:
            found = await wanted
        except CallError as error:
            self._lane.storage_failed(error)
            raise NotBegunError("the storage cannot be used", waits=True) from error
        except Exception as error:
            self._observe(defect(self._run.job.id, "job", error))
            self._run.delay_s = DEFECT_PAUSE_S
            raise NotBegunError("a defect of the storage", waits=True) from error
        self._lane.storage_worked()
        return found

    def _tell_started(self) -> None:
        job = self._run.job
        wait_s = self._clock.monotonic_s() - job.create_ms / 1000
        self._observe(JobStarted(job_id=job.id, priority=_priority(job.priority), wait_s=wait_s))


def _priority(number: int) -> str:
    known: dict[int, str] = {chat_pb2.PRIORITY_HIGH: "high", chat_pb2.PRIORITY_LOW: "low"}
    return known.get(number, "normal")
