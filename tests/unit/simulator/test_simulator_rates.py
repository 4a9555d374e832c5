from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclient.simulator.errors import ApiError
from edgeclient.simulator.rates.judge import Admission, RateJudge
from edgeclient.simulator.rates.model_limits import ModelLimits
from edgeclient.simulator.rates.provider_table import PROVIDER_LIMITS
from edgeclient.simulator.rates.quotas import list_quotas
from edgeclient.simulator.rates.verdict import Rule
from edgeclient.simulator.rates.window import Window
from edgeclient.simulator.reply import Reply


class Clock:
    def __init__(self, now_s: float = 10_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A judge over one row for the model `m`, and a clock that a test turns."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.judge = RateJudge([ModelLimits(model="m", **limits)], clock=self.clock)

    def ask(
        self, at_s: float, prompt: int = 1, output: int = 0, *, patient: bool = False
    ) -> Admission | ApiError | None:
        self.clock.now_s = 10_000 + at_s
        return self.judge.admit("m", prompt=prompt, output=output, patient=patient)

    def call(self, at_s: float, prompt: int = 1, output: int = 0) -> str:
        """Begin and end a call; the code of the refusal, or nothing."""
        answer = self.ask(at_s, prompt, output)
        if isinstance(answer, ApiError):
            return answer.code
        assert answer is not None
        answer.end(output)
        return ""

    @property
    def report(self) -> dict[str, Any]:
        (row,) = self.judge.report()
        return row


def test_a_use_leaves_the_window_when_exactly_its_period_has_passed() -> None:
    window = Window(60)
    window.add(100.0, 7)

    assert (7, 7, 0) == (window.used(100.0), window.used(159.999), window.used(160.0))


def test_request_rate_is_held_per_second() -> None:
    bench = Bench(rpm=120)

    assert ["", "", "limit_requests", "limit_requests", ""] == [bench.call(at_s) for at_s in (0, 0.1, 0.2, 0.9, 1.0)]
    assert 2 == bench.report["refused_by_rule"]["rps"]


def test_request_rate_is_held_per_minute() -> None:
    bench = Bench(rpm=90)
    codes = [bench.call(number / 2) for number in range(121)]  # two in each second, as the rule of the second allows

    assert [""] * 90 + ["limit_requests"] * 30 + [""] == codes
    assert 30 == bench.report["refused_by_rule"]["rpm"]


def test_even_pace_at_the_limit_is_never_refused_where_the_rate_is_no_whole_number() -> None:
    bench = Bench(rpm=90)  # 1.5 a second

    assert {""} == {bench.call(number * 2 / 3) for number in range(500)}


def test_token_rate_counts_input_and_output_and_frees_itself_after_a_minute() -> None:
    bench = Bench(tpm=6_000)
    codes = [bench.call(0, 2_000, 3_900), bench.call(30, 200), bench.call(30, 100), bench.call(60, 200)]

    assert ["", "insufficient_quota", "", ""] == codes
    assert 1 == bench.report["refused_by_rule"]["tpm"]


def test_output_counts_when_it_is_generated_not_when_the_call_begins() -> None:
    bench = Bench(tpm=6_000)
    admission = bench.ask(0, 10, 5_990)
    assert isinstance(admission, Admission)
    before = bench.call(10, 5_000)
    bench.clock.now_s = 10_020
    admission.generated(3_000)
    bench.clock.now_s = 10_065
    admission.end(5_990)

    assert "" == before
    assert "insufficient_quota" == bench.call(75, 100)  # 5,000 of the 10th second left, 2,990 came at 65, 3,000 at 20
    assert 5_000 + 5_990 == bench.report["highest"]["tokens_per_minute"]  # from 10 to 65


def test_reserved_output_counts_when_the_call_begins() -> None:
    bench = Bench(tpm=6_000, reserve_output=True)

    assert isinstance(bench.ask(0, 10, 5_990), Admission)
    assert "insufficient_quota" == bench.call(30, 1)


def test_one_large_call_passes_the_second_but_nothing_behind_it() -> None:
    bench = Bench(tpm=6_000)  # 100 a second

    assert ["", "insufficient_quota", ""] == [bench.call(0, 3_000), bench.call(0.5, 1), bench.call(1, 1)]
    assert 1 == bench.report["refused_by_rule"]["tps"]


def test_both_texts_of_the_token_rules_read_like_a_billing_end() -> None:
    bench = Bench(tpm=6_000)
    bench.call(0, 5_999)
    of_second, of_minute = bench.ask(0.5, 1), bench.ask(5, 2)

    assert isinstance(of_second, ApiError)
    assert isinstance(of_minute, ApiError)
    assert (429, "insufficient_quota", "insufficient_quota") == (of_minute.status, of_minute.code, of_second.code)
    assert "quota" in of_second.message
    assert "billing" in of_minute.message


def test_calls_at_a_time_are_held_until_one_ends() -> None:
    bench = Bench(concurrency=2)
    first, second, third = (bench.ask(0) for _ in range(3))
    assert isinstance(first, Admission)
    assert isinstance(third, ApiError)
    first.end(0)
    first.end(0)

    assert (429, "Throttling") == (third.status, third.code)
    assert isinstance(bench.ask(0), Admission)
    assert isinstance(bench.ask(0), ApiError)  # ended twice is ended once
    assert isinstance(second, Admission)
    assert 2 == bench.report["highest"]["concurrency"]


def test_growth_is_measured_against_the_traffic_of_five_minutes_ago() -> None:
    bench = Bench(burst_rpm=5, burst_growth=0.5)
    begin = [bench.call(number) for number in range(7)]
    quiet = [bench.call(300 + number * 6) for number in range(5)]  # 5 a minute is always allowed
    later = [bench.call(600 + 24 + number) for number in range(9)]

    assert [""] * 5 + ["limit_burst_rate"] * 2 == begin
    assert [""] * 5 == quiet
    assert [""] * 7 + ["limit_burst_rate"] * 2 == later  # 5 and half of them are 7.5
    assert 4 == bench.report["refused_by_rule"]["burst_requests"]


def test_growth_of_tokens_has_an_allowance_of_its_own() -> None:
    bench = Bench(burst_tpm=1_000)

    assert ["", "limit_burst_rate", ""] == [bench.call(0, 900), bench.call(1, 200), bench.call(61, 200)]
    assert 1 == bench.report["refused_by_rule"]["burst_tokens"]


def test_patient_call_that_growth_keeps_out_is_not_on_record_as_refused() -> None:
    bench = Bench(burst_rpm=1, concurrency=9)
    bench.call(0)

    assert isinstance(bench.ask(1, patient=True), ApiError)
    assert 0 == bench.report["refused"]
    assert isinstance(bench.ask(1), ApiError)
    assert 1 == bench.report["refused"]


@pytest.mark.parametrize(("refused_count", "code"), [(True, "limit_requests"), (False, "")])
def test_refused_calls_count_only_where_the_limits_say_so(*, refused_count: bool, code: str) -> None:
    bench = Bench(rpm=60, refused_count=refused_count)
    bench.call(0)
    bench.call(0.5)

    assert code == bench.call(1.2)


def test_lower_limit_of_the_workspace_holds() -> None:
    bench = Bench(rpm=6_000, workspace_rpm=60)

    assert ["", "limit_requests"] == [bench.call(0), bench.call(0.5)]


def test_row_without_numbers_only_measures() -> None:
    bench = Bench()

    assert {""} == {bench.call(number / 1_000, 50, 5) for number in range(900)}
    highest = bench.report["highest"]
    assert (900, 900, 900 * 55) == (
        highest["requests_per_minute"],
        highest["requests_per_second"],
        highest["tokens_per_minute"],
    )


def test_each_name_is_counted_by_itself_and_the_first_row_holds() -> None:
    clock = Clock()
    rows = [ModelLimits(model="qwen-plus", rpm=60), ModelLimits(model="qwen-*", rpm=6_000)]
    judge = RateJudge(rows, clock=clock)
    answers = [judge.admit(name, prompt=1, output=0) for name in ("qwen-plus", "qwen-plus", "qwen-plus-latest")]

    assert [Admission, ApiError, Admission] == [type(answer) for answer in answers]
    assert judge.admit("other", prompt=1, output=0) is None
    assert ["qwen-plus", "qwen-plus-latest"] == [row["model"] for row in judge.report()]


def test_changed_limits_hold_at_once_for_what_was_used_before() -> None:
    bench = Bench()
    for number in range(5):
        bench.call(number)
    bench.judge.set_rows([ModelLimits(model="m", rpm=5)])

    assert "limit_requests" == bench.call(10)
    bench.judge.forget()
    assert "" == bench.call(11)
    bench.judge.set_rows([])
    assert bench.ask(12) is None


@pytest.mark.parametrize(
    "over", [{"rpm": 0}, {"tpm": -1}, {"concurrency": 0}, {"burst_growth": -0.1}, {"burst_lookback_s": 4_000}]
)
def test_impossible_limit_is_refused_by_its_field(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(over))):
        ModelLimits(model="m", **over)


