import pytest

from edgeclient.core.dispatch_events import CallReleased, CallTurnedAway, GroupReleased, WidthNarrowed
from edgeclient.core.events import Event
from edgeclient.telemetry.dispatch_lines import NO_ROOM, NOT_SENT
from edgeclient.telemetry.dispatch_metrics import DispatchView
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.line import Choice
from edgeclient.telemetry.lines import LINES
from edgeclient.telemetry.metrics import Metrics


def metrics(*events: Event) -> Metrics:
    made = Metrics(node_id="box-1", version="1.2.3")
    for event in events:
        made.table[type(event)](event)
    return made


def value(made: Metrics, name: str, **labels: str) -> float | None:
    return made.registry.get_sample_value(name, labels)


def turned_away(cause: str) -> CallTurnedAway:
    return CallTurnedAway(call_id="01CALL", priority="low", cause=cause, wait_s=1.0)


def test_waits_are_told_by_priority() -> None:
    made = metrics(
        CallReleased(call_id="1", priority="high", wait_s=0.0), CallReleased(call_id="2", priority="high", wait_s=2.0)
    )

    assert 2.0 == value(made, "edgeclient_queue_wait_seconds_sum", priority="high")
    assert 2.0 == value(made, "edgeclient_queue_wait_seconds_count", priority="high")


def test_groups_and_their_calls_are_counted() -> None:
    made = metrics(*[GroupReleased(target="t", call_count=count, size_bytes=9) for count in (1, 7)])

    name = "edgeclient_group_calls"
    assert (2.0, 8.0) == (value(made, f"{name}_count", target="t"), value(made, f"{name}_sum", target="t"))


def test_who_is_turned_away_is_counted_by_cause() -> None:
    made = metrics(turned_away("full"), turned_away("full"), turned_away("shed"))

    assert 2.0 == value(made, "edgeclient_turned_away_total", cause="full", priority="low")


def test_narrower_width_is_counted_by_its_reason() -> None:
    made = metrics(WidthNarrowed(target="t", before=8, after=4, reason="UPSTREAM_RATE_LIMITED"))

    labels = {"target": "t", "error_type": "UPSTREAM_RATE_LIMITED"}
    assert 1.0 == value(made, "edgeclient_width_narrowed_total", **labels)


def test_line_is_shown_as_it_is_at_the_scrape() -> None:
    made = metrics()
    made.read_at_scrape(Gauges(dispatch=lambda: [DispatchView(target="t", width=50, waiting={"low": 3, "high": 0})]))

    assert 50.0 == value(made, "edgeclient_width", target="t")
    assert 3.0 == value(made, "edgeclient_queue_pending", target="t", priority="low")
    assert 0.0 == value(made, "edgeclient_queue_pending", target="t", priority="high")


@pytest.mark.parametrize("cause", ["full", "shed", "too_long", "deadline"])
def test_lack_of_room_is_a_warning(cause: str) -> None:
    row = LINES[CallTurnedAway]
    assert isinstance(row, Choice)

    assert NO_ROOM is row.pick(turned_away(cause))
    assert NOT_SENT is row.pick(turned_away("left"))
