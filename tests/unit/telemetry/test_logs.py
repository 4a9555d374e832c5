"""Lines as they leave the process."""

import io
import json
from typing import Any

import pytest
from fakes.clock import FakeClock
from unit.telemetry.sample_events import answered, failed, sample

from edgeclient.config.schema import LogConfig
from edgeclient.core.events import (
    AttemptFinished,
    CallFinished,
    CallShed,
    DefectFound,
    Event,
    KeyUnreadable,
    RpcFinished,
    Uplink,
    UplinkChanged,
)
from edgeclient.core.node_events import NodeStopped
from edgeclient.telemetry.logs import Logs


class Log:
    """A log and what was written to it."""

    def __init__(self, level: str = "info", log_format: str = "json", *, is_terminal: bool = False) -> None:
        self.stream = io.BytesIO()
        self.clock = FakeClock(wall_s=1_800_000_000.25)
        config = LogConfig(level=level, format=log_format)
        self.logs = Logs(config, node_id="box-1", clock=self.clock, stream=self.stream, is_terminal=is_terminal)

    def tell(self, *events: Event) -> None:
        for event in events:
            subscriber = self.logs.table.get(type(event))
            if subscriber is not None:
                subscriber(event)

    @property
    def text(self) -> str:
        return self.stream.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_line_is_one_json_object_with_the_same_first_fields() -> None:
    log = Log()

    log.tell(UplinkChanged(target="dashscope", before=Uplink.ONLINE, after=Uplink.OFFLINE, cause="UPSTREAM_TIMEOUT"))

    expected = {
        "timestamp": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "event": "uplink_changed",
        "message": "Uplink dashscope is offline, it was online (UPSTREAM_TIMEOUT)",
        "node": "box-1",
        "target": "dashscope",
        "before": "online",
        "after": "offline",
        "cause": "UPSTREAM_TIMEOUT",
    }
    assert [expected] == log.lines
    assert list(expected) == list(log.lines[0])
    assert log.text.endswith("}\n")


def test_return_of_the_uplink_is_good_news() -> None:
    log = Log()

    log.tell(UplinkChanged(target="dashscope", before=Uplink.OFFLINE, after=Uplink.ONLINE, cause="probe"))

    assert [line["level"] for line in log.lines] == ["info"]


def test_answered_call_has_no_line_at_info() -> None:
    log = Log()

    log.tell(answered(), sample(RpcFinished), sample(AttemptFinished))

    assert log.text == ""


def test_answered_call_has_one_line_at_debug() -> None:
    log = Log("debug")

    log.tell(answered(), sample(RpcFinished), sample(AttemptFinished, reason=""))

    (line,) = log.lines
    assert line["event"] == "call_answered"
    assert line["message"] == "StreamChat answered by qwen-plus in 2.500 s"
    assert line["prompt_tokens"] == 100
    assert not {"reason", "traceback"} & set(line)


@pytest.mark.parametrize("reason", ["INVALID_REQUEST", "CANCELLED", "DEADLINE", "OVERLOADED"])
def test_failure_of_the_callers_making_has_no_line_at_info(reason: str) -> None:
    log, debug = Log(), Log("debug")

    log.tell(failed(reason))
    debug.tell(failed(reason))

    assert log.lines == []
    assert [line["event"] for line in debug.lines] == ["call_failed"]


@pytest.mark.parametrize("reason", ["UPSTREAM_TIMEOUT", "UPSTREAM_CREDENTIALS", "INTERNAL"])
def test_failure_of_the_provider_or_the_node_is_a_warning(reason: str) -> None:
    log = Log()

    log.tell(failed(reason))

    (line,) = log.lines
    assert ("warning", "call_failed", reason) == (line["level"], line["event"], line["reason"])
    assert f"StreamChat failed with {reason}: It failed with {reason}" == line["message"]
    assert (line["call_id"], line["caller"], line["upstream_request_id"]) == ("01CALL", "device-7", "req-1")