TIMES = st.lists(
    st.tuples(st.integers(min_value=0, max_value=400), st.integers(min_value=0, max_value=900)), min_size=1, max_size=60
)


@settings(max_examples=200, deadline=None)
@given(
    steps=TIMES,
    rpm=st.none() | st.integers(min_value=1, max_value=200),
    tpm=st.none() | st.integers(min_value=60, max_value=30_000),
)
def test_verdict_is_that_of_the_definition(steps: list[tuple[int, int]], rpm: int | None, tpm: int | None) -> None:
    """Against a judge that keeps every call and counts it anew each time; times in hundredths of a second."""
    bench = Bench(rpm=rpm, tpm=tpm)
    let_in: list[tuple[int, int]] = []
    highest = now = 0
    for gap, tokens in steps:
        now += gap * gap // 40
        minute = [each for each in let_in if each[0] > now - 6_000]
        second = [each for each in let_in if each[0] > now - 100]
        allowed = (rpm is None or (len(minute) < rpm and len(second) * 60 < rpm)) and (
            tpm is None
            or (sum(each[1] for each in minute) + tokens <= tpm and sum(each[1] for each in second) * 60 < tpm)
        )
        assert allowed == (bench.call(now / 100, tokens) == "")
        if allowed:
            let_in.append((now, tokens))
            highest = max(highest, len(minute) + 1)

    assert not let_in or highest == bench.report["highest"]["requests_per_minute"]


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(min_value=1, max_value=3_000), min_size=1, max_size=80))
def test_client_that_waits_for_each_token_is_never_refused(sizes: list[int]) -> None:
    bench = Bench(tpm=60_000 + 3_000)  # one call of headroom over the pace of 1,000 a second
    at_s = 0.0
    for size in sizes:
        assert "" == bench.call(at_s, size)
        at_s += size / 1_000


