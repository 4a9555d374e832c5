from typing import Any

from edgeclient.core.cache import CacheStats, StoreStats
from edgeclient.core.cache_events import (
    AnswerKept,
    AnswerReused,
    CacheEvicted,
    CacheFileDiscarded,
    CacheLookedUp,
    CacheMissed,
    CacheStoreLost,
    CacheWriteDropped,
    CacheWritesRefused,
    PreparedUnusable,
    SharedCallPassedOn,
)
from edgeclient.core.events import Event
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.metrics import Metrics


def metrics(*events: Event) -> Metrics:
    made = Metrics(node_id="box-1", version="1.2.3")
    for event in events:
        made.table[type(event)](event)
    return made


def value(made: Metrics, name: str, **labels: str) -> float | None:
    return made.registry.get_sample_value(name, labels)


def reused(**over: Any) -> AnswerReused:
    facts: dict[str, Any] = {
        "call_id": "01CALL",
        "caller": "device-7",
        "model": "qwen-plus",
        "source": "cache",
        "store": "memory",
        "age_s": 5.0,
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "cost_nanos": 2_000_000_000,
        "currency_code": "CNY",
    }
    return AnswerReused(**(facts | over))


def test_what_was_saved_is_counted_by_where_the_answer_came_from() -> None:
    made = metrics(reused(), reused(), reused(source="coalesced", store="", cost_nanos=0, currency_code=""))

    assert 2 == value(made, "edgeclient_answers_reused_total", source="cache", store="memory")
    assert 1 == value(made, "edgeclient_answers_reused_total", source="coalesced", store="")
    assert (18, 14) == tuple(
        value(made, "edgeclient_saved_tokens_total", source="cache", type=kind) for kind in ("input", "output")
    )
    assert 4.0 == value(made, "edgeclient_saved_cost_total", source="cache", currency="CNY")


def test_pinned_answer_saves_no_tokens_that_anybody_knows() -> None:
    made = metrics(reused(source="pinned", store="", prompt_tokens=0, completion_tokens=0, cost_nanos=0))

    assert value(made, "edgeclient_saved_tokens_total", source="pinned", type="input") is None


def test_misses_stores_and_evictions_are_counted_by_their_reason() -> None:
    made = metrics(
        CacheMissed(call_id="c", why="outdated"),
        AnswerKept(call_id="c", outcome="too_large", size_bytes=5),
        CacheEvicted(store="disk", cause="room", count=3),
        CacheWriteDropped(store="redis", why="busy"),
        SharedCallPassedOn(call_id="c", reason="DEADLINE"),
    )

    assert 1 == value(made, "edgeclient_cache_misses_total", reason="outdated")
    assert 1 == value(made, "edgeclient_cache_answers_total", outcome="too_large")
    assert 3 == value(made, "edgeclient_cache_evictions_total", store="disk", cause="room")
    assert 1 == value(made, "edgeclient_cache_writes_dropped_total", store="redis", reason="busy")
    assert 1 == value(made, "edgeclient_shared_calls_passed_on_total")


def test_troubles_of_a_store_are_counted() -> None:
    made = metrics(
        CacheStoreLost(store="redis", problem="p"),
        CacheWritesRefused(store="redis", problem="p"),
        CacheFileDiscarded(path="/p", problem="p"),
        PreparedUnusable(path="/p", problem="p"),
    )

    name = "edgeclient_cache_store_failures_total"
    assert [1, 1, 1] == [
        value(made, name, store=store, kind=kind)
        for store, kind in (("redis", "lost"), ("redis", "refused"), ("disk", "discarded"))
    ]
    assert 1 == value(made, "edgeclient_reloads_total", kind="prepared", outcome="failure")


def test_waits_for_a_store_are_told_by_what_came_of_them() -> None:
    made = metrics(CacheLookedUp(store="redis", outcome="late", duration_s=0.02))

    assert 0.02 == value(made, "edgeclient_cache_lookup_duration_seconds_sum", store="redis", outcome="late")


def test_counts_of_the_stores_are_read_at_the_scrape() -> None:
    made = metrics()
    stores = {"memory": StoreStats(entries=2, size_bytes=7), "redis": StoreStats(usable=False)}
    made.read_at_scrape(Gauges(cache=lambda: CacheStats(stores=stores)))

    assert (2, 7, 1) == tuple(
        value(made, f"edgeclient_cache_{name}", store="memory") for name in ("entries", "bytes", "store_usable")
    )
    assert 0 == value(made, "edgeclient_cache_store_usable", store="redis")
    assert value(made, "edgeclient_cache_entries", store="redis") is None
