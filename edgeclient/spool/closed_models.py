"""Models that the provider refuses this node: for lack of a permission, of quota, or of the model itself.

Jobs for other models go on. Of those for a closed one, one a minute is sent, to see whether a person has acted; whoever
else wants it is set aside (`waiting_room.py`) before anything is sent, so that a forbidden model costs neither attempts
nor patience of the provider. Which model a stored job wants is known only from its request, which may be encrypted: it
is looked at once, when its turn comes while some model is closed.

A model is open again with the first answer that is no such refusal, and forgotten when no job waits for it any more.
So what is kept is bounded by the queue.
"""

from collections.abc import Callable
from math import inf

from edgeclient.core.errors import CallError
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.job_verdict import BLOCKED_S
from edgeclient.spool.pause import Pause


class ClosedModels:
    """Which they are, and when each may be tried again; see the module.

    Args:
        observe: Takes `SpoolPaused` and `SpoolResumed`, each with the name of its model.
        clock: Measures.
    """

    def __init__(self, *, observe: Observe, clock: Clock) -> None:
        self._observe = observe
        self._clock = clock
        self._closed: dict[str, Pause] = {}
        self._called_s: dict[str, float] = {}

    def __bool__(self) -> bool:
        """There is one."""
        return bool(self._closed)

    def __contains__(self, model: str) -> bool:
        """Whether this one is closed."""
        return model in self._closed

    def refused(self, model: str, error: CallError) -> None:
        """The provider refused a request for reasons of its model."""
        now_s = self._clock.monotonic_s()
        pause = self._closed.setdefault(model, Pause(self._observe, model=model))
        pause.begin(error, now_s=now_s, pause_s=BLOCKED_S)
        self._called_s[model] = now_s

    def reopened(self, model: str) -> None:
        """The provider did not, or nobody waits for that model any more."""
        pause = self._closed.pop(model, None)
        if pause is not None:
            del self._called_s[model]
            pause.over(now_s=self._clock.monotonic_s())

    def permits(self, model: str) -> bool:
        """Whether a job may be sent now. For a closed model that takes the try of this minute."""
        pause, now_s = self._closed.get(model), self._clock.monotonic_s()
        if pause is None:
            return True
        if now_s < pause.until_s:
            return False
        pause.until_s = now_s + BLOCKED_S
        self._called_s[model] = now_s
        return True

    def call_due(self, call: Callable[[str], bool]) -> None:
        """For each model whose time for a try has come, call up one of those that were set aside.

        Args:
            call: Does it; False: there is none.
        """
        now_s = self._clock.monotonic_s()
        for model in [model for model, called_s in self._called_s.items() if called_s + BLOCKED_S <= now_s]:
            self._called_s[model] = now_s
            if not call(model):
                self.reopened(model)

    @property
    def due_s(self) -> float:
        """When `call_due` has something to do, on the monotonic clock; `inf`: not before something happens."""
        return min(self._called_s.values(), default=inf) + BLOCKED_S

    def retry(self) -> None:
        """Something has changed that may have mended it: try each again now."""
        for model, pause in self._closed.items():
            pause.until_s = self._called_s[model] = -inf