def test_provider_tables_name_models_and_make_no_call_impossible() -> None:
    for rows in PROVIDER_LIMITS.values():
        assert all(row.rpm and row.tpm for row in rows)
    judge = RateJudge(PROVIDER_LIMITS["beijing"], clock=Clock())
    snapshot, latest = judge.limits_of("qwen-plus-2025-07-28"), judge.limits_of("qwen-plus-latest")

    assert snapshot is not None
    assert latest is not None
    assert (60, 15_000) == (snapshot.rpm, latest.rpm)


def quotas(query: dict[str, Any], *rows: ModelLimits) -> Any:
    judge = RateJudge(rows, clock=Clock())
    reply = list_quotas(urlencode(query), judge, ["qwen-plus", "qwen-max", "qwen3-max"], "id-1")
    assert isinstance(reply, Reply)
    return msgspec.json.decode(reply.body)["output"]


def test_quotas_tell_the_limits_in_their_periods_and_null_for_none() -> None:
    row = ModelLimits(model="qwen-plus", rpm=30_000, tpm=5_000_000, request_period_s=1, usage_period_s=6)
    plus, largest, *_ = quotas({}, row)["quotas"]

    assert (500, 1, 500_000, 6, "total_tokens") == tuple(
        plus["model_limit"][field]
        for field in ("request_limit", "request_limit_period", "usage_limit", "usage_limit_period", "usage_limit_field")
    )
    assert {None} == set(largest["model_limit"].values())
    assert plus["workspace_limit"] is None


def test_quotas_tell_a_limit_of_the_workspace_beside_that_of_the_account() -> None:
    (row,) = quotas({"model": "qwen-max"}, ModelLimits(model="qwen-max", rpm=1_200, workspace_rpm=60))["quotas"]

    assert (1_200, 60) == (row["model_limit"]["request_limit"], row["workspace_limit"]["request_limit"])
    assert row["workspace_limit"]["usage_limit"] is None


def test_quotas_come_in_pages_and_can_be_searched() -> None:
    snapshot = ModelLimits(model="qwen-max-2025-01-25", rpm=60)
    pages = [quotas({"page_size": 3, "page_no": number}, snapshot) for number in (1, 2, 3)]

    assert [4, 4, 4] == [page["total"] for page in pages]
    names = ["qwen-plus", "qwen-max", "qwen3-max", "qwen-max-2025-01-25"]
    assert names == [row["model"] for page in pages for row in page["quotas"]]
    assert [1, 3] == [quotas(query, snapshot)["total"] for query in ({"model": "qwen-max"}, {"name": "max"})]


@pytest.mark.parametrize("query", ["page_no=0", "page_size=x", "page_size=500"])
def test_page_that_cannot_be_is_refused_by_its_name(query: str) -> None:
    answer = list_quotas(query, RateJudge([], clock=Clock()), ["m"], "id-1")

    assert isinstance(answer, ApiError)
    assert query.partition("=")[0] in answer.message


def test_every_rule_is_reported_by_its_name() -> None:
    bench = Bench()
    bench.call(0)

    assert {rule.value for rule in Rule} == set(bench.report["refused_by_rule"])
