"""Who goes out at half price, in which company, with how much time."""

from dataclasses import replace
from math import inf
from typing import Any

import builders
import pytest

from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.policy.half_price import DOCUMENTED, Candidate, Deferring, grouped, is_served, shortest_ttl_s
from edgeclient.v1 import chat_pb2

HOUR_S = 3600.0
NOW_S = 1000.0


def rules(**over: Any) -> HalfPriceConfig:
    settings: dict[str, Any] = {"mode": "file", "linger_s": 60.0, "reserve_s": HOUR_S}
    return HalfPriceConfig(**(settings | over))


def candidate(number: int = 0, **over: Any) -> Candidate:
    facts: dict[str, Any] = {
        "id": f"job-{number}",
        "model": "qwen-plus",
        "size_bytes": 100,
        "since_s": NOW_S - 60.0,
        "left_s": 72 * HOUR_S,
    }
    return Candidate(**(facts | over))


def defers(rules: HalfPriceConfig, model: ModelSpec | None = None, *, ttl_s: float = 72 * HOUR_S, **over: Any) -> bool:
    request = builders.chat_request(**({"priority": chat_pb2.PRIORITY_LOW} | over))
    return Deferring(rules).defers(request, model or builders.model(), ttl_s=ttl_s)


@pytest.mark.parametrize("mode", ["file", "chat"])
def test_low_priority_job_that_can_wait_is_deferred(mode: str) -> None:
    assert defers(rules(mode=mode))


@pytest.mark.parametrize(
    "over",
    [{"priority": chat_pb2.PRIORITY_NORMAL}, {"priority": chat_pb2.PRIORITY_UNSPECIFIED}, {"conversation_id": "c"}],
)
def test_job_of_another_priority_or_of_a_conversation_is_not(over: dict[str, Any]) -> None:
    assert not defers(rules(), **over)


def test_nothing_is_deferred_without_the_switch() -> None:
    assert not defers(HalfPriceConfig())


def test_ttl_has_to_hold_the_shortest_batch_and_the_reserve() -> None:
    assert 25 * HOUR_S + 60 == shortest_ttl_s(rules())
    assert defers(rules(), ttl_s=25 * HOUR_S + 60)
    assert not defers(rules(), ttl_s=25 * HOUR_S + 59)
    assert defers(rules(mode="chat"), ttl_s=60.0)


def test_job_without_a_ttl_gets_time_for_a_batch_as_far_as_the_node_permits() -> None:
    low = builders.chat_request(priority=chat_pb2.PRIORITY_LOW)
    given = {"otherwise_s": 100.0, "most_s": 200 * HOUR_S}
    assert 72 * HOUR_S == Deferring(rules()).ttl_s(low, **given)
    assert 30 * HOUR_S == Deferring(rules()).ttl_s(low, otherwise_s=100.0, most_s=30 * HOUR_S)
    assert 100.0 == Deferring(rules()).ttl_s(builders.chat_request(), **given)
    assert 100.0 == Deferring(rules(mode="chat")).ttl_s(low, **given)


def test_what_answers_only_as_a_stream_is_not_served() -> None:
    thinking = builders.chat_request(thinking=chat_pb2.THINKING_MODE_HIGH)
    hybrid = replace(builders.model(thinking=Thinking.OFF), thinking_needs_stream=True)
    assert not is_served(builders.chat_request(), builders.model(stream_only=True), rules())
    assert not is_served(thinking, hybrid, rules())
    assert is_served(builders.chat_request(), hybrid, rules())


def test_operator_may_name_other_models_than_the_documented_ones() -> None:
    assert "qwen-plus" in DOCUMENTED
    assert not is_served(builders.chat_request(), builders.model(), rules(models=["qwen-flash"]))
    assert is_served(builders.chat_request(), builders.model(id="own"), rules(models=["own"]))


def test_jobs_wait_for_company_and_go_by_model() -> None:
    early = grouped([candidate(since_s=NOW_S - 10)], rules(), now_s=NOW_S)
    assert ((), NOW_S + 50) == (early.companies, early.due_s)
    both = grouped([candidate(1), candidate(2, model="qwen-flash"), candidate(3)], rules(), now_s=NOW_S)
    assert {("qwen-plus", ("job-1", "job-3")), ("qwen-flash", ("job-2",))} == {(c.model, c.ids) for c in both.companies}
    assert inf == both.due_s


def test_full_files_do_not_wait_and_keep_both_limits() -> None:
    fresh = [candidate(number, since_s=NOW_S, size_bytes=400) for number in range(5)]
    by_lines = grouped(fresh, rules(max_lines=2), now_s=NOW_S)
    by_bytes = grouped(fresh, rules(max_bytes=1024, max_line_bytes=1024), now_s=NOW_S)
    for grouping in (by_lines, by_bytes):
        assert [("job-0", "job-1"), ("job-2", "job-3")] == [company.ids for company in grouping.companies]
        assert NOW_S + 60 == grouping.due_s


def test_window_is_no_longer_than_the_shortest_ttl_allows() -> None:
    some = [candidate(1, left_s=100 * HOUR_S), candidate(2, left_s=30.5 * HOUR_S)]
    (company,) = grouped(some, rules(completion_window_h=336), now_s=NOW_S).companies
    assert 29 == company.window_h
    (company,) = grouped(some, rules(), now_s=NOW_S).companies
    assert 24 == company.window_h


def test_who_has_no_time_is_too_large_or_alone_goes_the_ordinary_road() -> None:
    some = [candidate(1, left_s=24.9 * HOUR_S), candidate(2, size_bytes=2000), candidate(3)]
    grouping = grouped(some, rules(min_lines=2, max_line_bytes=1999), now_s=NOW_S)
    assert {("job-1", "ttl"), ("job-2", "size"), ("job-3", "alone")} == set(grouping.live)
    assert () == grouping.companies
