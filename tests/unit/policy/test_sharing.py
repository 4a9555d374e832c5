"""Nobody waits behind a lower priority, and nobody fails for a reason of somebody else."""

import builders
import pytest

from edgeclient.core.errors import CallError, OutOfTime, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.policy.sharing import is_shared, may_join
from edgeclient.v1 import chat_pb2

LOW, NORMAL, HIGH = chat_pb2.PRIORITY_LOW, chat_pb2.PRIORITY_NORMAL, chat_pb2.PRIORITY_HIGH
UNSET = chat_pb2.PRIORITY_UNSPECIFIED


@pytest.mark.parametrize(
    ("mine", "running", "sent", "expected"),
    [
        (NORMAL, NORMAL, False, True),
        (LOW, HIGH, False, True),
        (HIGH, LOW, False, False),
        (HIGH, LOW, True, True),
        (UNSET, NORMAL, False, True),
        (UNSET, LOW, False, False),
    ],
)
def test_nobody_joins_what_waits_behind_its_own_priority(
    mine: chat_pb2.Priority.ValueType, running: chat_pb2.Priority.ValueType, *, sent: bool, expected: bool
) -> None:
    asked, runs = (builders.chat_request(priority=priority) for priority in (mine, running))

    assert expected is may_join(asked, runs, sent=sent)


LATE = OutOfTime(Reason.ERROR_REASON_DEADLINE, "late")
LEFT = Uncertain(Reason.ERROR_REASON_CANCELLED, "left")
LIMITED = Throttled(Reason.ERROR_REASON_RATE_LIMITED, "limit of the caller")
REFUSED = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused")
DOWN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503")


@pytest.mark.parametrize(
    ("error", "sent", "same_caller", "outranks", "expected"),
    [
        (LATE, True, True, False, False),
        (LEFT, True, True, False, False),
        (LIMITED, False, True, False, True),
        (LIMITED, True, False, False, False),
        (REFUSED, True, False, True, True),
        (DOWN, True, True, False, True),
        (DOWN, False, True, False, True),
        (DOWN, False, True, True, False),
        (DOWN, False, False, False, False),
    ],
)
def test_what_comes_from_who_leads_is_that_ones_alone(
    error: CallError, *, sent: bool, same_caller: bool, outranks: bool, expected: bool
) -> None:
    assert expected is is_shared(error, sent=sent, same_caller=same_caller, outranks=outranks)
