"""Durations that no library would write but a device can send."""

import pytest
from google.protobuf.duration_pb2 import Duration

from edgeclient.stages.validate.checks import span

SENTENCE = "is no Duration; nanos have at most 9 digits and the sign of seconds, seconds at most 10,000 years"


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (1, -1),
        (-1, 1),
        (0, 1_000_000_000),
        (0, -1_000_000_000),
        (0, 2**31 - 1),
        (2**63 - 1, 0),
        (-(2**63), 0),
        (315_576_000_001, 0),
    ],
)
def test_malformed_duration_is_refused(seconds: int, nanos: int) -> None:
    assert span(least_s=0)(Duration(seconds=seconds, nanos=nanos)) == SENTENCE


def test_open_bound_is_open() -> None:
    check = span(above_s=0, most_s=10)
    assert check(Duration()) == "0s is out of range; write more than 0s and at most 10s"
    assert check(Duration(nanos=1)) is None
    assert check(Duration(seconds=10)) is None
    assert check(Duration(seconds=10, nanos=1)) == "10s is out of range; write more than 0s and at most 10s"
