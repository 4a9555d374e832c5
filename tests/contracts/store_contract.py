"""What every `Store` of the cache promises, as tests; run against each of them by `test_store_contract_*.py`."""

import asyncio
from typing import Protocol

from cache_bench import answer, body, cache_key, content

from edgeclient.cache.tiers import Store
from edgeclient.core.cache import CacheKey


class StoreBench(Protocol):
    """A store whose answers are fresh for 100 s and kept for 1000 s."""

    @property
    def store(self) -> Store:
        """The store."""
        ...

    async def keep(self, key: CacheKey, kept: bytes) -> None:
        """Keep an answer, and return when that is done."""
        ...

    async def pass_by(self, duration_s: float) -> None:
        """Let time pass."""
        ...


class StoreContract:
    async def test_what_was_kept_is_found_as_it_was(self, bench: StoreBench) -> None:
        await bench.keep(cache_key(), body("yes"))

        found = await bench.store.find(cache_key())

        assert found is not None
        assert answer("yes") == found.response
        assert found.age_s is not None
        assert 0 <= found.age_s < 5

    async def test_nothing_else_is(self, bench: StoreBench) -> None:
        await bench.keep(cache_key("hi"), body())

        assert await bench.store.find(cache_key("ho")) is None
        assert await bench.store.find(cache_key("hi", caller="device-8")) is None

    async def test_newest_answer_counts(self, bench: StoreBench) -> None:
        await bench.keep(cache_key(), body("yes"))
        await bench.keep(cache_key(), body("no"))

        assert "no" == content(await bench.store.find(cache_key()))

    async def test_what_is_found_belongs_to_who_asked(self, bench: StoreBench) -> None:
        await bench.keep(cache_key(), body("yes"))
        first = await bench.store.find(cache_key())
        assert first is not None
        first.response.message.content = "changed"

        assert "yes" == content(await bench.store.find(cache_key()))

    async def test_age_is_told(self, bench: StoreBench) -> None:
        await bench.keep(cache_key(), body())
        await bench.pass_by(2.0)

        found = await bench.store.find(cache_key())

        assert found is not None
        assert found.age_s is not None
        assert 1.5 < found.age_s < 7

    async def test_forgotten_caller_has_nothing_any_more_and_others_have(self, bench: StoreBench) -> None:
        for text in ("hi", "ho"):
            await bench.keep(cache_key(text), body())
        await bench.keep(cache_key(caller="device-8"), body("mine"))

        assert 2 == await bench.store.forget("device-7")
        assert await bench.store.find(cache_key("hi")) is None
        assert "mine" == content(await bench.store.find(cache_key(caller="device-8")))
        assert 0 == await bench.store.forget("device-7")

    async def test_many_at_a_time_get_their_own(self, bench: StoreBench) -> None:
        texts = [f"question {number}" for number in range(50)]
        for text in texts:
            await bench.keep(cache_key(text), body(f"answer to {text}"))

        found = await asyncio.gather(*(bench.store.find(cache_key(text)) for text in texts))

        assert [f"answer to {text}" for text in texts] == [content(each) for each in found]
