"""Metrics and logs behind one `observe`, as the application joins them."""

import io
import json

import pytest
from fakes.clock import FakeClock
from unit.telemetry.sample_events import EVENT_TYPES, answered, failed, sample

from edgeclient.config.schema import LogConfig
from edgeclient.core.events import RpcFinished
from edgeclient.telemetry.fanout import Fanout
from edgeclient.telemetry.lines import LINES
from edgeclient.telemetry.logs import Logs
from edgeclient.telemetry.metrics import Metrics


def joined(stream: io.BytesIO, level: str = "debug") -> tuple[Metrics, Fanout]:
    metrics = Metrics(node_id="box-1", version="1.2.3", models=["qwen-plus"], targets=["dashscope"])
    logs = Logs(LogConfig(format="json", level=level), node_id="box-1", clock=FakeClock(), stream=stream)
    outlets = {"metrics": metrics.table, "logs": logs.table}
    return metrics, Fanout(outlets, on_failure=(metrics.subscriber_failed, logs.subscriber_failed))


def test_every_event_is_taken_by_all_outlets() -> None:
    stream = io.BytesIO()
    metrics, fanout = joined(stream)

    for kind in EVENT_TYPES:
        fanout.observe(sample(kind))
    fanout.observe(answered())

    words = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert "subscriber_failed" not in words
    silent = [kind for kind, row in LINES.items() if row is None]
    assert RpcFinished in silent
    assert len(words) == len(EVENT_TYPES) - len(silent) + 1  # and the answered call
    assert b"edgeclient_telemetry_failures_total{" not in metrics.page("")[1]


def test_log_that_cannot_be_written_is_counted_and_breaks_nothing() -> None:
    stream = io.BytesIO()
    metrics, fanout = joined(stream)
    stream.close()

    fanout.observe(failed("UPSTREAM_TIMEOUT"))

    page = metrics.page("")[1].decode()
    assert 'edgeclient_telemetry_failures_total{subscriber="logs",event="CallFinished"} 1.0' in page


@pytest.mark.parametrize("wrong", [{"prompt_tokens": "many"}, {"duration_s": None}])
def test_event_that_is_malformed_is_told_and_counted(wrong: dict[str, object]) -> None:
    stream = io.BytesIO()
    metrics, fanout = joined(stream, "info")

    fanout.observe(answered(**wrong))

    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["event"], line["subscriber"], line["kind"]) == ("subscriber_failed", "metrics", "TypeError")
    assert 'edgeclient_telemetry_failures_total{subscriber="metrics",event="CallFinished"} 1.0' in str(
        metrics.page("")[1], "utf-8"
    )
