"""Moves are counted, and the state of each breaker is shown."""

from unit.telemetry.sample_events import sample
from unit.telemetry.test_quota_metrics import value

from edgeclient.core.route_events import (
    Breaker,
    BreakerChanged,
    CallMoved,
    RetryAfterCapped,
    RetryRefused,
    StreamRestarted,
    TargetSetAside,
)
from edgeclient.telemetry.metrics import Metrics


def test_what_the_route_does_is_counted() -> None:
    metrics = Metrics(node_id="n", version="1", models=["qwen-max", "qwen-plus"], targets=["a", "b"])
    move = {"asked": "qwen-max", "before": "a", "after": "b", "reason": "UPSTREAM_TIMEOUT", "model_before": "qwen-max"}
    for event in (
        sample(CallMoved, **move, model_after="qwen-max"),
        sample(CallMoved, **move, model_after="qwen-plus"),
        sample(CallMoved, **move | {"model_before": "qwen-plus"}, model_after="qwen-max"),
        sample(StreamRestarted, target="b"),
        sample(TargetSetAside, target="a", reason="UPSTREAM_CREDENTIALS"),
        sample(RetryRefused, reason="UPSTREAM_TIMEOUT"),
        sample(RetryAfterCapped, target="a"),
    ):
        metrics.table[type(event)](event)

    assert 3 == value(metrics, "edgeclient_moves_total", before="a", after="b", error_type="UPSTREAM_TIMEOUT")
    assert 1 == value(metrics, "edgeclient_stand_ins_total", model="qwen-max", stand_in="qwen-plus")
    assert 1 == value(metrics, "edgeclient_stream_restarts_total", target="b")
    assert 1 == value(metrics, "edgeclient_set_aside_total", target="a", error_type="UPSTREAM_CREDENTIALS")
    assert 1 == value(metrics, "edgeclient_retries_refused_total", error_type="UPSTREAM_TIMEOUT")
    assert 1 == value(metrics, "edgeclient_retry_after_capped_total", target="a")


def test_each_breaker_has_one_state() -> None:
    metrics = Metrics(node_id="n", version="1", targets=["a", "b"])
    event = BreakerChanged(target="a", before=Breaker.CLOSED, after=Breaker.OPEN, cause="UPSTREAM_TIMEOUT", rest_s=2.0)
    metrics.table[BreakerChanged](event)

    def states(target: str) -> list[float | None]:
        return [value(metrics, "edgeclient_breaker_state", target=target, state=state.value) for state in Breaker]

    assert [0.0, 1.0, 0.0] == states("a")
    assert [1.0, 0.0, 0.0] == states("b")
    assert 1 == value(metrics, "edgeclient_breaker_changes_total", target="a", state="open")
