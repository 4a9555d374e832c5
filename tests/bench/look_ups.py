"""What the cache adds to a call: hits in memory and on the disk, and misses with a Redis that works, hangs or is dead.

A call goes through the stage with a provider that answers at once, so what is measured is the cache alone. All rows run
in one process, in turns; a row of a Redis that is out of order begins with a store that believes in it, so the two
look-ups that an outage costs are in its figures (the worst of them in the last column).
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

import builders
import uvloop
from cache_bench import answer, cache_config
from harness.redis_server import RedisServer
from upstream_end import RealClock

from edgeclient.cache.disk import DiskStore
from edgeclient.cache.memory import MemoryStore
from edgeclient.cache.redis_link import RedisLink
from edgeclient.cache.redis_store import RedisStore
from edgeclient.cache.seal import Checksum
from edgeclient.cache.tiers import Store, TieredCache
from edgeclient.core.call import Call, Reply
from edgeclient.core.companion import companion
from edgeclient.stages.cache import Cache

CALLS = 4000
HITS = ("hit in memory", "hit on the disk")
MISSES = ("miss, memory alone", "miss, with a disk", "miss, Redis works", "miss, Redis hangs", "miss, Redis is dead")
_TEXT = "x" * 800
_CLOCK = RealClock()


def table(rounds: int) -> str:
    """Measure and print: the median of the rounds, in microseconds."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in (*HITS, *MISSES)}
    for _ in range(rounds):
        for name, seen in found.items():
            seen.append(uvloop.run(_row(name)))
    lines = [f"{CALLS} calls a row, {rounds} rounds, microseconds", f"{'':22}{'p50':>9}{'p99':>9}{'max':>10}"]
    for name, figures in found.items():
        middle, high, most = (median(column) for column in zip(*figures, strict=True))
        lines.append(f"{name:22}{middle:9.0f}{high:9.0f}{most:10.0f}")
    return "\n".join(lines)


async def _row(name: str) -> tuple[float, float, float]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeclient-look-ups-")))
        places: list[tuple[str, Store]] = []
        if "disk" in name:
            places.append(("disk", await stack.enter_async_context(_disk(directory))))
        if "Redis" in name:
            places.append(("redis", await stack.enter_async_context(_redis(directory, name))))
        config = cache_config(max_bytes=0 if name == "hit on the disk" else 64 * 1024**2)
        memory = MemoryStore(config, clock=_CLOCK, observe=lambda _: None)
        stage = Cache(TieredCache(memory, places, config), config, realm="", observe=lambda _: None)
        prompts = ["again"] * CALLS if name in HITS else [str(number) for number in range(CALLS)]
        await stage(_call("again"), _provider)
        return _figures([await _measured(stage, prompt) for prompt in prompts])


async def _measured(stage: Cache, prompt: str) -> float:
    call = _call(prompt)
    begun_s = time.perf_counter()
    await stage(call, _provider)
    return time.perf_counter() - begun_s


def _call(prompt: str) -> Call:
    return builders.call(request=builders.chat_request(prompt=prompt, temperature=0.0))


async def _provider(_call: Call) -> Reply:
    return Reply(response=answer(_TEXT))


def _figures(seconds: Sequence[float]) -> tuple[float, float, float]:
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1e6, ordered[len(ordered) * 99 // 100] * 1e6, ordered[-1] * 1e6


@asynccontextmanager
async def _disk(directory: Path) -> AsyncIterator[Store]:
    config = cache_config(directory=str(directory / "cache"))
    store = DiskStore(config, seal=Checksum(), clock=_CLOCK, observe=lambda _: None)
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def _redis(directory: Path, name: str) -> AsyncIterator[Store]:
    async with RedisServer(directory / "redis") as server:
        link = RedisLink(server.url, user="", password="", ca_file="", prefix="edgeclient")
        store = RedisStore(link, cache_config(), seal=Checksum(), clock=_CLOCK, observe=lambda _: None)
        async with companion(store.run(), name="writes to Redis"):
            if "hangs" in name:
                server.stop()
            elif "dead" in name:
                server.kill()
            yield store
        await store.close()
        await asyncio.sleep(0)
