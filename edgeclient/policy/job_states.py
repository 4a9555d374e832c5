"""What can become of a job: the whole table, decided here and applied by the queue's SQL.

    event        what happened                                            from                       to
    BEGIN        intent to send committed                                 QUEUED, RETRY_WAIT         SENDING
    SUCCEED      the whole answer is here                                 SENDING, SUBMITTED         SUCCEEDED
    GIVE         the answer was there already: nothing is sent            QUEUED, RETRY_WAIT         SUCCEEDED
    RETRY        the attempt was certainly not billed, another follows    SENDING, SUBMITTED         RETRY_WAIT
    EXHAUST      the same, and no attempt is left                         SENDING, SUBMITTED         DEAD
    REFUSE       refused for good                                         SENDING, SUBMITTED         FAILED
    BLOCK        nobody's request would pass now (credentials, billing)   SENDING, SUBMITTED         QUEUED
    LOSE         perhaps billed, outcome unknown; or a crash              SENDING, SUBMITTED         UNCERTAIN
    RESEND       the policy permits one more                              UNCERTAIN                  RETRY_WAIT
    BURY         it has crashed the daemon twice                          UNCERTAIN                  DEAD
    HAND_OVER    a batch of the provider holds it, or perhaps will        SENDING                    SUBMITTED
    COME_BACK    the batch that was missing has come to light             UNCERTAIN                  SUBMITTED
    PARK         a live call becomes a job                                SENDING                    QUEUED
    EXPIRE       its time is over                                         QUEUED, RETRY_WAIT         EXPIRED
    CANCEL       the caller does not want it any more                     QUEUED, RETRY_WAIT, UNCERTAIN     CANCELLED
    GIVE_UP      the same, and the running attempt has failed             SENDING, SUBMITTED         CANCELLED
    SPOIL        its stored request is damaged                            QUEUED, RETRY_WAIT, UNCERTAIN     DEAD
    ERASE        the caller wants no trace of it                          any                        ERASED

A cell that is not here must not happen: it is an error that names both. No terminal state has a way out but ERASE.
"""

from enum import Enum

from edgeclient.core.jobs import JobState


class JobEvent(Enum):
    """What can happen to a job; see the module."""

    BEGIN = "begin"
    SUCCEED = "succeed"
    GIVE = "give"
    RETRY = "retry"
    EXHAUST = "exhaust"
    REFUSE = "refuse"
    BLOCK = "block"
    LOSE = "lose"
    RESEND = "resend"
    BURY = "bury"
    HAND_OVER = "hand over"
    COME_BACK = "come back"
    PARK = "park"
    EXPIRE = "expire"
    CANCEL = "cancel"
    GIVE_UP = "give up"
    SPOIL = "spoil"
    ERASE = "erase"


TRANSITIONS = {
    (JobState.QUEUED, JobEvent.BEGIN): JobState.SENDING,
    (JobState.QUEUED, JobEvent.GIVE): JobState.SUCCEEDED,
    (JobState.QUEUED, JobEvent.EXPIRE): JobState.EXPIRED,
    (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.QUEUED, JobEvent.SPOIL): JobState.DEAD,
    (JobState.QUEUED, JobEvent.ERASE): JobState.ERASED,
    (JobState.SENDING, JobEvent.SUCCEED): JobState.SUCCEEDED,
    (JobState.SENDING, JobEvent.RETRY): JobState.RETRY_WAIT,
    (JobState.SENDING, JobEvent.EXHAUST): JobState.DEAD,
    (JobState.SENDING, JobEvent.REFUSE): JobState.FAILED,
    (JobState.SENDING, JobEvent.BLOCK): JobState.QUEUED,
    (JobState.SENDING, JobEvent.LOSE): JobState.UNCERTAIN,
    (JobState.SENDING, JobEvent.HAND_OVER): JobState.SUBMITTED,
    (JobState.SENDING, JobEvent.PARK): JobState.QUEUED,
    (JobState.SENDING, JobEvent.GIVE_UP): JobState.CANCELLED,
    (JobState.SENDING, JobEvent.ERASE): JobState.ERASED,
    (JobState.RETRY_WAIT, JobEvent.BEGIN): JobState.SENDING,
    (JobState.RETRY_WAIT, JobEvent.GIVE): JobState.SUCCEEDED,
    (JobState.RETRY_WAIT, JobEvent.EXPIRE): JobState.EXPIRED,
    (JobState.RETRY_WAIT, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.RETRY_WAIT, JobEvent.SPOIL): JobState.DEAD,
    (JobState.RETRY_WAIT, JobEvent.ERASE): JobState.ERASED,
    (JobState.SUBMITTED, JobEvent.SUCCEED): JobState.SUCCEEDED,
    (JobState.SUBMITTED, JobEvent.RETRY): JobState.RETRY_WAIT,
    (JobState.SUBMITTED, JobEvent.EXHAUST): JobState.DEAD,
    (JobState.SUBMITTED, JobEvent.REFUSE): JobState.FAILED,
    (JobState.SUBMITTED, JobEvent.BLOCK): JobState.QUEUED,
    (JobState.SUBMITTED, JobEvent.LOSE): JobState.UNCERTAIN,
    (JobState.SUBMITTED, JobEvent.GIVE_UP): JobState.CANCELLED,
    (JobState.SUBMITTED, JobEvent.ERASE): JobState.ERASED,
    (JobState.UNCERTAIN, JobEvent.RESEND): JobState.RETRY_WAIT,
    (JobState.UNCERTAIN, JobEvent.BURY): JobState.DEAD,
    (JobState.UNCERTAIN, JobEvent.COME_BACK): JobState.SUBMITTED,
    (JobState.UNCERTAIN, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.UNCERTAIN, JobEvent.SPOIL): JobState.DEAD,
    (JobState.UNCERTAIN, JobEvent.ERASE): JobState.ERASED,
    (JobState.SUCCEEDED, JobEvent.ERASE): JobState.ERASED,
    (JobState.FAILED, JobEvent.ERASE): JobState.ERASED,
    (JobState.EXPIRED, JobEvent.ERASE): JobState.ERASED,
    (JobState.CANCELLED, JobEvent.ERASE): JobState.ERASED,
    (JobState.DEAD, JobEvent.ERASE): JobState.ERASED,
    (JobState.ERASED, JobEvent.ERASE): JobState.ERASED,
}


def after(state: JobState, event: JobEvent) -> JobState:
    """The state after it.

    Raises:
        LookupError: That cannot happen in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise LookupError(f"no transition for {event} in state {state}") from None


def allows(state: JobState, event: JobEvent) -> bool:
    """Whether it can happen in this state."""
    return (state, event) in TRANSITIONS
