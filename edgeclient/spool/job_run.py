"""A job that is under way: what is known of it while it is, and how it is asked to end.

Cancelling ends the wait for its turn or for the provider, never a commit.
"""

import asyncio
import traceback
from collections.abc import Callable
from enum import Enum

from edgeclient.core.call import Call
from edgeclient.core.events import DefectFound
from edgeclient.core.jobs import Waiting

DEFECT_PAUSE_S = 60.0
"""How long a job waits that met an exception which the code does not expect."""

Admit = Callable[[Call], None]
"""Sets `Call.model`, or raises the error that a stored request fails with because it is not valid any more."""


class Phase(Enum):
    """How far a run is; where a commit is under way, it is not to be cut off."""

    STARTING = 1
    WAITING = 2
    BEGINNING = 3
    SENDING = 4
    SETTLING = 5


class JobRun:
    """A job that is under way.

    Attributes:
        job: As it waited.
        mark: Of the ramp.
        model: The model that it wants, as soon as that is known.
        aside: It is not its turn before something has changed: for this model, which is closed, or "" for all. None: it
            is.
        delay_s: It is not its turn before this time has passed, where nothing was sent.
        cancelled: It was asked to end.
        phase: How far it is.
        task: Who works on it.
    """

    __slots__ = ("_begun_count", "_call", "aside", "cancelled", "delay_s", "job", "mark", "model", "phase", "task")

    def __init__(self, job: Waiting, *, mark: int) -> None:
        self.job = job
        self.mark = mark
        self.model = ""
        self.aside: str | None = None
        self.delay_s = 0.0
        self.cancelled = False
        self.phase = Phase.STARTING
        self.task: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._begun_count = 0

    def asks(self, call: Call) -> None:
        """This call asks the provider for it."""
        self._call = call
        self._begun_count = call.attempt_count

    @property
    def is_tried(self) -> bool:
        """An attempt was made."""
        return self._call is not None and self._call.attempt_count > self._begun_count

    @property
    def has_left(self) -> bool:
        """The request has left, for time was spent waiting for the provider."""
        return self._call is not None and self._call.upstream_s > 0

    def outlasts(self, wait_s: float, now_s: float) -> bool:
        """Its attempt has more time than this."""
        return self._call is not None and self._call.deadline.remaining_s(now_s) > wait_s

    def cancel(self) -> None:
        """End it as soon as that is safe. May be called again."""
        if not self.cancelled:
            self.cancelled = True
            if self.phase in (Phase.WAITING, Phase.SENDING) and self.task is not None:
                self.task.cancel()


def defect(call_id: str, where: str, error: BaseException) -> DefectFound:
    """The event of an exception that the code does not expect."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return DefectFound(call_id=call_id, where=where, kind=type(error).__name__, traceback="\n".join(lines))
