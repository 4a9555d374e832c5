"""The sentences about the box, its ports and the daemon."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgeclient import __version__
from edgeclient.cli.doctor_daemon import DaemonFacts, unready_of
from edgeclient.cli.doctor_node import UserFacts, judge_certificate, judge_daemon, judge_port, judge_user
from edgeclient.cli.doctor_port import CertificateFacts, PortFacts, reachable
from edgeclient.cli.doctor_verdict import Level, Verdict
from edgeclient.v1 import node_pb2

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
LISTEN = "0.0.0.0:50051"
OURS = DaemonFacts(answers=True)


def port(outcome: str, daemon: DaemonFacts | None = None, *, holder: str = "") -> Verdict:
    facts = PortFacts(listen=LISTEN, outcome=outcome, detail="words")
    return judge_port(facts, daemon or DaemonFacts(), setting="ingress.listen", holder=holder)


def daemon(uplink: node_pb2.UplinkState.ValueType, version: str = __version__, **over: Any) -> Verdict:
    status = node_pb2.NodeStatus(node_id="n7", version=version, uplink=uplink, pending_job_count=3)
    status.uplink_change_time.FromDatetime(NOW)
    return judge_daemon(DaemonFacts(answers=True, status=status, **over), listen=LISTEN, holder="")


def test_a_free_port_is_fine() -> None:
    assert (Level.OK, f"ingress.listen {LISTEN} is free") == (port("free").level, port("free").line)


def test_a_port_of_our_own_daemon_is_fine() -> None:
    assert (Level.OK, f"ingress.listen {LISTEN} is taken by our daemon") == (
        port("taken", OURS).level,
        port("taken", OURS).line,
    )


def test_a_port_that_is_likely_ours_names_the_pid() -> None:
    verdict = port("taken", holder="77")

    assert Level.OK is verdict.level
    assert "pid 77" in verdict.line


@pytest.mark.parametrize(
    ("outcome", "part"),
    [
        ("taken", "is taken, and not by a daemon of ours"),
        ("denied", "cannot be listened on"),
        ("absent", "cannot be listened on"),
        ("failed", "cannot be listened on"),
    ],
)
def test_a_port_that_cannot_be_had_fails(outcome: str, part: str) -> None:
    verdict = port(outcome)

    assert Level.FAIL is verdict.level
    assert part in verdict.line
    assert "cannot start" in verdict.means
    assert verdict.seen
    assert verdict.do


def test_ports_that_cannot_be_had_have_a_cure_each() -> None:
    assert 4 == len({port(outcome).do for outcome in ("taken", "denied", "absent", "failed")})


@pytest.mark.parametrize(
    ("days", "level"),
    [(-1, Level.FAIL), (13, Level.WARNING), (15, Level.OK)],
)
def test_the_certificate_of_the_port_is_judged_by_its_days(days: int, level: Level) -> None:
    facts = CertificateFacts(subject="CN=node7", not_after=NOW + timedelta(days=days))

    assert level is judge_certificate(facts, now=NOW).level


def test_a_certificate_that_cannot_be_used_says_why() -> None:
    verdict = judge_certificate(CertificateFacts(problem="ingress.tls_key_file: x is not the key"), now=NOW)

    assert (Level.FAIL, "ingress.tls_key_file: x is not the key") == (verdict.level, verdict.seen)


def test_a_user_who_is_not_that_of_the_daemon_is_warned() -> None:
    verdict = judge_user(UserFacts(uid=0, owner_uid=65532, is_root_read_only=False))

    assert Level.WARNING is verdict.level
    assert "--reuid 65532" in verdict.do[0]


def test_a_read_only_root_is_fine() -> None:
    verdict = judge_user(UserFacts(uid=65532, owner_uid=65532, is_root_read_only=True))

    assert (Level.OK, "uid 65532; the root file system is read-only, which is fine") == (verdict.level, verdict.line)


def test_a_daemon_that_is_online_is_fine_and_told_since_when() -> None:
    verdict = daemon(node_pb2.UPLINK_STATE_ONLINE)

    expected = f"n7, version {__version__}: uplink online since 2026-11-22 03:00:00 UTC; 0 calls, 3 jobs waiting"
    assert (Level.OK, expected) == (verdict.level, verdict.line)


def test_a_daemon_that_has_just_started_does_not_know_yet() -> None:
    assert "uplink not known yet" in daemon(node_pb2.UPLINK_STATE_UNSPECIFIED).line


@pytest.mark.parametrize("state", [node_pb2.UPLINK_STATE_OFFLINE, node_pb2.UPLINK_STATE_DEGRADED])
def test_a_daemon_without_an_uplink_is_a_warning_that_suspects_its_environment(
    state: node_pb2.UplinkState.ValueType,
) -> None:
    verdict = daemon(state)

    assert Level.WARNING is verdict.level
    assert "HTTPS_PROXY" in verdict.do[0]


def test_a_daemon_of_another_version_wants_a_restart() -> None:
    verdict = daemon(node_pb2.UPLINK_STATE_ONLINE, version="0.0.1")

    assert (Level.WARNING, ("restart the daemon",)) == (verdict.level, verdict.do)


def test_a_daemon_that_is_not_ready_says_for_what() -> None:
    verdict = daemon(node_pb2.UPLINK_STATE_ONLINE, unready=("storage: the disk is full",))

    assert (Level.WARNING, "storage: the disk is full") == (verdict.level, verdict.seen)


def test_a_daemon_that_tells_strangers_nothing_is_still_found() -> None:
    facts = DaemonFacts(answers=True, refusal="UNAUTHENTICATED", is_guarded=True, unready=())

    assert Level.OK is judge_daemon(facts, listen=LISTEN, holder="").level


def test_a_daemon_whose_port_for_devices_is_broken_is_a_warning() -> None:
    verdict = judge_daemon(DaemonFacts(answers=True, refusal="INTERNAL", unready=()), listen=LISTEN, holder="")

    assert Level.WARNING is verdict.level
    assert "(INTERNAL)" in verdict.line


def test_no_daemon_is_no_fault() -> None:
    verdict = judge_daemon(DaemonFacts(), listen=LISTEN, holder="")

    assert (Level.SKIPPED, f"no daemon runs at {LISTEN}") == (verdict.level, verdict.line)


def test_a_daemon_that_has_the_queue_and_does_not_answer_fails() -> None:
    verdict = judge_daemon(DaemonFacts(), listen=LISTEN, holder="77")

    assert (Level.FAIL, f"pid 77 has the queue, and no daemon answers at {LISTEN}") == (verdict.level, verdict.line)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"checks":[{"name":"a","ready":true,"reason":""}]}', ()),
        (b'HTTP/1.1 503 X\r\n\r\n{"checks":[{"name":"a","ready":false,"reason":"b"}]}', ("a: b",)),
        (b"HTTP/1.1 404 Not Found\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", None),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", None),
        (b"", None),
    ],
)
def test_only_an_answer_of_ours_tells_of_readiness(page: bytes, expected: tuple[str, ...] | None) -> None:
    assert expected == unready_of(page)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::]:1", "[::1]:1"),
        ("10.0.0.1:1", "10.0.0.1:1"),
        ("unix:/run/e.sock", "unix:/run/e.sock"),
    ],
)
def test_an_address_to_listen_on_is_reached_from_here(listen: str, expected: str) -> None:
    assert expected == reachable(listen)
