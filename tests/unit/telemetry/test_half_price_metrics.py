"""Savings are counted in money, and batches by the states that they come to."""

from unit.telemetry.test_quota_metrics import value

from edgeclient.core.half_price import OpenBatches
from edgeclient.core.half_price_events import BatchChanged, BatchLinesSettled, SentLive
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.metrics import Metrics


def test_what_batches_do_is_counted() -> None:
    metrics = Metrics(node_id="n", version="1")
    for event in (
        BatchChanged(batch="b", batch_id="", model="m", state="submitted", status="", line_count=3),
        BatchLinesSettled(model="m", outcome="succeeded", count=3, saved_nanos=1_500_000_000, currency_code="CNY"),
        SentLive(count=2, cause="ttl"),
    ):
        metrics.table[type(event)](event)

    assert 1 == value(metrics, "edgeclient_half_price_batches_total", state="submitted")
    assert 3 == value(metrics, "edgeclient_half_price_lines_total", outcome="succeeded")
    assert 1.5 == value(metrics, "edgeclient_half_price_saved_cost_total", currency="CNY")
    assert 2 == value(metrics, "edgeclient_half_price_sent_live_total", cause="ttl")


def test_open_batches_are_asked_for_at_the_scrape() -> None:
    metrics = Metrics(node_id="n", version="1")
    found = {"missing": OpenBatches(), "submitted": OpenBatches(batch_count=2, line_count=70)}
    metrics.read_at_scrape(Gauges(half_price=lambda: found))

    for state, batch_count, line_count in (("missing", 0, 0), ("submitted", 2, 70)):
        assert batch_count == value(metrics, "edgeclient_half_price_open_batches", state=state)
        assert line_count == value(metrics, "edgeclient_half_price_open_lines", state=state)
