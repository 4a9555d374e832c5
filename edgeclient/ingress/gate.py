"""The limit on chats in progress.

The wire engine's own limit counts health checks and reflection too and refuses without a reason, so it is not used. A
call beyond the limit is refused before anything was sent, and told when to come back.

Calls that wait for their turn are in progress too, so a caller that sends more than the node can do would fill all of
the room, and the order of service behind it could be as fair as it likes. Hence none may hold more than seven times
what is free, once there is more than one: one that floods leaves an eighth to the others, two that do a fifteenth, and
each of them has as much as the other. A node that has only ever seen one caller gives it everything.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from edgeclient.core.errors import Unavailable
from edgeclient.core.events import CallShed
from edgeclient.core.ports import Observe
from edgeclient.v1 import error_pb2

_RETRY_AFTER_S = 1.0  # about the time of a short answer: some of the calls in progress will have ended
_TIMES_FREE = 7


class Gate:
    """Lets at most so many chats in at a time.

    Args:
        most: How many.
        observe: Takes `CallShed`.
    """

    def __init__(self, *, most: int, observe: Observe) -> None:
        self._most = most
        self._observe = observe
        self._held: dict[str, int] = {}
        self._only: str | None = None
        self._several = False
        self.active = 0

    @contextmanager
    def enter(self, caller: str) -> Iterator[None]:
        """Count a chat in and out again.

        Args:
            caller: Whose it is.

        Raises:
            Unavailable: There is no room, or none for this caller; nothing was sent.
        """
        self._note(caller)
        held = self._held.get(caller, 0)
        free = self._most - self.active
        if free <= 0 or (self._several and held >= _TIMES_FREE * free):
            self._observe(CallShed(limit="ingress.max_in_flight", value=self._most))
            raise Unavailable(
                error_pb2.ERROR_REASON_OVERLOADED,
                f"this node has {self.active} calls in progress, {held} of them of this caller, and takes no more of it"
                " now; nothing was sent, try again later",
                retry_after_s=_RETRY_AFTER_S,
            )
        self.active += 1
        self._held[caller] = held + 1
        try:
            yield
        finally:
            self.active -= 1
            self._leave(caller)

    def _note(self, caller: str) -> None:
        """Find out whether there is more than one."""
        if self._only is None:
            self._only = caller
        elif caller != self._only:
            self._several = True

    def _leave(self, caller: str) -> None:
        left = self._held[caller] - 1
        if left:
            self._held[caller] = left
        else:
            del self._held[caller]
