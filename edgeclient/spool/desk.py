"""What an operator sees and may do, as operations of a session: with the daemon's files, or in the daemon itself.

Nothing here begins or ends a transaction; whoever calls does. Erasing wants the log emptied afterwards.

Only `retry` is the operator's own: to send again what may be billed again is a decision of a person. A job that is
UNCERTAIN goes back into the queue. One that has ended stays what it is, for it was promised that a job ends once; what
it asked is handed over to a new job, and with it the request, so that no job is retried twice by mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgeclient.core.errors import CallError
from edgeclient.core.jobs import Job, JobKind, JobState, SpoolStats
from edgeclient.spool import ending
from edgeclient.spool.contents import DamagedError, Part
from edgeclient.spool.offline_files import operator_statements
from edgeclient.spool.retrying import requeued, resubmitted
from edgeclient.spool.rows import Row, sound
from edgeclient.spool.session import Session, as_list
from edgeclient.v1 import chat_pb2, error_pb2

RETRYABLE = (JobState.UNCERTAIN, JobState.FAILED, JobState.DEAD, JobState.EXPIRED)
END_OF_SEQ = 1 << 62
PAGE_ROWS = 200


class NotRetryableError(Exception):
    """This job cannot be sent again; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A job that is sent again.

    Attributes:
        job_id: Which one.
        was: The state that it was in, and still is if it had ended.
        job: What is sent: the job itself if its outcome was not known, else a new one.
    """

    job_id: str
    was: JobState
    job: Job


class Desk:
    """See the module.

    Args:
        session: The queue.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def page(
        self,
        *,
        states: Sequence[str] = (),
        caller: str = "",
        before_seq: int = END_OF_SEQ,
        limit: int = PAGE_ROWS,
        content: bool = False,
    ) -> list[Job]:
        """Jobs and live calls, newest first; the last one's `seq` is where the next page begins.

        Args:
            states: Names of states, in any case; empty: all.
            caller: Only of this one; "": all.
            before_seq: Only older ones.
            limit: At most so many.
            content: With request and response, as far as they are kept and sound.
        """
        wanted = as_list([JobState[state.upper()].value for state in states] or [state.value for state in JobState])
        rows = self.session.connection.execute(
            operator_statements()["operator_jobs"],
            {"before_seq": before_seq, "states": wanted, "caller": caller, "limit": limit},
        )
        return [self._job(sound(each), content=content) for each in rows.fetchall()]

    def job(self, job_id: str, *, content: bool = False) -> Job | None:
        """One job of whatever caller."""
        row = self.session.maybe("job_by_id", id=job_id)
        return None if row is None else self._job(row, content=content)

    def cancel(self, job_id: str) -> Job | None:
        """CANCELLED, or asked for if an attempt is, or was, under way."""
        row = self.session.maybe("job_by_id", id=job_id)
        return None if row is None else ending.cancel(self.session, row.caller, job_id)

    def retryable(self, states: Sequence[str], *, before_seq: int = END_OF_SEQ) -> tuple[list[str], int, int]:
        """Some jobs that can be sent again, newest first.

        Args:
            states: Names of states in which to look for them, in any case.
            before_seq: Only older ones.

        Returns:
            Their ids; how many others cannot because their request is gone; where the next page begins, 0: nowhere.
        """
        jobs = self.page(states=states, before_seq=before_seq, content=True)
        some = [job for job in jobs if job.kind is JobKind.JOB and job.state in RETRYABLE]
        ids = [job.id for job in some if job.request is not None]
        return ids, len(some) - len(ids), jobs[-1].seq if jobs else 0

    def retry(self, job_id: str) -> Retried | None:
        """Send a job again, with a fresh ttl and fresh attempts; see the module. It may be billed once more.

        Raises:
            NotRetryableError: Its state forbids it, its request is not there any more, or there is no room.
        """
        row = self.session.maybe("job_by_id", id=job_id)
        if row is None:
            return None
        state = JobState(row.state)
        if row.kind != JobKind.JOB.value:
            raise NotRetryableError(f"job {job_id} is a call, which only its device can repeat")
        if state not in RETRYABLE:
            raise NotRetryableError(f"job {job_id} is {state.name}, not UNCERTAIN, FAILED, DEAD or EXPIRED")
        request = self._request(row)
        if request is None:
            raise NotRetryableError(f"job {job_id} is {state.name} and its request is not kept any more")
        again = requeued if state is JobState.UNCERTAIN else partial(resubmitted, request=request)
        try:
            job = self._job(again(self.session, row), content=False)
        except CallError as error:
            raise NotRetryableError(f"job {job_id} cannot be retried now: {error.message}") from None
        return Retried(job_id=job_id, was=state, job=job)

    def erase(self, job_id: str) -> bool:
        """Destroy the content; False if there is no such job."""
        row = self.session.maybe("job_by_id", id=job_id)
        if row is None:
            return False
        ending.erase(self.session, row.caller, job_id)
        return True

    def stats(self) -> SpoolStats:
        """The counts."""
        self.session.room.measure(self.session.connection)
        return self.session.tally.stats(self.session.ledger, free_bytes=self.session.room.free_bytes)

    def _job(self, row: Row, *, content: bool) -> Job:
        job = self.session.job(row)
        if job.state is JobState.SUBMITTED:
            job = replace(job, batch_id=next((found for (found,) in self.session.run("batch_of", seq=row.seq)), ""))
        error = self._part(row, Part.ERROR) if row.state != JobState.SUCCEEDED.value else None
        if error is not None:
            job = replace(job, error=error_pb2.Error.FromString(error))
        if not content:
            return job
        response = self._part(row, Part.RESPONSE)
        return replace(
            job,
            request=self._request(row),
            response=None if response is None else chat_pb2.ChatResponse.FromString(response),
        )

    def _request(self, row: Row) -> chat_pb2.ChatRequest | None:
        body = self._part(row, Part.REQUEST)
        return None if body is None else chat_pb2.ChatRequest.FromString(body)

    def _part(self, row: Row, part: Part) -> bytes | None:
        """Content that does not check is as good as gone; `verified` tells of it."""
        try:
            return self.session.contents.get(row.seq, row.id, row.caller, part)
        except DamagedError:
            return None
