"""What is committed about jobs that go out at half price: operations of a session, each of some rows.

The order of commits is what keeps a job from being sent twice. Jobs are begun with the plan of their batch; all of them
are handed over before the order; the order is intended before it leaves. Whatever a crash leaves of the first two was
certainly not billed, and goes back to those that wait. What it leaves of the last one may have been, and then the
resend policy of each job decides, as after any attempt of unknown outcome.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from edgeclient.core.call import Call
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, Reason, Unavailable, Uncertain
from edgeclient.core.half_price import FinishAnswer, LineResult
from edgeclient.core.jobs import RUNNABLE, Attempt, Job, JobState
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.policy.provider_batch import Rest
from edgeclient.spool import attempts, reading
from edgeclient.spool.attempts import Failure
from edgeclient.spool.half_price import batch_rows
from edgeclient.spool.half_price.batch_rows import CHUNK_ROWS, Batch, Line
from edgeclient.spool.rows import Row
from edgeclient.spool.session import Session
from edgeclient.v1 import chat_pb2

__all__ = ["CHUNK_ROWS"]

Judge = Callable[[CallError, int], Failure]
"""What follows from the failure of a line, with the attempts of its job so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a line.

    Attributes:
        outcome: As in `BatchLinesSettled`.
        job_id: Its job's; "" if that is gone.
        job: The job after it; None if it is nobody's any more.
        answered: What the answer cost.
        reply: The request and its answer, for who keeps answers.
    """

    outcome: str
    job_id: str = ""
    job: Job | None = None
    answered: BatchAnswered | None = None
    reply: tuple[Call, chat_pb2.ChatResponse] | None = None


def deferred_ids(session: Session) -> list[str]:
    """Jobs that wait for half price."""
    return [job_id for (job_id,) in session.run("deferred_ids")]


def release(session: Session, job_ids: Iterable[str]) -> None:
    """These go the ordinary road; who follows the changes sees it."""
    for job_id in job_ids:
        row = session.maybe("job_by_id", id=job_id)
        if row is not None:
            session.run("undefer", seq=row.seq)
            if JobState(row.state) in RUNNABLE:
                session.change("touch", row, id=row.id, **{"from": row.state})


def requests(session: Session, job_ids: Iterable[str]) -> list[Job]:
    """Those of these that wait, with their requests."""
    return [job for job_id in job_ids if (job := reading.peek(session, job_id)) is not None]


def plan(session: Session, batch: Batch) -> Batch:
    """Store a new batch."""
    return batch_rows.insert(session, batch)


def begin(session: Session, batch: Batch, wanted: Sequence[tuple[str, str]]) -> list[Attempt]:
    """Begin jobs as lines of a batch; those that cannot be begun any more are left out."""
    begun = []
    for job_id, attempt_id in wanted:
        attempt = attempts.begin(session, job_id, attempt_id)
        if attempt is not None:
            batch_rows.add_line(session, batch, seq=attempt.job.seq, attempt_id=attempt_id, epoch=attempt.epoch)
            begun.append(attempt)
    return begun


def hand_over(session: Session, batch: Batch, after_seq: int) -> int | None:
    """Hand over some lines, before the order; returns the last one, 0 at the end.

    None: somebody else has a job of the batch, after a failure of the storage; the batch must not be ordered.
    """
    some = batch_rows.lines(session, batch, after_seq)
    if any(True for _ in batch_rows.strays(session, some)):
        return None
    for line in some:
        row = batch_rows.job_of(session, line)
        if row is not None and row.state == JobState.SENDING.value:
            batch_rows.hand_over(session, row)
    return some[-1].seq if some else 0


def line_ids(session: Session, batch: Batch, after_seq: int) -> list[tuple[int, str]]:
    """Numbers and ids of the jobs of some lines."""
    found = []
    for line in batch_rows.lines(session, batch, after_seq):
        row = session.maybe("job_by_seq", seq=line.seq)
        found.append((line.seq, row.id if row is not None else ""))
    return found


def disband(session: Session, batch: Batch, *, live: bool) -> int:
    """Give some jobs of a batch back that was certainly not run; returns how many lines were left.

    Args:
        session: What it works with.
        batch: Which.
        live: They go the ordinary road.
    """
    some = batch_rows.lines(session, batch, -1)
    for line in some:
        if live:
            session.run("undefer", seq=line.seq)
        row = batch_rows.job_of(session, line)
        if row is not None and row.state in _UNDER_WAY:
            batch_rows.take_back(session, row)
        else:
            batch_rows.drop_line(session, line)
    return len(some)


def settle(
    session: Session, batch: Batch, results: Sequence[LineResult], *, finish: FinishAnswer, judge: Judge
) -> list[Settled]:
    """Commit what became of some lines. Lines that were settled before are left out, so it may be done again."""
    return [each for result in results if (each := _settle(session, batch, result, finish, judge)) is not None]


def _settle(session: Session, batch: Batch, result: LineResult, finish: FinishAnswer, judge: Judge) -> Settled | None:
    job_id, _, attempt_id = result.custom_id.rpartition(".")
    row = session.maybe("job_by_id", id=job_id) if job_id else None
    if row is None:
        return None
    line = _line_of(session, batch, row, attempt_id)
    if line is None:
        return None
    batch_rows.drop_line(session, line)
    if batch_rows.job_of(session, line) is None or row.state != JobState.SUBMITTED.value:
        return Settled(outcome="unwanted", job_id=row.id)
    attempt = batch_rows.attempt_of(session, row)
    if result.response is not None:
        call = _call(session, row)
        answered = finish(call, result.response)
        attempts.succeed(session, attempt, result.response.SerializeToString())
        reply = (call, result.response)
        return Settled(outcome="succeeded", job_id=row.id, job=_present(session, row), answered=answered, reply=reply)
    error = result.error or _silent()
    return _failed(session, attempt, judge(error, row.attempt_count))


def doubt(session: Session, batch: Batch, judge: Judge) -> list[Settled]:
    """Commit for some jobs of a batch that nobody finds that their outcome is not known; none: it is for all.

    Who is not sent again stays a line, for the batch may come to light and answer it.
    """
    error = Uncertain(Reason.ERROR_REASON_OUTCOME_UNKNOWN, "its batch was perhaps ordered, and cannot be found")
    settled = []
    for row in batch_rows.jobs_in(session, batch, JobState.SUBMITTED):
        each = _failed(session, batch_rows.attempt_of(session, row), judge(error, row.attempt_count))
        if each.job is not None and each.job.state is JobState.UNCERTAIN:
            each = replace(each, outcome="missing")
        else:
            session.run("drop_line", seq=row.seq)
        settled.append(each)
    return settled


def come_back(session: Session, batch: Batch) -> int:
    """A batch has come to light: go on with some of its jobs that are in doubt; returns how many these were."""
    rows = batch_rows.jobs_in(session, batch, JobState.UNCERTAIN)
    for row in rows:
        batch_rows.come_back(session, row)
    return len(rows)


def rest(session: Session, batch: Batch, what: Rest, why: str) -> list[Settled] | None:
    """Commit what becomes of some lines of which no result tells; None: there are none left."""
    some = batch_rows.lines(session, batch, -1)
    settled = []
    for line in some:
        batch_rows.drop_line(session, line)
        row = batch_rows.job_of(session, line)
        if row is not None and row.state == JobState.SUBMITTED.value:
            settled.append(_failed(session, batch_rows.attempt_of(session, row), _no_result(what, why)))
        else:
            settled.append(_not_under_way(session, line))
    return settled if some else None


def _not_under_way(session: Session, line: Line) -> Settled:
    """Of a job that has ended: in doubt, which it stays, or because nobody wants it any more."""
    row = session.maybe("job_by_seq", seq=line.seq)
    in_doubt = row is not None and row.state == JobState.UNCERTAIN.value
    return Settled(outcome="unknown" if in_doubt else "unwanted", job_id=row.id if row is not None else "")


def lose_unbatched(session: Session) -> list[Settled]:
    """Jobs whose batch was lost with damaged storage: nobody knows what becomes of them."""
    rows = session.rows("unbatched", limit=CHUNK_ROWS)
    failure = _no_result(Rest.UNKNOWN, "what the node knew of its batch was lost")
    return [_failed(session, batch_rows.attempt_of(session, row), failure) for row in rows]


def _failed(session: Session, attempt: Attempt, failure: Failure) -> Settled:
    job = attempts.fail(session, attempt, failure)
    if job is None:
        return Settled(outcome="unwanted", job_id=attempt.job.id)
    if job.state in RUNNABLE:
        outcome = "resent" if failure.error.possibly_billed else "returned"
        return Settled(outcome=outcome, job_id=job.id, job=job)
    return Settled(outcome="unknown" if failure.error.possibly_billed else "failed", job_id=job.id, job=job)


def _no_result(what: Rest, why: str) -> Failure:
    if what is Rest.UNKNOWN:
        return Failure(error=Uncertain(Reason.ERROR_REASON_OUTCOME_UNKNOWN, why), retry_in_s=0.0, counts=True)
    return Failure(error=Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, why), retry_in_s=0.0, counts=False)


def _silent() -> CallError:
    return Uncertain(Reason.ERROR_REASON_OUTCOME_UNKNOWN, "its line of results tells neither an answer nor an error")


def _line_of(session: Session, batch: Batch, row: Row, attempt_id: str) -> Line | None:
    for name, line_attempt_id, epoch in session.run("line_of", seq=row.seq):
        if (name, line_attempt_id) == (batch.name, attempt_id):
            return Line(seq=row.seq, attempt_id=line_attempt_id, epoch=epoch)
    return None


def _call(session: Session, row: Row) -> Call:
    request = reading.request_of(session, row) or chat_pb2.ChatRequest()
    return Call(
        id=row.id,
        request=request,
        caller=row.caller,
        deadline=Deadline(),
        attempt_count=row.attempt_count,
        background=True,
    )


def _present(session: Session, row: Row) -> Job:
    return replace(session.job(session.rows("job_by_id", id=row.id)[0]))


_UNDER_WAY = (JobState.SENDING.value, JobState.SUBMITTED.value)
