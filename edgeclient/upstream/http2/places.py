"""The peer's limit of concurrent streams, and who waits for it to have room."""

import asyncio
from collections import deque
from typing import Final

_BEFORE_SETTINGS: Final = 1  # until the peer has said it: whoever sends more overshoots a peer with a low limit


class StreamPlaces:
    """Counts nothing itself: how many streams there are, the connection says.

    Attributes:
        limit: Most streams at once.
    """

    __slots__ = ("_waiting", "limit")

    def __init__(self) -> None:
        self.limit = _BEFORE_SETTINGS
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<StreamPlaces {self.limit}, {len(self._waiting)} waiting>"

    async def change(self) -> None:
        """Return when there may be room, or nothing to wait for any more; who came first is woken first."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiting.remove(waiter)
            else:
                self.wake(1)  # the place that it was given is for somebody else
            raise

    def wake(self, count: int) -> None:
        """So many of those who wait may look again."""
        while count > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if waiter.cancelled():
                continue
            waiter.set_result(None)
            count -= 1

    def wake_all(self) -> None:
        """There is nothing to wait for any more."""
        self.wake(len(self._waiting))
