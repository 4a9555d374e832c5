"""The life of a batch: a table of states and what moves them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """As the API spells them."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What happens to a batch."""

    ACCEPT = "accept"  # the file is good
    REJECT = "reject"  # the file is not
    LINES_DONE = "lines_done"  # nothing runs, nothing more will
    DELIVER = "deliver"
    CANCEL = "cancel"
    EXPIRE = "expire"


TRANSITIONS: Final[Mapping[tuple[Status, Move], Status]] = {
    (Status.VALIDATING, Move.ACCEPT): Status.IN_PROGRESS,
    (Status.VALIDATING, Move.REJECT): Status.FAILED,
    (Status.VALIDATING, Move.CANCEL): Status.CANCELLING,
    (Status.VALIDATING, Move.EXPIRE): Status.EXPIRED,
    (Status.IN_PROGRESS, Move.LINES_DONE): Status.FINALIZING,
    (Status.IN_PROGRESS, Move.CANCEL): Status.CANCELLING,
    (Status.IN_PROGRESS, Move.EXPIRE): Status.EXPIRED,
    (Status.FINALIZING, Move.DELIVER): Status.COMPLETED,
    (Status.FINALIZING, Move.EXPIRE): Status.EXPIRED,
    (Status.CANCELLING, Move.LINES_DONE): Status.CANCELLED,
    (Status.CANCELLING, Move.CANCEL): Status.CANCELLING,
    (Status.CANCELLING, Move.EXPIRE): Status.EXPIRED,
    (Status.CANCELLED, Move.CANCEL): Status.CANCELLED,
}
ENDED: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED})


class ForbiddenMoveError(ValueError):
    """The table has no such cell."""


def moved(status: Status, move: Move) -> Status:
    """The state after `move`."""
    if (after := TRANSITIONS.get((status, move))) is None:
        raise ForbiddenMoveError(f"a batch in state {status.value} cannot {move.value}")
    return after
