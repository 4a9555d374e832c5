"""A reason not to send stored jobs: told once when it begins, and once when it is over."""

from math import inf

from edgeclient.core.errors import CallError
from edgeclient.core.job_events import SpoolPaused, SpoolResumed
from edgeclient.core.ports import Observe


class Pause:
    """Holds from its first occurrence until it is known to be over.

    Args:
        observe: Takes `SpoolPaused` and `SpoolResumed`.
        model: The model that it concerns; "": it concerns all.

    Attributes:
        until_s: Nothing is begun before this moment, on the monotonic clock.
    """

    __slots__ = ("_cause", "_model", "_observe", "_since_s", "until_s")

    def __init__(self, observe: Observe, *, model: str = "") -> None:
        self.until_s = -inf
        self._observe = observe
        self._model = model
        self._cause = ""
        self._since_s = 0.0

    def __bool__(self) -> bool:
        """It is not known to be over."""
        return bool(self._cause)

    def begin(self, error: CallError, *, now_s: float, pause_s: float) -> None:
        """It has occurred, for the first time or again."""
        self.until_s = now_s + pause_s
        if not self._cause:
            self._cause = error.reason_name
            self._since_s = now_s
            self._observe(SpoolPaused(cause=self._cause, model=self._model, problem=error.summary))

    def over(self, *, now_s: float) -> None:
        """It is over, if it had occurred."""
        if self._cause:
            duration_s = now_s - self._since_s
            self._observe(SpoolResumed(cause=self._cause, model=self._model, duration_s=duration_s))
            self._cause = ""
            self.until_s = -inf
