"""A clock with timers: time jumps from one thing that is due to the next, and who is woken by it may run between."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

from fakes.clock import FakeClock

_TURNS = 6  # of the loop, for a chain of tasks that wake each other


async def settle() -> None:
    """Let everybody run who can."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class TimedClock(FakeClock):
    """See the module. `call_later` stands for that of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = count()

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> asyncio.TimerHandle:
        at_s = self.monotonic_s() + delay
        timer = asyncio.TimerHandle(at_s, callback, args, asyncio.get_running_loop())
        heappush(self._timers, (at_s, next(self._number), timer))
        return timer

    @property
    def timer_count(self) -> int:
        """Timers that are set."""
        return sum(not timer.cancelled() for _, _, timer in self._timers)

    async def sleep(self, duration_s: float) -> None:
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self.call_later(duration_s, wake)
        try:
            await woken
        finally:
            timer.cancel()

    async def run(self, duration_s: float) -> None:
        """Let so much time pass."""
        end_s = self.monotonic_s() + duration_s
        while True:
            await settle()
            due_s = self._next_s()
            if due_s > end_s:
                break
            self.advance(max(0.0, due_s - self.monotonic_s()))
            while self._timers and self._timers[0][0] <= self.monotonic_s():
                _, _, timer = heappop(self._timers)
                if not timer.cancelled():
                    timer._run()
        self.advance(end_s - self.monotonic_s())

    def _next_s(self) -> float:
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        return self._timers[0][0] if self._timers else inf
