"""A store over the network without a network: honest about life and owners, and as broken as a test wants it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeclient.cache.link import Link, LinkError, Trouble


class MemoryLink:
    """Implements `edgeclient.cache.link.Link`.

    Attributes:
        values: What it holds: owner, body, and when it goes, by name.
        trouble: What every command fails with.
        stuck: Commands wait until this is set.
        commands: What was asked, in order.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.values: dict[bytes, tuple[bytes, bytes, float]] = {}
        self.trouble: LinkError | None = None
        self.full = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.commands: list[str] = []
        self.closed = False

    async def get(self, name: bytes) -> tuple[bytes, bytes, int] | None:
        await self._command("get")
        owner, sealed, until_s = self.values.get(name, (b"", b"", 0.0))
        left_ms = round((until_s - self._now_s()) * 1000)
        return (owner, sealed, left_ms) if left_ms > 0 else None

    async def put(self, name: bytes, owner: bytes, sealed: bytes, *, life_ms: int) -> None:
        await self._command("put")
        if self.full:
            raise LinkError(Trouble.NO_WRITES, "OOM command not allowed")
        self.values[name] = (owner, sealed, self._now_s() + life_ms / 1000)

    async def forget(self, owner: bytes) -> int:
        await self._command("forget")
        mine = [name for name, (whose, _, _) in self.values.items() if whose == owner]
        for name in mine:
            del self.values[name]
        return len(mine)

    async def ping(self) -> None:
        await self._command("ping")

    async def close(self) -> None:
        self.closed = True

    @contextmanager
    def failing(self, trouble: Trouble = Trouble.DOWN, problem: str = "Connection refused") -> Iterator[None]:
        """In this block every command fails."""
        self.trouble = LinkError(trouble, problem)
        try:
            yield
        finally:
            self.trouble = None

    async def _command(self, name: str) -> None:
        self.commands.append(name)
        await self.answers.wait()
        if self.trouble is not None:
            raise self.trouble


class WatchedLink:
    """Any link; `put_done` waits for writes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._count = 0
        self._put = asyncio.Event()

    async def put_done(self, count: int) -> None:
        """Return when so many writes have ended, in whatever way."""
        async with asyncio.timeout(20):
            while self._count < count:
                self._put.clear()
                await self._put.wait()

    async def get(self, name: bytes) -> tuple[bytes, bytes, int] | None:
        return await self._link.get(name)

    async def put(self, name: bytes, owner: bytes, sealed: bytes, *, life_ms: int) -> None:
        try:
            await self._link.put(name, owner, sealed, life_ms=life_ms)
        finally:
            self._count += 1
            self._put.set()

    async def forget(self, owner: bytes) -> int:
        return await self._link.forget(owner)

    async def ping(self) -> None:
        await self._link.ping()

    async def close(self) -> None:
        await self._link.close()
