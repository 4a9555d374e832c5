"""The gate counts chats in and out."""

import pytest

from edgeclient.core.errors import Unavailable
from edgeclient.core.events import CallShed, Event
from edgeclient.ingress.gate import Gate
from edgeclient.v1 import error_pb2


def test_a_call_beyond_the_limit_is_refused_with_a_delay_and_told_as_a_fact() -> None:
    seen: list[Event] = []
    gate = Gate(most=1, observe=seen.append)

    with gate.enter(), pytest.raises(Unavailable) as refused, gate.enter():
        pytest.fail("there was no room")

    assert refused.value.reason == error_pb2.ERROR_REASON_OVERLOADED
    assert refused.value.retry_after_s
    assert [CallShed(limit="ingress.max_in_flight", value=1)] == seen


def test_a_call_that_fails_gives_its_place_back() -> None:
    gate = Gate(most=1, observe=lambda _event: None)

    with pytest.raises(KeyError), gate.enter():
        raise KeyError

    assert gate.active == 0
    with gate.enter():
        assert gate.active == 1
