"""Redis may be slow, dead, full or forbidding: a call never waits long for it and never fails by it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cache_bench import NODE_KEY, body, cache_config, cache_key, content
from fakes.clock import FakeClock
from fakes.link import MemoryLink, WatchedLink

from edgeclient.cache.cipher import Cipher
from edgeclient.cache.link import Trouble
from edgeclient.cache.redis_store import RedisStore
from edgeclient.cache.seal import Checksum
from edgeclient.core.cache import CacheUnreachableError
from edgeclient.core.cache_events import (
    CacheLookedUp,
    CacheStoreBack,
    CacheStoreLost,
    CacheWriteDropped,
    CacheWritesRefused,
)
from edgeclient.core.companion import companion
from edgeclient.core.events import Event


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.memory = MemoryLink(self.clock.monotonic_s)
        self.link = WatchedLink(self.memory)
        self.events: list[Event] = []
        config = cache_config(**({"redis_budget_s": 0.005} | settings))
        self.store = RedisStore(self.link, config, seal=Checksum(), clock=self.clock, observe=self.events.append)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def kept(self, text: str = "hi", answer: str = "yes") -> None:
        before = self.memory.commands.count("put")
        self.store.keep(cache_key(text), body(answer))
        await self.link.put_done(before + 1)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  what is waited for happens in other tasks of this loop
                await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with companion(bench.store.run(), name="writes and probes"):
        yield bench


async def broken(bench: Bench, trouble: Trouble = Trouble.DOWN) -> None:
    with bench.memory.failing(trouble):
        while bench.store.stats().usable:
            await bench.store.find(cache_key())


async def test_look_up_that_takes_too_long_is_a_miss(bench: Bench) -> None:
    await bench.kept()
    bench.memory.answers.clear()

    assert await bench.store.find(cache_key()) is None
    assert ["late"] == [event.outcome for event in bench.told(CacheLookedUp)]


async def test_after_two_failures_nobody_asks_any_more(bench: Bench) -> None:
    await bench.kept()
    bench.memory.answers.clear()
    for _ in range(10):
        assert await bench.store.find(cache_key()) is None

    assert 2 == bench.memory.commands.count("get")
    (lost,) = bench.told(CacheStoreLost)
    assert "0.005 s" in lost.problem
    assert not bench.store.stats().usable


async def test_one_failure_alone_changes_nothing(bench: Bench) -> None:
    await bench.kept()
    with bench.memory.failing():
        assert await bench.store.find(cache_key()) is None

    assert "yes" == content(await bench.store.find(cache_key()))
    assert [] == bench.told(CacheStoreLost)


async def test_probe_finds_it_again_beside_the_calls(bench: Bench) -> None:
    await bench.kept()
    await broken(bench)
    await bench.until(lambda: bench.clock.sleeping)
    asked = bench.memory.commands.count("get")

    bench.clock.advance(0.5)
    await bench.until(lambda: bench.told(CacheStoreBack))

    assert asked == bench.memory.commands.count("get")
    assert 0.5 == bench.told(CacheStoreBack)[0].duration_s
    assert "yes" == content(await bench.store.find(cache_key()))


async def test_probe_that_is_slower_than_calls_may_wait_is_none(bench: Bench) -> None:
    await broken(bench)
    bench.memory.answers.clear()
    await bench.until(lambda: bench.clock.sleeping)

    bench.clock.advance(0.5)
    await bench.until(lambda: "ping" in bench.memory.commands)
    await bench.until(lambda: bench.clock.sleeping)

    assert not bench.store.stats().usable


async def test_refused_credential_is_told_and_not_tried_over_and_over(bench: Bench) -> None:
    await broken(bench, Trouble.DENIED)
    assert 1 == bench.memory.commands.count("get")
    await bench.until(lambda: bench.clock.sleeping)

    bench.clock.advance(29)

    assert "ping" not in bench.memory.commands


async def test_full_memory_spares_writes_and_is_read_all_the_same(bench: Bench) -> None:
    await bench.kept("old")
    bench.memory.full = True
    await bench.kept("new")

    bench.store.keep(cache_key("newer"), body())

    assert 2 == bench.memory.commands.count("put")
    assert ["failed", "unusable"] == [event.why for event in bench.told(CacheWriteDropped)]
    assert "OOM" in bench.told(CacheWritesRefused)[0].problem
    assert "yes" == content(await bench.store.find(cache_key("old")))
    bench.memory.full = False
    bench.clock.advance(30)
    before = bench.memory.commands.count("put")
    bench.store.keep(cache_key("newest"), body())
    await bench.link.put_done(before + 1)
    assert "yes" == content(await bench.store.find(cache_key("newest")))


async def test_writes_that_wait_are_bounded_in_number(bench: Bench) -> None:
    bench.memory.answers.clear()
    for number in range(300):
        bench.store.keep(cache_key(str(number)), body())

    assert 300 - 256 == len(bench.told(CacheWriteDropped))


async def test_writes_that_wait_are_bounded_in_bytes(bench: Bench) -> None:
    bench.memory.answers.clear()
    for number in range(5):
        bench.store.keep(cache_key(str(number)), body("x" * 1_500_000))

    assert 3 == len(bench.told(CacheWriteDropped))
    bench.memory.answers.set()
    await bench.link.put_done(2)
    bench.store.keep(cache_key("next"), body("x" * 1_500_000))
    bench.store.keep(cache_key("one more"), body("x" * 1_500_000))
    assert 3 == len(bench.told(CacheWriteDropped))


async def test_newer_answer_takes_the_place_of_one_that_waits(bench: Bench) -> None:
    bench.memory.answers.clear()
    for answer in ("first", "a", "b", "c"):
        bench.store.keep(cache_key("first" if answer == "first" else "hi"), body(answer))
    bench.memory.answers.set()
    await bench.link.put_done(2)

    assert 2 == bench.memory.commands.count("put")
    assert "c" == content(await bench.store.find(cache_key()))


async def test_nothing_is_written_while_it_is_down(bench: Bench) -> None:
    await broken(bench)

    bench.store.keep(cache_key(), body())

    assert ["unusable"] == [event.why for event in bench.told(CacheWriteDropped)]
    assert "put" not in bench.memory.commands


async def test_values_of_somebody_else_are_no_answers(bench: Bench) -> None:
    await bench.kept()
    (name,) = bench.memory.values
    owner, _, until_s = bench.memory.values[name]
    for foreign in (b"", b"hello", b"\x00" * 40):
        bench.memory.values[name] = (owner, foreign, until_s)

        assert await bench.store.find(cache_key()) is None
    assert bench.store.stats().usable


async def test_answer_of_another_question_is_refused_wherever_it_comes_from(bench: Bench) -> None:
    await bench.kept("hi")
    await bench.kept("ho", "no")
    one, other = list(bench.memory.values)
    bench.memory.values[one] = bench.memory.values[other]

    assert await bench.store.find(cache_key("hi")) is None


async def test_nodes_with_different_keys_share_nothing(bench: Bench) -> None:
    await bench.kept()
    other = RedisStore(
        bench.memory,
        cache_config(),
        seal=Cipher(NODE_KEY, purpose="test", wall_s=bench.clock.wall_s),
        clock=bench.clock,
        observe=bench.events.append,
    )

    assert await other.find(cache_key()) is None


async def test_who_cannot_be_forgotten_there_is_told_so(bench: Bench) -> None:
    await bench.kept()

    with bench.memory.failing(), pytest.raises(CacheUnreachableError, match="Connection refused"):
        await bench.store.forget("device-7")


async def test_forgetting_reaches_what_still_waits(bench: Bench) -> None:
    bench.memory.answers.clear()
    bench.store.keep(cache_key("under way"), body())
    await bench.until(lambda: "put" in bench.memory.commands)
    bench.store.keep(cache_key("waits"), body())
    forgetting = asyncio.create_task(bench.store.forget("device-7"), name="forget")
    await asyncio.sleep(0)
    bench.memory.answers.set()
    await forgetting
    for _ in range(50):
        await asyncio.sleep(0)

    assert {} == bench.memory.values
    assert 1 == bench.memory.commands.count("put")


async def test_closing_closes_the_link(bench: Bench) -> None:
    await bench.store.close()

    assert bench.memory.closed


async def test_answers_that_are_never_fresh_are_not_kept() -> None:
    bench = Bench(ttl_s=0.0, stale_s=0.0)

    bench.store.keep(cache_key(), body())

    assert await bench.store.find(cache_key()) is None
    assert [] == bench.memory.commands
