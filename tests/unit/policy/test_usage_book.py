"""Sums of what was used, each fact once."""

from typing import Any

import pytest
from unit.telemetry.sample_events import answered, failed, sample

from edgeclient.core.accounts import ERASED, OTHER, UsageRow
from edgeclient.core.cache_events import AnswerReused
from edgeclient.core.events import AttemptFinished
from edgeclient.core.job_events import JobFinished
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.policy.demand import Demand
from edgeclient.policy.usage_book import UsageBook

DAY = 20_000


def made(**over: Any) -> UsageBook:
    return UsageBook(currency_of=lambda model: "CNY" if model == "qwen-plus" else "", **over)


def attempt(**over: Any) -> AttemptFinished:
    facts = {"caller": "a", "model": "qwen-plus", "currency_code": "CNY", "possibly_billed": False}
    return sample(AttemptFinished, **(facts | over))


def only(book: UsageBook) -> dict[str, Any]:
    """What differs from zero in the only row."""
    (row,) = book
    return {name: getattr(row, name) for name in UsageRow.__slots__ if getattr(row, name)}


KEY = {"day": DAY, "caller": "a", "model": "qwen-plus", "currency": "CNY"}


def test_a_chat_counts_once_and_its_tokens_with_the_attempt() -> None:
    book = made()
    book.attempt_finished(attempt(reason="UPSTREAM_TIMEOUT", **_tokens(0, 0, 0, 0, 0)), DAY)
    book.attempt_finished(attempt(**_tokens(100, 40, 64, 16, 1_500_000)), DAY)
    book.call_finished(answered(caller="a", attempt_count=2), DAY)

    assert only(book) == KEY | {
        "requests": 1,
        "attempts": 2,
        "prompt_tokens": 100,
        "completion_tokens": 40,
        "cached_tokens": 64,
        "reasoning_tokens": 16,
        "cost_nanos": 1_500_000,
    }


def _tokens(prompt: int, completion: int, cached: int, reasoning: int, cost: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cached_tokens": cached,
        "reasoning_tokens": reasoning,
        "cost_nanos": cost,
    }


def test_a_failed_chat_is_a_request_without_an_answer() -> None:
    book = made()
    book.call_finished(failed("UPLINK_OFFLINE", caller="a"), DAY)

    assert only(book) == KEY | {"requests": 1, "failed": 1}


def test_a_chat_that_became_a_job_is_counted_when_the_job_ends() -> None:
    book = made()
    book.call_finished(answered(caller="a", source="", finish_reason=""), DAY)
    assert list(book) == []
    book.job_finished(sample(JobFinished, caller="a", state="succeeded", model="qwen-plus"), DAY)
    book.job_finished(sample(JobFinished, caller="a", state="expired", model="qwen-plus"), DAY)

    assert only(book) == KEY | {"requests": 2, "failed": 1}


def test_a_repeat_of_a_key_is_a_replay() -> None:
    book = made()
    book.call_finished(answered(caller="a", source="replay"), DAY)

    assert only(book) == KEY | {"requests": 1, "replayed": 1}


@pytest.mark.parametrize(
    ("source", "counter"),
    [("cache", "from_cache"), ("stale_cache", "from_cache"), ("coalesced", "coalesced"), ("pinned", "pinned")],
)
def test_what_was_saved_by_not_asking_is_told(source: str, counter: str) -> None:
    book = made()
    reused = {"prompt_tokens": 100, "completion_tokens": 40, "cost_nanos": 7, "currency_code": "CNY"}
    book.reused(sample(AnswerReused, caller="a", model="qwen-plus", source=source, age_s=1.0, **reused), DAY)

    assert only(book) == KEY | {counter: 1, "saved_tokens": 140, "saved_nanos": 7}


