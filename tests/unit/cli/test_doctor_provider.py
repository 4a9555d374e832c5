"""The sentences about what the provider says."""

from typing import Any

import pytest

from edgeclient.cli.doctor_provider import judge_clock, judge_key, judge_latency, judge_models, quantile
from edgeclient.cli.doctor_verdict import Level
from edgeclient.upstream.diagnosis import FreeAnswer, listed


def answer(**over: Any) -> FreeAnswer:
    facts: dict[str, Any] = {"status": 200, "protocol": "h2", "duration_s": 0.03}
    return FreeAnswer(**(facts | over))


def test_a_key_that_is_taken_is_told_with_protocol_and_time() -> None:
    verdict = judge_key(answer(), key_from="KEY")

    assert Level.OK is verdict.level
    assert "the provider takes the key (GET /models: HTTP 200 over h2, 30 ms)" == verdict.line


@pytest.mark.parametrize(
    ("status", "reason", "level", "line"),
    [
        (401, "UPSTREAM_CREDENTIALS", Level.FAIL, "the provider does not know the key (401)"),
        (403, "UPSTREAM_CREDENTIALS", Level.FAIL, "the provider knows the key and refuses it (403)"),
        (0, "UPSTREAM_CREDENTIALS", Level.FAIL, "there is no key to send"),
        (200, "UPLINK_OFFLINE", Level.FAIL, "a web page answered instead of the provider"),
        (302, "UPLINK_OFFLINE", Level.FAIL, "a web page answered instead of the provider"),
        (0, "UPLINK_OFFLINE", Level.FAIL, "there is no answer"),
        (400, "UPSTREAM_QUOTA_EXHAUSTED", Level.FAIL, "the provider's account has no money left, or is not activated"),
        (429, "UPSTREAM_RATE_LIMITED", Level.WARNING, "the provider limits the rate just now"),
        (503, "UPSTREAM_UNAVAILABLE", Level.FAIL, "the provider does not answer as it should"),
        (0, "UPSTREAM_TIMEOUT", Level.FAIL, "there is no answer"),
        (
            404,
            "UPSTREAM_BAD_RESPONSE",
            Level.WARNING,
            "the endpoint has no list of models (GET /models: HTTP 404), so the key is not proved",
        ),
    ],
)
def test_every_refusal_has_its_sentence(status: int, reason: str, level: Level, line: str) -> None:
    verdict = judge_key(answer(status=status, reason=reason, problem="why"), key_from="/run/key")

    assert (level, line) == (verdict.level, verdict.line)
    assert verdict.seen.startswith("why")
    assert verdict.means
    assert verdict.do


def test_an_unknown_key_leads_to_its_place_and_its_region() -> None:
    verdict = judge_key(answer(status=401, reason="UPSTREAM_CREDENTIALS"), key_from="/run/key")

    assert "/run/key" in verdict.do[0]
    assert "region" in verdict.do[1]


def test_models_that_are_listed_still_say_what_the_list_does_not_prove() -> None:
    verdict = judge_models(["qwen-plus", "qwen-flash"], default="qwen-plus", named={"qwen-flash": "prices[0]"})

    assert Level.OK is verdict.level
    assert "qwen-plus and the 1 others of the configuration are listed (2 in all)" in verdict.line
    assert "only a paid call" in verdict.line


def test_a_default_model_that_is_not_listed_fails() -> None:
    verdict = judge_models(["qwen-flash"], default="qwen-plus", named={"qwen-old": "chat.aliases.old"})

    assert (Level.FAIL, "the provider does not list the default model qwen-plus") == (verdict.level, verdict.line)
    assert "qwen-old (chat.aliases.old)" in verdict.seen


def test_another_model_that_is_not_listed_is_a_warning_with_its_setting() -> None:
    verdict = judge_models(["qwen-plus"], default="qwen-plus", named={"qwen-old": "prices[3]", "qwen-plus": "x"})

    assert Level.WARNING is verdict.level
    assert "not listed: qwen-old (prices[3])" == verdict.seen


def test_without_a_list_only_a_paid_call_would_show_it() -> None:
    verdict = judge_models(None, default="qwen-plus", named={})

    assert Level.SKIPPED is verdict.level
    assert "only a paid call would show" in verdict.line


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data":[{"id":"a"},{"id":"b"}]}', ("a", "b")),
        (b'{"data":[]}', None),
        (b'{"object":"list"}', None),
        (b'{"data":[1]}', None),
        (b"[]", None),
        (b"not json", None),
    ],
)
def test_only_a_list_of_models_is_one(body: bytes, expected: tuple[str, ...] | None) -> None:
    assert expected == listed(body)


def test_latency_is_told_with_what_a_new_connection_costs() -> None:
    calls = [answer(duration_s=0.010 + number / 1000) for number in range(10)]
    fresh = [answer(duration_s=0.114), answer(duration_s=0.090), answer(duration_s=0.9)]

    verdict = judge_latency(calls, fresh, wanted=10)

    assert Level.OK is verdict.level
    assert "p50 14 ms, p99 19 ms of 10 free calls on one connection; a new connection costs 100 ms more" == verdict.line


def test_a_slow_way_is_a_warning() -> None:
    assert Level.WARNING is judge_latency([answer(duration_s=1.1)] * 10, [], wanted=10).level
    assert Level.OK is judge_latency([answer(duration_s=1.0)] * 10, [], wanted=10).level


def test_calls_that_got_no_answer_are_counted() -> None:
    verdict = judge_latency([*[answer()] * 3, answer(status=0, problem="cut off")], [], wanted=10)

    assert Level.WARNING is verdict.level
    assert "7 of 10 calls got no answer in time: cut off" == verdict.seen


def test_no_answer_at_all_is_a_warning_with_the_cause() -> None:
    assert "cut off" == judge_latency([answer(status=0, problem="cut off")], [], wanted=10).seen
    assert "there was no time left" == judge_latency([], [], wanted=10).seen


def test_a_quantile_is_a_value_that_was_measured() -> None:
    ordered = [1.0, 2.0, 3.0, 4.0]

    assert [2.0, 4.0, 1.0] == [quantile(ordered, part) for part in (0.5, 0.99, 0.0)]


@pytest.mark.parametrize(
    ("ahead_s", "kept", "level", "part"),
    [
        (0.4, True, Level.OK, "within a second of the provider's; synchronised"),
        (-9.0, False, Level.OK, "-9 s from the provider's; not synchronised"),
        (60.0, True, Level.OK, "+60 s from"),
        (61.0, True, Level.WARNING, "61 s ahead of the provider's clock; synchronised"),
        (-7200.0, False, Level.WARNING, "7200 s behind the provider's clock; not synchronised"),
        (None, False, Level.WARNING, "nobody synchronises the clock"),
        (None, True, Level.OK, "no answer of the provider to compare with; synchronised"),
        (None, None, Level.OK, "whether it is synchronised cannot be seen"),
    ],
)
def test_a_clock_is_judged_by_the_provider_and_the_kernel(
    ahead_s: float | None, *, kept: bool | None, level: Level, part: str
) -> None:
    verdict = judge_clock(ahead_s, kept=kept)

    assert level is verdict.level
    assert part in verdict.line
