"""What needs what, limits, and how it all is shown."""

import asyncio
import threading
import time

import pytest

from edgeclient.cli.doctor_course import Course
from edgeclient.cli.doctor_settings import KeyFacts, judge_key_facts, judge_problems, key_of
from edgeclient.cli.doctor_verdict import Check, Level, Verdict, failing, fine, skipped, warning
from edgeclient.cli.doctor_view import as_data, check_text, summary
from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.aside import aside

BAD = failing("it is broken", seen="smoke", means="fire", do=["run", "call the fire brigade"])


async def well() -> Verdict:
    return fine("well")


async def bad() -> Verdict:
    return BAD


async def not_needed() -> Verdict:
    return skipped("not needed")


async def hangs() -> Verdict:
    await asyncio.Event().wait()
    raise AssertionError


async def defect() -> Verdict:
    raise KeyError("odd")


def course(checks: list[Check], *, left_s: float = 10.0) -> Course:
    return Course(checks.append, ends_s=time.monotonic() + left_s)


async def test_what_needs_a_failed_check_is_skipped_with_the_first_cause() -> None:
    checks: list[Check] = []
    row = course(checks)

    await row.take("a", bad, limit_s=1)
    await row.take("b", well, needs=["a"], limit_s=1)
    await row.take("c", well, needs=["b"], limit_s=1)
    await row.take("d", well, limit_s=1)

    assert [("a", "it is broken"), ("b", "a failed"), ("c", "a failed"), ("d", "well")] == [
        (check.name, check.verdict.line) for check in checks
    ]


async def test_what_was_skipped_without_need_stops_nothing() -> None:
    checks: list[Check] = []
    row = course(checks)

    await row.take("a", not_needed, limit_s=1)
    await row.take("b", well, needs=["a"], limit_s=1)

    assert [Level.SKIPPED, Level.OK] == [check.verdict.level for check in checks]


async def test_a_check_that_hangs_ends_at_its_limit_and_fails() -> None:
    checks: list[Check] = []

    await course(checks).take("a", hangs, limit_s=0.01)

    assert (Level.FAIL, "gave no result in 10 ms") == (checks[0].verdict.level, checks[0].verdict.line)


async def test_without_time_a_check_is_skipped_and_so_is_what_needs_it() -> None:
    checks: list[Check] = []
    row = course(checks, left_s=0)

    await row.take("a", hangs, limit_s=5)
    await row.take("b", hangs, needs=["a"], limit_s=5)

    assert [Level.SKIPPED, Level.SKIPPED] == [check.verdict.level for check in checks]
    assert "--timeout" in checks[0].verdict.line


async def test_a_defect_in_a_check_does_not_hide_the_others() -> None:
    checks: list[Check] = []
    row = course(checks)

    await row.take("a", defect, limit_s=1)
    await row.take("b", well, limit_s=1)

    assert ["could not be made: KeyError", "well"] == [check.verdict.line for check in checks]


async def test_the_limit_of_a_step_ends_before_that_of_all() -> None:
    assert 4.0 == course([], left_s=100).within(4.0)
    assert course([], left_s=2).within(4.0) < 2


async def test_a_thread_that_hangs_is_not_waited_for() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await aside(never.wait, name="hangs")

    (thread,) = [each for each in threading.enumerate() if each.name == "hangs"]
    assert thread.daemon
    never.set()
    thread.join()


async def test_a_thread_hands_on_what_it_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0, name="divides")


def test_a_check_that_is_not_well_has_its_parts_under_it() -> None:
    text = check_text(Check(name="TLS", verdict=BAD, duration_s=0.0123))

    assert text.splitlines() == [
        "FAIL     TLS           12 ms  it is broken",
        "         seen   smoke",
        "         means  fire",
        "         do     - run",
        "                - call the fire brigade",
    ]


def test_a_skipped_check_says_why_and_no_time() -> None:
    expected = "skipped  models               (key failed)"

    assert expected == check_text(Check(name="models", verdict=skipped("key failed")))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([fine("x")], "All is well: 1 checks in 1.0 s."),
        ([fine("x"), skipped("y")], "All is well, 1 skipped: 2 checks in 1.0 s."),
        ([warning("x", means="m", do=[])], "1 warning: 1 checks in 1.0 s."),
        ([BAD, BAD, skipped("y")], "2 failures, 1 skipped: 3 checks in 1.0 s. Begin with 0."),
    ],
)
def test_the_last_line_counts_and_names_the_first_failure(verdicts: list[Verdict], expected: str) -> None:
    checks = [Check(name=str(number), verdict=verdict) for number, verdict in enumerate(verdicts)]

    assert expected == summary(checks, duration_s=1.0)


def test_json_has_every_part() -> None:
    data = as_data([Check(name="TLS", target="t", verdict=BAD, duration_s=0.5)], version="1", duration_s=1.0)

    expected = {"check": "TLS", "target": "t", "level": "fail", "line": "it is broken", "seen": "smoke"}
    expected_more = {"means": "fire", "do": ["run", "call the fire brigade"], "duration_s": 0.5}
    assert {"ok": False, "version": "1", "duration_s": 1.0, "checks": [{**expected, **expected_more}]} == data


def test_problems_of_the_configuration_are_all_told() -> None:
    verdict = judge_problems(["a.b: is wrong (set in x.toml:3)", "c: is missing"])

    assert (Level.FAIL, "2 problems") == (verdict.level, verdict.line)
    assert "a.b: is wrong (set in x.toml:3); c: is missing" == verdict.seen


def test_a_missing_key_leads_to_the_environment_of_the_daemon() -> None:
    key, facts = key_of(UpstreamConfig(), {})

    assert key is None
    assert Level.FAIL is judge_key_facts(facts).level
    assert "same environment" in judge_key_facts(facts).do[0]


def test_a_key_file_that_cannot_be_used_leads_to_the_file() -> None:
    verdict = judge_key_facts(KeyFacts(origin="/run/key", problem="/run/key is empty"))

    assert (Level.FAIL, "/run/key is empty") == (verdict.level, verdict.seen)
    assert "/run/key" in verdict.do[0]


@pytest.mark.parametrize(
    ("facts", "level", "line"),
    [
        ({"file_mode": 0o400}, Level.OK, "from /run/key, mode 0400"),
        ({"file_mode": 0o440}, Level.OK, "from /run/key, mode 0440"),
        ({"file_mode": 0o644}, Level.WARNING, "from /run/key, mode 0644"),
        ({"is_plausible": False}, Level.WARNING, "from /run/key, does not look like a key of the provider"),
        ({"is_doubled": True}, Level.OK, "from /run/key (DASHSCOPE_API_KEY is set too and not used)"),
    ],
)
def test_a_key_is_judged_by_its_file_and_its_form(facts: dict[str, bool], level: Level, line: str) -> None:
    verdict = judge_key_facts(KeyFacts(origin="/run/key", **facts))  # type: ignore[arg-type]  # a table of facts

    assert (level, line) == (verdict.level, verdict.line)


@pytest.mark.parametrize(("key", "plausible"), [("sk-0123456789abcdef0", True), ("sk-short", False), ("x" * 40, False)])
def test_the_form_of_a_key_is_that_of_the_provider(key: str, *, plausible: bool) -> None:
    facts = key_of(UpstreamConfig(), {"DASHSCOPE_API_KEY": key})[1]

    assert plausible == facts.is_plausible
    assert key not in repr(facts)