def test_same_failure_is_told_once_in_ten_seconds_and_then_with_a_count() -> None:
    log = Log()

    for _ in range(5):
        log.tell(failed("UPSTREAM_TIMEOUT"))
    log.tell(failed("UPSTREAM_TIMEOUT", target="other"), failed("UPLINK_OFFLINE"))
    log.clock.advance(10)
    log.tell(failed("UPSTREAM_TIMEOUT"))

    told = [(line["reason"], line["target"], line.get("suppressed", 0)) for line in log.lines]
    assert told == [
        ("UPSTREAM_TIMEOUT", "dashscope", 0),
        ("UPSTREAM_TIMEOUT", "other", 0),
        ("UPLINK_OFFLINE", "dashscope", 0),
        ("UPSTREAM_TIMEOUT", "dashscope", 4),
    ]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["call_answered", "uplink_changed", "call_shed", "key_unreadable"]),
        ("info", ["uplink_changed", "call_shed", "key_unreadable"]),
        ("warning", ["call_shed", "key_unreadable"]),
        ("error", ["key_unreadable"]),
    ],
)
def test_level_is_the_least_important_that_is_written(level: str, expected: list[str]) -> None:
    log = Log(level)

    log.tell(answered(), sample(UplinkChanged, after=Uplink.ONLINE), sample(CallShed), sample(KeyUnreadable))

    assert expected == [line["event"] for line in log.lines]


def test_type_that_the_level_excludes_costs_nothing() -> None:
    assert AttemptFinished not in Log().logs.table
    assert CallFinished not in Log("error").logs.table


def test_cut_calls_at_the_stop_are_a_warning() -> None:
    log = Log()

    log.tell(NodeStopped(drained=True, duration_s=1.25), NodeStopped(drained=False, duration_s=30.0))

    assert [line["level"] for line in log.lines] == ["info", "warning"]


def test_key_in_any_text_is_blotted_out() -> None:
    log = Log()

    log.tell(sample(DefectFound, where="x sk-0123456789abcdef", traceback="a\nsk-abcdefabcdef in b"))
    log.logs.write("warning", "library_log", "Bearer abc.def", detail=ValueError("sk-0123456789"))

    assert "0123456789" not in log.text
    assert "abcdef" not in log.text
    assert "abc.def" not in log.text
    assert len(log.lines) == 2


def test_line_break_in_a_value_stays_within_the_line() -> None:
    log = Log()

    log.tell(sample(DefectFound, traceback='one\ntwo "three"\u2028'))

    assert log.stream.getvalue().count(b"\n") == 1
    assert log.lines[0]["traceback"] == 'one\ntwo "three"\u2028'


def test_failing_subscriber_has_one_line_without_the_text_of_the_exception() -> None:
    log = Log()
    try:
        _ = dict[str, str]()["a secret"]
    except KeyError as error:
        for _ in range(3):
            log.logs.subscriber_failed("metrics", "CallFinished", error)

    (line,) = log.lines
    assert (
        line["level"],
        line["event"],
        line["subscriber"],
        line["kind"],
    ) == ("error", "subscriber_failed", "metrics", "KeyError")
    assert line["where"].startswith("test_logs.py:")
    assert "a secret" not in log.text


def test_console_is_for_people() -> None:
    log = Log(log_format="console")

    log.tell(sample(UplinkChanged, target="dashscope"))

    assert "Uplink dashscope is offline" in log.text
    assert "\x1b" not in log.text
    assert not log.text.startswith("{")


def test_auto_is_console_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Log(log_format="auto", is_terminal=True), Log(log_format="auto")

    terminal.tell(sample(CallShed))
    pipe.tell(sample(CallShed))

    assert "\x1b[" in terminal.text
    assert pipe.text.startswith("{")


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    log = Log(log_format="auto", is_terminal=True)

    log.tell(sample(CallShed))

    assert "\x1b" not in log.text
