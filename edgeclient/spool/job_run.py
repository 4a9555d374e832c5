"""A job that is under way: what is known of it while it is, and how it is asked to end.

Cancelling ends the wait for the provider, never a commit.
"""

import asyncio
import traceback
from collections.abc import Callable
from enum import Enum

from edgeclient.core.call import Call
from edgeclient.core.events import DefectFound
from edgeclient.core.jobs import Waiting

Admit = Callable[[Call], None]
"""Sets `Call.model`, or raises the error that a stored request fails with because it is not valid any more."""


class Phase(Enum):
    """How far a run is."""

    BEGINNING = 1
    SENDING = 2
    SETTLING = 3


class JobRun:
    """A job that is under way.

    Attributes:
        job: As it waited.
        mark: Of the ramp.
        model: The model that it wants, as soon as that is known.
        aside: It is not its turn before something has changed: for this model, which is closed, or "" for all. None: it
            is.
        cancelled: It was asked to end.
        phase: How far it is.
        task: Who works on it.
    """

    __slots__ = ("aside", "cancelled", "job", "mark", "model", "phase", "task")

    def __init__(self, job: Waiting, *, mark: int) -> None:
        self.job = job
        self.mark = mark
        self.model = ""
        self.aside: str | None = None
        self.cancelled = False
        self.phase = Phase.BEGINNING
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """End it as soon as that is safe. May be called again."""
        if not self.cancelled:
            self.cancelled = True
            if self.phase is Phase.SENDING and self.task is not None:
                self.task.cancel()


def defect(call_id: str, where: str, error: BaseException) -> DefectFound:
    """The event of an exception that the code does not expect."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return DefectFound(call_id=call_id, where=where, kind=type(error).__name__, traceback="\n".join(lines))
