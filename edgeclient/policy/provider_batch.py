"""The life of a batch at the provider, seen from here: the whole table, decided here and applied by the queue's SQL.

    event      what happened                                                    from                        to
    UPLOAD     its file is at the provider, free of charge                      PLANNED                     UPLOADED
    INTEND     intent to create it committed; its jobs are SUBMITTED            UPLOADED                    CREATING
    CREATED    the provider told its id, or a listing did                       CREATING                    SUBMITTED
    END        the provider will do no more                                     SUBMITTED                   COLLECTING
    COLLECT    each line is accounted for                                       COLLECTING                  CLEANING
    DISBAND    certainly not created: its jobs wait again                       PLANNED, UPLOADED, CREATING CLEANING
    LOSE       not listed, or not ended, long after its time: nobody knows      CREATING, SUBMITTED,        CLEANING
                                                                                COLLECTING

CLEANING deletes the provider's files; then the record goes as well. What is not in CREATING or beyond was certainly not
billed, so a crash there costs an upload. In CREATING nobody knows until a listing has told, and the batch is not
ordered again: as long as it is MISSING its jobs are in doubt, each by its own resend policy.
"""

from enum import Enum


class BatchState(Enum):
    """Where a batch stands. The value is what is stored; never renumber."""

    PLANNED = 1
    """Its jobs are in SENDING; the provider knows nothing, or has a file that nobody uses."""
    UPLOADED = 2
    """The file is there."""
    CREATING = 3
    """The order may be under way: committed before its first byte leaves."""
    SUBMITTED = 4
    """The provider has it; its id is known."""
    COLLECTING = 5
    """The provider has ended it."""
    CLEANING = 6
    """No job is in it any more; files may be left at the provider."""


class BatchEvent(Enum):
    """What can happen to a batch; see the module."""

    UPLOAD = "upload"
    INTEND = "intend"
    CREATED = "created"
    END = "end"
    COLLECT = "collect"
    DISBAND = "disband"
    LOSE = "lose"


TRANSITIONS = {
    (BatchState.PLANNED, BatchEvent.UPLOAD): BatchState.UPLOADED,
    (BatchState.PLANNED, BatchEvent.DISBAND): BatchState.CLEANING,
    (BatchState.UPLOADED, BatchEvent.INTEND): BatchState.CREATING,
    (BatchState.UPLOADED, BatchEvent.DISBAND): BatchState.CLEANING,
    (BatchState.CREATING, BatchEvent.CREATED): BatchState.SUBMITTED,
    (BatchState.CREATING, BatchEvent.DISBAND): BatchState.CLEANING,
    (BatchState.CREATING, BatchEvent.LOSE): BatchState.CLEANING,
    (BatchState.SUBMITTED, BatchEvent.END): BatchState.COLLECTING,
    (BatchState.SUBMITTED, BatchEvent.LOSE): BatchState.CLEANING,
    (BatchState.COLLECTING, BatchEvent.COLLECT): BatchState.CLEANING,
    (BatchState.COLLECTING, BatchEvent.LOSE): BatchState.CLEANING,
}


def after(state: BatchState, event: BatchEvent) -> BatchState:
    """The state after it.

    Raises:
        LookupError: That cannot happen in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise LookupError(f"no transition for {event} in state {state}") from None


MISSING = "missing"
"""In place of the provider's word: the order can be under way no longer, and no listing has shown the batch so far."""


class Rest(Enum):
    """What becomes of lines of which no result tells."""

    BACK = "not run and not billed: they wait again"
    LIVE = "not run and not billed, and would not be next time: they go the ordinary road"
    UNKNOWN = "perhaps run and billed"


RESTS = {"completed": Rest.UNKNOWN, "expired": Rest.BACK, "cancelled": Rest.BACK, "failed": Rest.LIVE}
"""By the provider's own word for the end of a batch; every other word is that of one that goes on."""
