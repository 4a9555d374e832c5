"""Places for requests at the provider, given out in the order of asking.

Beyond the peer's limit of streams an HTTP/2 client queues by itself, out of sight of every time-out. So the limit is
kept here, where waiting is visible, fair and ends with the deadline of whoever waits (cancel `acquire`).
"""

import asyncio
from collections import deque


class InFlight:
    """A first-come, first-served semaphore. Belongs to one event loop.

    Attributes:
        limit: Number of places.
        taken: Places in use.
    """

    __slots__ = ("_waiting", "limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<InFlight {self.taken} of {self.limit}, {len(self._waiting)} waiting>"

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    async def acquire(self) -> None:
        """Take a place; waits while there is none."""
        if self.taken < self.limit and not self._waiting:
            self.taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release()  # the place came in the moment in which the wait was given up
            elif turn in self._waiting:  # else a release has passed over it already
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back: to the one who has waited longest, if any."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # the place changes hands and is never free in between
                return
        self.taken -= 1