def test_half_price_is_told_with_what_it_saved() -> None:
    book = made()
    facts = _tokens(100, 40, 0, 16, 50) | {"full_cost_nanos": 100, "currency_code": "CNY"}
    book.batched(BatchAnswered(caller="a", model="qwen-plus", **facts), DAY)  # type: ignore[arg-type]  # by name

    tokens = {"prompt_tokens": 100, "completion_tokens": 40, "reasoning_tokens": 16, "cost_nanos": 50}
    assert only(book) == KEY | tokens | {"batched": 1, "batch_saved_nanos": 50}


def test_what_was_perhaps_billed_is_told_apart() -> None:
    book = made()
    book.attempt_finished(attempt(possibly_billed=True, **_tokens(0, 0, 0, 0, 0)), DAY)
    book.unknown(Demand(model="qwen-plus", caller="a", tokens=900, cost_nanos=9, currency="CNY"), DAY)

    assert only(book) == KEY | {"attempts": 1, "uncertain": 1, "uncertain_tokens": 900, "uncertain_nanos": 9}


def test_the_nodes_own_probes_are_nobodys() -> None:
    book = made()
    book.attempt_finished(attempt(caller=""), DAY)

    assert len(book) == 0


def test_days_callers_models_and_currencies_are_kept_apart() -> None:
    book = made()
    for day, caller, model, currency in [
        (DAY, "a", "qwen-plus", "CNY"),
        (DAY + 1, "a", "qwen-plus", "CNY"),
        (DAY, "b", "qwen-plus", "CNY"),
        (DAY, "a", "qwen-max", "CNY"),
        (DAY, "a", "qwen-plus", "USD"),
    ]:
        book.attempt_finished(attempt(caller=caller, model=model, currency_code=currency), day)

    assert [row.attempts for row in book] == [1] * 5


# memory


def test_further_callers_of_a_day_go_on_as_others_and_no_sum_is_lost() -> None:
    book = made(most_rows_a_day=10)
    for number in range(1000):
        book.attempt_finished(attempt(caller=f"c-{number}", model=f"m-{number % 100}"), DAY)

    assert len(book) <= 10 + 64 + 1
    assert sum(row.attempts for row in book) == 1000
    others = [row for row in book if not row.caller.startswith("c-")]
    assert {row.caller for row in others} == {OTHER}
    assert len({row.model for row in others}) > 60  # models are told apart longer than callers


def test_the_newest_days_are_kept() -> None:
    book = made(days=3)
    for day in range(5):
        assert book.first_day == max(0, day - 3)
        book.attempt_finished(attempt(), day)

    assert sorted({row.day for row in book}) == [2, 3, 4]
    assert book.first_day == 2
    assert {row.day for row in book.changes()} == {2, 3, 4}


# what is kept


def test_changes_are_told_once_as_copies() -> None:
    book = made()
    book.attempt_finished(attempt(), DAY)
    (first,) = book.changes()
    book.attempt_finished(attempt(), DAY)

    assert (first.attempts, [row.attempts for row in book.changes()], book.changes()) == (1, [2], [])


def test_what_could_not_be_kept_is_told_again_as_it_is_by_then() -> None:
    book = made()
    book.attempt_finished(attempt(), DAY)
    lost = book.changes()
    book.attempt_finished(attempt(), DAY)
    book.unsaved(lost)

    assert [row.attempts for row in book.changes()] == [2]


def test_a_restart_goes_on_counting() -> None:
    old, new = made(), made()
    old.attempt_finished(attempt(), DAY)
    new.restore(old.changes())
    new.attempt_finished(attempt(), DAY)

    assert [row.attempts for row in new] == [2]


def test_an_erased_callers_sums_go_on_without_its_name() -> None:
    book = made()
    for caller in ("a", "b", "a"):
        for day in (DAY, DAY + 1):
            book.attempt_finished(attempt(caller=caller), day)
    book.erase("a")
    book.erase("b")

    assert {(row.caller, row.day): row.attempts for row in book} == {(ERASED, DAY): 3, (ERASED, DAY + 1): 3}
    assert {row.caller for row in book.changes()} == {ERASED}
