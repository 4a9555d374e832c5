"""One cache in several places: the nearest fresh answer counts, and none of a place's peculiarities shows."""

from typing import Any

import pytest
from cache_bench import answer, cache_config, cache_key, content
from fakes.clock import FakeClock

from edgeclient.cache.memory import MemoryStore
from edgeclient.cache.tiers import TieredCache
from edgeclient.core.cache import Cached, CacheKey, CacheUnreachableError, StoreStats
from edgeclient.core.cache_events import CacheEvicted
from edgeclient.core.events import Event
from edgeclient.v1 import chat_pb2


class Place:
    """A store outside of memory that holds what a test puts there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: Cached | None = None
        self.kept: list[bytes] = []
        self.asked_count = 0
        self.unreachable = False

    def holds(self, text: str, *, age_s: float | None) -> None:
        self.found = Cached(response=answer(text), age_s=age_s, store=self.name)

    async def find(self, key: CacheKey) -> Cached | None:  # noqa: ARG002  the port
        self.asked_count += 1
        return self.found

    def keep(self, key: CacheKey, body: bytes) -> None:  # noqa: ARG002  the port
        self.kept.append(body)

    async def forget(self, caller: str) -> int:  # noqa: ARG002  the port
        if self.unreachable:
            raise CacheUnreachableError("gone")
        return 5

    def stats(self) -> StoreStats:
        return StoreStats(entries=7)


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        config = cache_config(**settings)
        self.near, self.far = Place("near"), Place("far")
        memory = MemoryStore(config, clock=self.clock, observe=self.events.append)
        self.cache = TieredCache(memory, [("near", self.near), ("far", self.far)], config)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_kept_answer_is_at_hand_and_goes_everywhere(bench: Bench) -> None:
    assert bench.cache.keep(cache_key(), answer("yes"))

    bench.clock.advance(3)
    found = bench.cache.look(cache_key())
    assert found is not None
    assert ("yes", 3.0, "memory") == (content(found), found.age_s, found.store)
    assert 1 == len(bench.near.kept) == len(bench.far.kept)


def test_what_belongs_to_one_call_is_not_kept(bench: Bench) -> None:
    bench.cache.keep(cache_key(), answer("yes", id="01CALL", attempt_count=3))

    kept = chat_pb2.ChatResponse.FromString(bench.near.kept[0])

    assert ("", 0, 0) == (kept.id, kept.attempt_count, kept.source)
    assert ("yes", 9, "dashscope", "chatcmpl-1") == (
        kept.message.content,
        kept.usage.prompt_tokens,
        kept.target,
        kept.upstream_id,
    )


def test_answer_that_is_too_large_is_kept_nowhere() -> None:
    bench = Bench(max_entry_bytes=1000)

    assert not bench.cache.keep(cache_key(), answer("x" * 1000))
    assert bench.cache.look(cache_key()) is None
    assert [] == bench.near.kept


def test_what_is_changed_by_who_got_it_stays_as_it_was(bench: Bench) -> None:
    bench.cache.keep(cache_key(), answer("yes"))
    first = bench.cache.look(cache_key())
    assert first is not None
    first.response.message.content = "changed"

    assert "yes" == content(bench.cache.look(cache_key()))


async def test_nearest_fresh_answer_ends_the_search(bench: Bench) -> None:
    bench.near.holds("near", age_s=5)
    bench.far.holds("far", age_s=1)

    assert "near" == content(await bench.cache.find(cache_key(), fresh_s=10))
    assert 0 == bench.far.asked_count


async def test_outdated_answer_nearby_does_not_hide_a_fresh_one(bench: Bench) -> None:
    bench.near.holds("near", age_s=50)
    bench.far.holds("far", age_s=1)

    assert "far" == content(await bench.cache.find(cache_key(), fresh_s=10))


async def test_youngest_counts_where_none_is_fresh(bench: Bench) -> None:
    bench.near.holds("near", age_s=50)
    bench.far.holds("far", age_s=60)
    assert "near" == content(await bench.cache.find(cache_key(), fresh_s=10))

    bench.near.holds("near", age_s=None)
    assert "far" == content(await bench.cache.find(cache_key(), fresh_s=10))


async def test_what_was_found_is_at_hand_with_its_age(bench: Bench) -> None:
    bench.far.holds("far", age_s=5)
    await bench.cache.find(cache_key(), fresh_s=10)
    bench.clock.advance(2)

    found = bench.cache.look(cache_key())

    assert found is not None
    assert ("far", 7.0) == (content(found), found.age_s)


async def test_what_was_found_never_replaces_something_younger(bench: Bench) -> None:
    bench.cache.keep(cache_key(), answer("young"))
    bench.far.holds("old", age_s=5)

    await bench.cache.find(cache_key(), fresh_s=10)

    assert "young" == content(bench.cache.look(cache_key()))


async def test_answer_of_unknown_age_is_not_put_where_ages_are_known(bench: Bench) -> None:
    bench.near.holds("near", age_s=None)

    assert "near" == content(await bench.cache.find(cache_key(), fresh_s=10))
    assert bench.cache.look(cache_key()) is None


async def test_caller_is_forgotten_everywhere(bench: Bench) -> None:
    bench.cache.keep(cache_key(), answer())
    bench.cache.keep(cache_key(caller="device-8"), answer())

    assert 5 == await bench.cache.forget("device-7")
    assert bench.cache.look(cache_key()) is None
    assert bench.cache.look(cache_key(caller="device-8")) is not None


async def test_place_that_cannot_be_reached_keeps_no_other_from_forgetting(bench: Bench) -> None:
    bench.cache.keep(cache_key(), answer())
    bench.far.unreachable = True

    with pytest.raises(CacheUnreachableError):
        await bench.cache.forget("device-7")

    assert bench.cache.look(cache_key()) is None


def test_counts_are_those_of_the_fullest_place(bench: Bench) -> None:
    bench.cache.keep(cache_key(), answer())

    stats = bench.cache.stats()

    assert ["memory", "near", "far"] == list(stats.stores)
    assert 1 == stats.stores["memory"].entries
    assert stats.stores["memory"].size_bytes > 700
    assert 7 == stats.response_count


def test_what_memory_gives_up_is_told() -> None:
    bench = Bench(max_entries=1)
    for text in ("a", "b"):
        bench.cache.keep(cache_key(text), answer())
    bench.clock.advance(2000)
    bench.cache.keep(cache_key("c"), answer())

    assert [("room", 1), ("age", 1)] == [
        (event.cause, event.count) for event in bench.events if isinstance(event, CacheEvicted)
    ]
