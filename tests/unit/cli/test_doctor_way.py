"""The sentences about the way up to TCP."""

import pytest

from edgeclient.cli.doctor_connect import Dial
from edgeclient.cli.doctor_lookup import Lookup, ResolverAnswer, question, resolvers_of
from edgeclient.cli.doctor_verdict import Level
from edgeclient.cli.doctor_way import judge_dials, judge_lookup

HOST = "dashscope.aliyuncs.com"
END = f"{HOST}:443"
DEAD = ResolverAnswer(address="10.0.0.1", outcome="does not answer", duration_s=2.0)


def dial(address: str, outcome: str, duration_s: float = 0.02) -> Dial:
    return Dial(address=address, outcome=outcome, duration_s=duration_s)


def test_a_name_with_addresses_is_told_with_both_kinds() -> None:
    verdict = judge_lookup(Lookup(host=HOST, addresses=("47.1.1.1", "2408::1"), duration_s=0.012), of_proxy=False)

    assert (Level.OK, f"{HOST} is 47.1.1.1, 2408::1 (12 ms)") == (verdict.level, verdict.line)


def test_a_kind_of_address_that_is_missing_is_said() -> None:
    assert "no IPv6" in judge_lookup(Lookup(host=HOST, addresses=("47.1.1.1",)), of_proxy=False).line
    assert "no IPv4" in judge_lookup(Lookup(host=HOST, addresses=("2408::1",)), of_proxy=False).line


def test_of_many_addresses_some_are_shown() -> None:
    addresses = tuple(f"47.1.1.{number}" for number in range(6))

    assert "47.1.1.3 and 2 more" in judge_lookup(Lookup(host=HOST, addresses=addresses), of_proxy=False).line


def test_an_address_needs_no_resolver() -> None:
    verdict = judge_lookup(Lookup(host="::1", addresses=("::1",), is_literal=True), of_proxy=False)

    assert (Level.OK, "::1 is an address, nothing to resolve") == (verdict.level, verdict.line)


def test_a_slow_lookup_is_a_warning_that_names_the_dead_resolver() -> None:
    found = Lookup(host=HOST, addresses=("47.1.1.1",), duration_s=5.01, resolvers=(DEAD,))

    verdict = judge_lookup(found, of_proxy=False)

    assert Level.WARNING is verdict.level
    assert "took 5.0 s" in verdict.line
    assert "resolver 10.0.0.1 does not answer (2.0 s)" == verdict.seen


def test_a_lookup_of_a_second_is_not_slow_yet() -> None:
    assert Level.OK is judge_lookup(Lookup(host=HOST, addresses=("47.1.1.1",), duration_s=1.0), of_proxy=False).level


@pytest.mark.parametrize(
    ("problem", "line", "cure"),
    [
        ("unknown", f"there is no name {HOST}", "check the host in upstream.base_url"),
        ("unanswered", f"{HOST} cannot be resolved: no resolver answers", "check the link"),
    ],
)
def test_a_failed_lookup_says_who_failed(problem: str, line: str, cure: str) -> None:
    verdict = judge_lookup(Lookup(host=HOST, problem=problem, resolvers=(DEAD,)), of_proxy=False)

    assert (Level.FAIL, line) == (verdict.level, verdict.line)
    assert "10.0.0.1" in verdict.seen
    assert verdict.do[0].startswith(cure)


def test_a_box_without_a_resolver_is_told_so() -> None:
    verdict = judge_lookup(Lookup(host=HOST, problem="unanswered"), of_proxy=False)

    assert "/etc/resolv.conf names no resolver" == verdict.seen


def test_the_name_of_a_proxy_is_blamed_on_its_url() -> None:
    verdict = judge_lookup(Lookup(host="proxy.lan", problem="unknown"), of_proxy=True)

    assert "check the host in the URL of the proxy" == verdict.do[0]


def test_all_addresses_that_connect_are_told_with_their_time() -> None:
    verdict = judge_dials([dial("47.1.1.1", "connected"), dial("2408::1", "connected", 0.031)], end=END, of_proxy=False)

    assert (Level.OK, f"{END} connects: 47.1.1.1 in 20 ms, 2408::1 in 31 ms") == (verdict.level, verdict.line)


def test_a_black_hole_of_ipv6_is_named() -> None:
    verdict = judge_dials([dial("47.1.1.1", "connected"), dial("2408::1", "silent", 4.0)], end=END, of_proxy=False)

    assert Level.WARNING is verdict.level
    assert verdict.line.endswith("IPv6 is a black hole")
    assert "2408::1 silent for 4.0 s" in verdict.seen


def test_a_box_without_ipv6_is_well() -> None:
    verdict = judge_dials([dial("47.1.1.1", "connected"), dial("2408::1", "unreachable")], end=END, of_proxy=False)

    assert Level.OK is verdict.level
    assert "which does no harm" in verdict.line


@pytest.mark.parametrize("outcome", ["refused", "silent"])
def test_an_address_out_of_several_that_does_not_connect_is_a_warning(outcome: str) -> None:
    verdict = judge_dials([dial("47.1.1.1", "connected"), dial("47.1.1.2", outcome)], end=END, of_proxy=False)

    assert Level.WARNING is verdict.level
    assert "1 of 2 addresses do not" in verdict.line
    assert "black hole" not in verdict.line


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        (["silent", "refused"], f"{END} does not answer"),
        (["refused", "unreachable"], f"{END} refuses connections"),
        (["unreachable", "unreachable"], f"there is no way to {END}"),
        (["failed"], f"there is no way to {END}"),
    ],
)
def test_what_does_not_connect_at_all_fails_with_the_cause_that_says_most(outcomes: list[str], line: str) -> None:
    dials = [dial(f"47.1.1.{number}", outcome) for number, outcome in enumerate(outcomes)]

    verdict = judge_dials(dials, end=END, of_proxy=False)

    assert (Level.FAIL, line) == (verdict.level, verdict.line)
    assert verdict.means
    assert verdict.do


def test_a_proxy_that_refuses_is_blamed_on_the_setting_of_the_proxy() -> None:
    verdict = judge_dials([dial("10.0.0.9", "refused")], end="the proxy p:3128", of_proxy=True)

    assert "check host and port in upstream.proxy or HTTPS_PROXY" == verdict.do[0]


def test_resolvers_are_read_from_the_file_and_nothing_else() -> None:
    text = "# nameserver 9.9.9.9\nsearch lan\nnameserver 10.0.0.1\nnameserver\nnameserver fe80::1%eth0\n"

    assert ["10.0.0.1", "fe80::1%eth0"] == resolvers_of(text)


def test_a_question_is_one_of_dns() -> None:
    expected = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x01\x00\x01"

    assert expected == question("a.bc.", 7)
