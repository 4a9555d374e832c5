"""The sentences about TLS and HTTP/2."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgeclient.cli.doctor_connect import Certificate, Handshake
from edgeclient.cli.doctor_tls import judge_alpn, judge_handshake
from edgeclient.cli.doctor_verdict import Level, Verdict

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
PEER = "dashscope.aliyuncs.com:443"


def certificate(**over: Any) -> Certificate:
    facts: dict[str, Any] = {
        "subject": "CN=*.aliyuncs.com",
        "issuer": "CN=GlobalSign",
        "names": ("*.aliyuncs.com",),
        "not_before": NOW - timedelta(days=100),
        "not_after": NOW + timedelta(days=100),
    }
    return Certificate(**(facts | over))


def judged(problem: str = "", **over: Any) -> Verdict:
    facts: dict[str, Any] = {"ca_file": "", "clock_kept": True, "through": ""}
    facts |= {name: over.pop(name) for name in list(over) if name in facts}
    handshake: dict[str, Any] = {"version": "TLSv1.3", "certificate": certificate(), "duration_s": 0.05}
    return judge_handshake(Handshake(problem=problem, **(handshake | over)), peer=PEER, now=NOW, **facts)


def test_a_good_handshake_is_told_with_version_and_certificate() -> None:
    verdict = judged()

    assert Level.OK is verdict.level
    assert "TLSv1.3, certificate CN=*.aliyuncs.com from CN=GlobalSign, until 2027-03-02 (50 ms)" == verdict.line


def test_a_certificate_that_ends_soon_is_a_warning() -> None:
    assert Level.WARNING is judged(certificate=certificate(not_after=NOW + timedelta(days=6))).level
    assert Level.OK is judged(certificate=certificate(not_after=NOW + timedelta(days=7, hours=1))).level


@pytest.mark.parametrize(
    ("problem", "line", "seen"),
    [
        ("expired", f"the certificate of {PEER} has expired", "ended 2027-03-02 03:00 UTC"),
        ("not_yet_valid", f"the certificate of {PEER} is not yet valid", "begins 2026-08-14 03:00 UTC"),
    ],
)
def test_a_certificate_out_of_its_time_asks_for_the_clock_first(problem: str, line: str, seen: str) -> None:
    verdict = judged(problem)

    assert (Level.FAIL, line) == (verdict.level, verdict.line)
    assert seen in verdict.seen
    assert verdict.do[0].startswith("is the node's clock right? it says 2026-11-22 03:00 UTC")


@pytest.mark.parametrize(("kept", "expected"), [(False, True), (True, False), (None, False)])
def test_a_clock_that_nobody_keeps_is_said_beside_an_expired_certificate(*, kept: bool | None, expected: bool) -> None:
    assert expected == ("nobody synchronises" in judged("expired", clock_kept=kept).seen)


def test_a_certificate_for_another_host_names_that_host_and_the_sign_in() -> None:
    verdict = judged("wrong_host", certificate=certificate(names=("login.hotel.example",)))

    assert f"the certificate of {PEER} is for login.hotel.example" == verdict.line
    assert "sign-in" in verdict.do[0]


def test_an_unknown_ca_leads_to_ca_file() -> None:
    verdict = judged("unknown_ca", certificate=certificate(issuer="CN=Corp Proxy CA"), detail="unable to get issuer")

    assert Level.FAIL is verdict.level
    assert "CN=Corp Proxy CA" in verdict.seen
    assert "set upstream.ca_file" in verdict.do[0]


def test_an_unknown_ca_with_a_ca_file_doubts_the_file() -> None:
    assert judged("unknown_ca", ca_file="/etc/corp.pem").do[0].startswith("upstream.ca_file is /etc/corp.pem")


@pytest.mark.parametrize(
    ("problem", "detail", "line"),
    [
        ("refused_certificate", "unsuitable purpose", f"the certificate of {PEER} is not acceptable"),
        ("not_tls", "WRONG_VERSION_NUMBER", f"{PEER} does not speak TLS"),
        ("silent", "", f"{PEER} takes the connection and then says nothing"),
        ("broken_off", "Connection reset by peer", f"{PEER} takes the connection and then breaks it off"),
    ],
)
def test_every_other_end_of_a_handshake_has_its_sentence(problem: str, detail: str, line: str) -> None:
    verdict = judged(problem, detail=detail, certificate=None)

    assert (Level.FAIL, line) == (verdict.level, verdict.line)
    assert verdict.seen
    assert verdict.means
    assert verdict.do


def test_a_proxy_that_wants_a_password_is_told_from_one_that_refuses() -> None:
    wants = judged("proxy", detail="HTTP/1.1 407 Proxy Authentication Required", through="p:3128")
    refuses = judged("proxy", detail="HTTP/1.1 403 Forbidden", through="p:3128")

    assert "the proxy p:3128 wants a user and a password" == wants.line
    assert "HTTPS_PROXY" in wants.do[0]
    assert f"the proxy p:3128 refuses {PEER}" == refuses.line


@pytest.mark.parametrize(
    ("alpn", "http1", "level"),
    [
        ("h2", False, Level.OK),
        ("http/1.1", False, Level.FAIL),
        ("", False, Level.FAIL),
        ("http/1.1", True, Level.WARNING),
    ],
)
def test_http2_is_wanted_unless_the_setting_permits_less(alpn: str, *, http1: bool, level: Level) -> None:
    verdict = judge_alpn(Handshake(alpn=alpn), peer=PEER, http1=http1)

    assert level is verdict.level
    assert (level is Level.FAIL) == any("upstream.http1 = true" in cure for cure in verdict.do)
