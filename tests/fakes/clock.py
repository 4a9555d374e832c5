"""A clock that moves when a test says so."""

import asyncio


class FakeClock:
    """Starts at one thousand seconds, so that a forgotten zero shows."""

    def __init__(self, *, monotonic_s: float = 1000.0, wall_s: float = 1_800_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def wall_s(self) -> float:
        return self._wall_s

    async def sleep(self, duration_s: float) -> None:
        if duration_s <= 0:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic_s + duration_s, future))
        await future

    @property
    def sleeping(self) -> bool:
        """Somebody waits for time to pass."""
        return bool(self._sleepers)

    def advance(self, duration_s: float) -> None:
        """Let time pass; who slept until then is woken."""
        self._monotonic_s += duration_s
        self._wall_s += duration_s
        for due_s, future in self._sleepers:
            if due_s <= self._monotonic_s and not future.done():
                future.set_result(None)
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]
