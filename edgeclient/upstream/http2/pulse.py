"""Whether the other end of a connection is alive: what was heard of it, and pings where nothing was.

Any byte counts as a sign of life, so a connection in use costs no ping, but one: a request that has met silence for two
seconds sends one, so that a way that is gone is found out then and not when the next ping is due. Who has to know about
this very moment asks for the answer to a ping of its own, because bytes may have been under way for a while.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

_CONFIRM_S: Final = 2.0  # above the round trip of a poor radio link


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
        ping: Sends a ping with this number.
        on_dead: Called when a ping was not answered in time.
        on_idle: Called when nothing has used the connection for `idle_timeout_s`; `used` and `in_use` say what is use.
        in_use: Whether there are requests on it.

    Attributes:
        heard_s: When the last byte came, on the loop's clock.
    """

    __slots__ = (
        "_asked",
        "_in_use",
        "_loop",
        "_on_dead",
        "_on_idle",
        "_ping",
        "_ping_s",
        "_pings",
        "_pong",
        "_sent_s",
        "_timer",
        "_upkeep",
        "_used_s",
        "heard_s",
    )

    def __init__(
        self,
        upkeep: Upkeep,
        *,
        ping: Callable[[int], None],
        on_dead: Callable[[], None],
        on_idle: Callable[[], None],
        in_use: Callable[[], bool],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.heard_s = self._used_s = self._loop.time()
        self._upkeep = upkeep
        self._ping = ping
        self._on_dead = on_dead
        self._on_idle = on_idle
        self._in_use = in_use
        self._ping_s = self._sent_s = 0.0
        self._pings = self._asked = 0
        self._pong: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The connection stands."""
        self.heard_s = self._used_s = self._loop.time()
        self._look_at(self.heard_s + self._upkeep.keepalive_s)

    def end(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell(answers=False)

    def heard(self) -> None:
        """Bytes have come."""
        self.heard_s = self._loop.time()

    def answered(self, number: int) -> None:
        """The answer to a ping has come."""
        if number >= self._asked:
            self._tell(answers=True)

    def sent(self) -> None:
        """A request leaves."""
        self._sent_s = self._loop.time()
        if self._timer is not None and self._timer.when() > self._sent_s + _CONFIRM_S:
            self._look_at(self._sent_s + _CONFIRM_S)

    def used(self) -> None:
        """A request has ended."""
        self._used_s = self._loop.time()

    @property
    def is_asked(self) -> bool:
        """There is a ping that the peer has not answered yet, beyond those that keep the connection alive."""
        return self._pong is not None

    def ask(self) -> asyncio.Future[bool]:
        """Ask for a sign of life; whether it comes is the result."""
        if self._pong is None:
            self._pong = self._loop.create_future()
            self._asked = self._send()
        return self._pong

    async def answers(self, *, within_s: float) -> bool:
        """Whether the peer answers a ping in this time."""
        pong = self.ask()
        await asyncio.wait([pong], timeout=within_s)
        return pong.done() and pong.result()

    def _tell(self, *, answers: bool) -> None:
        pong, self._pong = self._pong, None
        if pong is not None:
            pong.set_result(answers)

    def _send(self) -> int:
        self._pings += 1
        self._ping(self._pings)
        return self._pings

    def _look(self) -> None:
        now_s = self._loop.time()
        if self._ping_s > self.heard_s:
            dead_s = self._ping_s + self._upkeep.keepalive_timeout_s
            if now_s >= dead_s:
                self._on_dead()
            else:
                self._look_at(dead_s)
            return
        if not self._in_use() and now_s - self._used_s >= self._upkeep.idle_timeout_s:
            self._on_idle()
            return
        confirm_s = self._sent_s + _CONFIRM_S if self._sent_s > self.heard_s else inf
        ping_s = min(self.heard_s + self._upkeep.keepalive_s, confirm_s)
        if now_s >= ping_s:
            self._ping_s = now_s
            self._send()
            ping_s = now_s + self._upkeep.keepalive_timeout_s
        self._look_at(ping_s)

    def _look_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when_s, self._look)
