from typing import Any

import pytest
from unit.telemetry.sample_events import sample

from edgeclient.core.events import CallShed, Event, KeyChanged
from edgeclient.telemetry.fanout import Fanout, Subscriber


def _broken(_event: Any) -> None:
    raise ZeroDivisionError


def test_each_subscriber_gets_the_types_of_its_table() -> None:
    first: list[Event] = []
    second: list[Event] = []
    first_table: dict[type[Event], Subscriber] = {CallShed: first.append, KeyChanged: first.append}
    second_table: dict[type[Event], Subscriber] = {CallShed: second.append}
    fanout = Fanout({"first": first_table, "second": second_table})
    shed, key = sample(CallShed), sample(KeyChanged)

    fanout.observe(shed)
    fanout.observe(key)

    assert [shed, key] == first
    assert [shed] == second


def test_event_that_nobody_wants_is_no_error() -> None:
    Fanout({}).observe(sample(CallShed))


def test_failing_subscriber_breaks_neither_the_caller_nor_the_next_one() -> None:
    seen: list[Event] = []
    failures: list[tuple[str, str, str]] = []
    fanout = Fanout(
        {"broken": {CallShed: _broken}, "healthy": {CallShed: seen.append}},
        on_failure=[lambda name, event, error: failures.append((name, event, type(error).__name__))],
    )

    fanout.observe(sample(CallShed))

    assert len(seen) == 1
    assert failures == [("broken", "CallShed", "ZeroDivisionError")]


def test_failing_failure_listener_is_survived() -> None:
    told: list[str] = []

    def listener(*_: Any) -> None:
        raise OSError

    fanout = Fanout({"broken": {CallShed: _broken}}, on_failure=[listener, lambda name, *_: told.append(name)])

    fanout.observe(sample(CallShed))

    assert told == ["broken"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_order_to_stop_is_not_swallowed(error: type[BaseException]) -> None:
    def stop(_event: Any) -> None:
        raise error

    with pytest.raises(error):
        Fanout({"stop": {CallShed: stop}}).observe(sample(CallShed))
