"""Whether the other end of a connection is alive: what was heard of it, and pings where nothing was.

Any byte counts as a sign of life, so a connection in use costs no ping.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """When a connection is looked after.

    Attributes:
        keepalive_s: A silence as long as this is broken by a ping.
        keepalive_timeout_s: How long its answer may take.
        idle_timeout_s: A connection without requests is closed after this time.
    """

    keepalive_s: float
    keepalive_timeout_s: float
    idle_timeout_s: float


class Pulse:
    """Watches one connection from `begin` to `end`.

    Args:
        upkeep: When it is looked after.
        ping: Sends a ping.
        on_dead: Called when a ping was not answered in time.
        on_idle: Called when nothing has used the connection for `idle_timeout_s`; `used` and `in_use` say what is use.
        in_use: Whether there are requests on it.

    Attributes:
        heard_s: When the last byte came, on the loop's clock.
        is_suspect: A request was given up for which nothing at all had been heard, and nothing was heard since.
    """

    __slots__ = (
        "_heard",
        "_in_use",
        "_loop",
        "_on_dead",
        "_on_idle",
        "_ping",
        "_ping_s",
        "_timer",
        "_upkeep",
        "_used_s",
        "heard_s",
        "is_suspect",
    )

    def __init__(
        self,
        upkeep: Upkeep,
        *,
        ping: Callable[[], None],
        on_dead: Callable[[], None],
        on_idle: Callable[[], None],
        in_use: Callable[[], bool],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.heard_s = self._used_s = self._loop.time()
        self.is_suspect = False
        self._upkeep = upkeep
        self._ping = ping
        self._on_dead = on_dead
        self._on_idle = on_idle
        self._in_use = in_use
        self._ping_s = 0.0
        self._heard: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The connection stands."""
        self.heard_s = self._used_s = self._loop.time()
        self._timer = self._loop.call_at(self.heard_s + self._upkeep.keepalive_s, self._look)

    def end(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell()

    def heard(self) -> None:
        """Bytes have come."""
        self.heard_s = self._loop.time()
        self.is_suspect = False
        self._tell()

    def used(self) -> None:
        """A request has ended."""
        self._used_s = self._loop.time()

    def gave_up(self, *, sent_s: float) -> None:
        """A request that was sent at this time was given up without an answer."""
        self.is_suspect = self.is_suspect or self.heard_s < sent_s

    async def answers(self, *, within_s: float) -> bool:
        """Whether the peer lets itself be heard in this time; asks it, whatever it has said before."""
        if self._heard is None:
            self._heard = self._loop.create_future()
            self._ping()
        asked_s = self._loop.time()
        await asyncio.wait([self._heard], timeout=within_s)
        return self.heard_s >= asked_s

    def _tell(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard.set_result(None)

    def _look(self) -> None:
        now_s = self._loop.time()
        upkeep = self._upkeep
        if self._ping_s > self.heard_s:
            self._on_dead()
            return
        if not self._in_use() and now_s - self._used_s >= upkeep.idle_timeout_s:
            self._on_idle()
            return
        next_s = self.heard_s + upkeep.keepalive_s
        if next_s <= now_s:
            self._ping_s = now_s
            self._ping()
            next_s = now_s + upkeep.keepalive_timeout_s
        self._timer = self._loop.call_at(next_s, self._look)
