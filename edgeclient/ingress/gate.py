"""The limit on chats in progress.

The wire engine's own limit counts health checks and reflection too and refuses without a reason, so it is not used. A
call beyond the limit is refused before anything was sent, and told when to come back.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from edgeclient.core.errors import Unavailable
from edgeclient.core.events import CallShed
from edgeclient.core.ports import Observe
from edgeclient.v1 import error_pb2

_RETRY_AFTER_S = 1.0  # about the time of a short answer: some of the calls in progress will have ended


class Gate:
    """Lets at most so many chats in at a time.

    Args:
        most: How many.
        observe: Takes `CallShed`.
    """

    def __init__(self, *, most: int, observe: Observe) -> None:
        self._most = most
        self._observe = observe
        self.active = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count a chat in and out again.

        Raises:
            Unavailable: There is no room; nothing was sent.
        """
        if self.active >= self._most:
            self._observe(CallShed(limit="ingress.max_in_flight", value=self._most))
            raise Unavailable(
                error_pb2.ERROR_REASON_OVERLOADED,
                f"this node has {self.active} calls in progress, the most it takes; nothing was sent, try again later",
                retry_after_s=_RETRY_AFTER_S,
            )
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
