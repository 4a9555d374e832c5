"""The gate counts chats in and out."""

from contextlib import ExitStack

import pytest

from edgeclient.core.errors import Unavailable
from edgeclient.core.events import CallShed, Event
from edgeclient.ingress.gate import Gate
from edgeclient.v1 import error_pb2


def test_a_call_beyond_the_limit_is_refused_with_a_delay_and_told_as_a_fact() -> None:
    seen: list[Event] = []
    gate = Gate(most=1, observe=seen.append)

    with gate.enter("device-7"), pytest.raises(Unavailable) as refused, gate.enter("device-7"):
        pytest.fail("there was no room")

    assert refused.value.reason == error_pb2.ERROR_REASON_OVERLOADED
    assert refused.value.retry_after_s
    assert [CallShed(limit="ingress.max_in_flight", value=1)] == seen


def test_a_call_that_fails_gives_its_place_back() -> None:
    gate = Gate(most=1, observe=lambda _event: None)

    with pytest.raises(KeyError), gate.enter("device-7"):
        raise KeyError

    assert gate.active == 0
    with gate.enter("device-7"):
        assert gate.active == 1


def test_the_only_caller_may_have_all_of_the_room() -> None:
    gate = Gate(most=64, observe=lambda _event: None)

    with ExitStack() as calls:
        assert 64 == _taken(gate, "device-7", calls)


def test_one_that_floods_leaves_an_eighth_of_the_room_to_others() -> None:
    gate = Gate(most=64, observe=lambda _event: None)
    with gate.enter("device-8"):
        pass

    with ExitStack() as calls:
        assert 56 == _taken(gate, "device-7", calls)
        with gate.enter("device-8"), gate.enter("device-9"):
            assert 58 == gate.active


def test_two_that_flood_have_the_same() -> None:
    gate = Gate(most=150, observe=lambda _event: None)

    with ExitStack() as calls:
        taken = {"device-7": 0, "device-8": 0}
        for _ in range(150):
            for caller in taken:
                taken[caller] += _enters(gate, caller, calls)

        assert {"device-7": 70, "device-8": 70} == taken  # seven times the ten that are free


def test_a_caller_that_was_refused_for_a_full_room_finds_some_when_a_call_of_the_other_ends() -> None:
    gate = Gate(most=8, observe=lambda _event: None)

    with ExitStack() as calls:
        first = ExitStack()
        assert _enters(gate, "device-7", first)
        assert 7 == _taken(gate, "device-7", calls)
        assert not _enters(gate, "device-8", calls)

        first.close()
        assert not _enters(gate, "device-7", calls)
        assert _enters(gate, "device-8", calls)


def test_it_forgets_callers_that_have_no_calls() -> None:
    gate = Gate(most=8, observe=lambda _event: None)
    with gate.enter("device-7"), gate.enter("device-8"):
        pass

    assert {} == gate._held


def _taken(gate: Gate, caller: str, calls: ExitStack) -> int:
    """How many calls of this caller find room."""
    count = 0
    while _enters(gate, caller, calls):
        count += 1
    return count


def _enters(gate: Gate, caller: str, calls: ExitStack) -> bool:
    try:
        calls.enter_context(gate.enter(caller))
    except Unavailable:
        return False
    return True
