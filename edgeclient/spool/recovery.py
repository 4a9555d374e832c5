"""What a crash has left: attempts that somebody began and nobody finished.

Each start has a number, the epoch. A row in SENDING of an earlier one was perhaps billed, and nobody knows: it becomes
UNCERTAIN, and is sent once more if the policy says so. A job that takes the daemon down with it twice is buried. Live
calls stay as they are: their callers come back with the same key and are told. A job whose batch was planned, and
certainly not ordered, waits again as if nothing had been.
"""

from edgeclient.core.jobs import JobKind, JobState
from edgeclient.policy.job_states import JobEvent, after
from edgeclient.spool.attempts import may_resend
from edgeclient.spool.ending import CHUNK_ROWS, cancelled, drop_request, lost_outcome, purge_due, store_error
from edgeclient.spool.half_price import batch_rows
from edgeclient.spool.rows import Row
from edgeclient.spool.session import Session

CRASHES_UNTIL_DEAD = 2


def start_epoch(session: Session) -> None:
    """A new daemon has opened the queue."""
    session.ledger.epoch += 1
    session.dirty = True


def settle_some(session: Session) -> int:
    """Settle some attempts of earlier daemons; 0: there are none left."""
    rows = session.rows(
        "orphans",
        sending=JobState.SENDING.value,
        kind=JobKind.JOB.value,
        epoch=session.ledger.epoch,
        limit=CHUNK_ROWS,
    )
    for row in rows:
        _settle(session, row)
    return len(rows)


def release_unheld(session: Session) -> None:
    """Undo attempts of this daemon that nobody holds: their commit was thought to have failed, so nothing was sent."""
    for row in session.rows("sending_now", sending=JobState.SENDING.value, epoch=session.ledger.epoch):
        if row.attempt_id in session.live:
            continue
        fence = {"id": row.id, "attempt_id": row.attempt_id, "epoch": row.epoch}
        if row.kind == JobKind.CALL.value:
            session.run("forget_attempt", **fence)
            session.ledger.purged_total += 1
            session.moved(row, None)
        else:
            to = after(JobState.SENDING, JobEvent.BLOCK).value
            session.change(
                "retry_attempt", row, to=to, attempt_due=0, uncounted=1, resent=0, **fence, **{"from": row.state}
            )


def withdraw(session: Session, job_ids: set[str]) -> None:
    """Remove requests without a key whose callers were told that nobody knows, before anybody sends them."""
    for job_id in job_ids:
        row = session.maybe("job_by_id", id=job_id)
        if row is not None and row.state == JobState.QUEUED.value:
            session.run("withdraw", id=job_id)
            session.ledger.purged_total += 1
            session.moved(row, None)


def _settle(session: Session, row: Row) -> None:
    if batch_rows.is_line(session, row):  # of a batch that was not ordered yet, else it would be SUBMITTED
        batch_rows.take_back(session, row)
        return
    session.ledger.uncertain_total += 1
    uncertain = after(JobState(row.state), JobEvent.LOSE)
    to, resent = uncertain, False
    if row.cancel_requested:
        to = after(uncertain, JobEvent.CANCEL)
    elif row.crash_count + 1 >= CRASHES_UNTIL_DEAD:
        to = after(uncertain, JobEvent.BURY)
    elif may_resend(row):
        to, resent = after(uncertain, JobEvent.RESEND), True
        session.ledger.resent_total += 1
    lost = lost_outcome("the node stopped while an attempt was under way")
    store_error(session, row, cancelled(possibly_billed=True) if row.cancel_requested else lost)
    drop_request(session, row, to)
    ended = not resent
    session.change(
        "crash_attempt",
        row,
        id=row.id,
        attempt_id=row.attempt_id,
        epoch=row.epoch,
        to=to.value,
        resent=int(resent),
        end_ms=session.clock.wall_ms() if ended else 0,
        purge_due=purge_due(session, row) if ended else 0,
        **{"from": row.state},
    )
