"""Answers in a Redis that several nodes share, and that none of them depends on.

A call waits for it a few milliseconds, and after two failures in a row not at all (`policy/link_breaker.py`). Writes
happen beside the calls, through a buffer with a limit; one that does not fit is dropped. If Redis takes nothing,
because its memory is full, say, it is spared writes for a while and read all the same.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import NoReturn

from edgeclient.cache.link import Link, LinkError, Trouble
from edgeclient.cache.seal import Seal, SealError
from edgeclient.config.cache_schema import CacheConfig
from edgeclient.core.cache import Cached, CacheKey, CacheUnreachableError, StoreStats
from edgeclient.core.cache_events import (
    CacheLookedUp,
    CacheStoreBack,
    CacheStoreLost,
    CacheWriteDropped,
    CacheWritesRefused,
)
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.link_breaker import LinkBreaker, LinkNews
from edgeclient.v1 import chat_pb2

_STORE = "redis"
_WRITE_BUDGET_S = 1.0
_FORGET_BUDGET_S = 60.0
_MOST_WAITING = 256
_MOST_WAITING_BYTES = 4 * 1024**2
_SPARED_S = 30.0
_LIFE_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    owner: bytes
    sealed: bytes


class RedisStore:
    """See the module. `run` is a task of whoever wires it.

    Args:
        link: The way there.
        config: Budget, and how long answers are kept.
        seal: Protects what is written.
        clock: Measures and pauses.
        observe: Takes events.
    """

    def __init__(self, link: Link, config: CacheConfig, *, seal: Seal, clock: Clock, observe: Observe) -> None:
        self._link = link
        self._budget_s = config.redis_budget_s
        self._life_ms = round((config.ttl_s + config.stale_s) * 1000)
        self._seal = seal
        self._clock = clock
        self._observe = observe
        self._breaker = LinkBreaker()
        self._broken_at_s = 0.0
        self._broken = asyncio.Event()
        self._waiting: OrderedDict[bytes, _Write] = OrderedDict()
        self._waiting_bytes = 0
        self._written = asyncio.Event()
        self._spared_until_s = 0.0

    async def run(self) -> None:
        """Write what waits, and probe a broken link, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_on(), name="writes to Redis")
            group.create_task(self._probe_on(), name="probes of Redis")

    async def close(self) -> None:
        """Close all connections; what still waits is dropped."""
        await self._link.close()

    def stats(self) -> StoreStats:
        """Whether it is usable; what it holds is not known."""
        return StoreStats(usable=self._breaker.usable)

    async def find(self, key: CacheKey) -> Cached | None:
        """The answer, however old, if it is found in time."""
        if not self._breaker.usable or not self._life_ms:
            return None
        began_s = self._clock.monotonic_s()
        name = self._seal.tag(key.digest)
        found = None
        try:
            async with asyncio.timeout(self._budget_s):
                got = await self._link.get(name)
        except TimeoutError:
            outcome = "late"
            self._take(LinkNews.FAILED, f"it did not answer within cache.redis_budget_s, {self._budget_s:g} s")
        except LinkError as error:
            outcome = "failed"
            self._failed(error)
        else:
            self._take(LinkNews.WORKED)
            found = self._answer(name, *got) if got is not None else None
            outcome = "hit" if found else "miss"
        self._observe(CacheLookedUp(store=_STORE, outcome=outcome, duration_s=self._clock.monotonic_s() - began_s))
        return found

    def keep(self, key: CacheKey, body: bytes) -> None:
        """Keep an answer that has just come from the provider; some time, if at all."""
        if not self._life_ms:
            return
        if not self._breaker.usable or self._clock.monotonic_s() < self._spared_until_s:
            self._observe(CacheWriteDropped(store=_STORE, why="unusable"))
            return
        name, owner = self._seal.tag(key.digest), self._owner(key.caller)
        self._remove(name)
        sealed = self._seal.seal(name + owner, self._life_ms.to_bytes(_LIFE_BYTES) + body)
        if len(self._waiting) >= _MOST_WAITING or self._waiting_bytes + len(sealed) > _MOST_WAITING_BYTES:
            self._observe(CacheWriteDropped(store=_STORE, why="busy"))
            return
        self._waiting[name] = _Write(owner=owner, sealed=sealed)
        self._waiting_bytes += len(sealed)
        self._written.set()

    async def forget(self, caller: str) -> int:
        """Remove all of a caller.

        Raises:
            CacheUnreachableError: It cannot be done now; some of it may be left, until its life is over.
        """
        owner = self._owner(caller)
        for name in [name for name, write in self._waiting.items() if write.owner == owner]:
            self._remove(name)
        try:
            async with asyncio.timeout(_FORGET_BUDGET_S):
                return await self._link.forget(owner)
        except TimeoutError:
            raise CacheUnreachableError(f"Redis did not finish within {_FORGET_BUDGET_S:g} s") from None
        except LinkError as error:
            raise CacheUnreachableError(f"Redis: {error.problem}") from None

    async def _write_on(self) -> NoReturn:
        while True:
            await self._written.wait()
            while self._waiting:
                name = next(iter(self._waiting))
                await self._write(name, self._remove(name))
            self._written.clear()

    async def _write(self, name: bytes, write: _Write | None) -> None:
        if write is None or not self._breaker.usable or self._clock.monotonic_s() < self._spared_until_s:
            self._observe(CacheWriteDropped(store=_STORE, why="unusable"))
            return
        try:
            async with asyncio.timeout(_WRITE_BUDGET_S):
                await self._link.put(name, write.owner, write.sealed, life_ms=self._life_ms)
        except TimeoutError:
            self._take(LinkNews.FAILED, f"it took no write within {_WRITE_BUDGET_S:g} s")
        except LinkError as error:
            self._failed(error)
        else:
            self._take(LinkNews.WORKED)
            return
        self._observe(CacheWriteDropped(store=_STORE, why="failed"))

    async def _probe_on(self) -> NoReturn:
        while True:
            await self._broken.wait()
            await self._clock.sleep(self._breaker.pause_s())
            try:
                async with asyncio.timeout(self._budget_s):  # what is too slow for calls is no use to them
                    await self._link.ping()
            except TimeoutError:
                self._take(LinkNews.PROBE_FAILED)
            except LinkError as error:
                self._take(LinkNews.DENIED if error.trouble is Trouble.DENIED else LinkNews.PROBE_FAILED)
            else:
                self._take(LinkNews.PROBE_WORKED)

    def _failed(self, error: LinkError) -> None:
        if error.trouble is Trouble.NO_WRITES:
            self._spared_until_s = self._clock.monotonic_s() + _SPARED_S
            self._observe(CacheWritesRefused(store=_STORE, problem=error.problem))
        else:
            self._take(LinkNews.DENIED if error.trouble is Trouble.DENIED else LinkNews.FAILED, error.problem)

    def _take(self, news: LinkNews, problem: str = "") -> None:
        if not self._breaker.take(news):
            return
        now_s = self._clock.monotonic_s()
        if self._breaker.usable:
            self._broken.clear()
            self._observe(CacheStoreBack(store=_STORE, duration_s=now_s - self._broken_at_s))
        else:
            self._broken_at_s = now_s
            self._broken.set()
            self._observe(CacheStoreLost(store=_STORE, problem=problem))

    def _answer(self, name: bytes, owner: bytes, sealed: bytes, left_ms: int) -> Cached | None:
        try:
            body = self._seal.open(name + owner, sealed)
        except SealError:  # another key, or somebody else's value
            return None
        age_s = max(0, int.from_bytes(body[:_LIFE_BYTES]) - left_ms) / 1000
        return Cached(response=chat_pb2.ChatResponse.FromString(body[_LIFE_BYTES:]), age_s=age_s, store=_STORE)

    def _remove(self, name: bytes) -> _Write | None:
        write = self._waiting.pop(name, None)
        if write is not None:
            self._waiting_bytes -= len(write.sealed)
        return write

    def _owner(self, caller: str) -> bytes:
        return self._seal.tag(b"owner " + caller.encode())
