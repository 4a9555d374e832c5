"""The account of a batch."""

import grpc
import pytest

from edgeclient.cli.batch_input import Item
from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.tally import Tally
from edgeclient.client import EdgeError

WRONG = EdgeError(grpc.StatusCode.INVALID_ARGUMENT, "wrong", reason="INVALID_REQUEST")
BUSY = EdgeError(grpc.StatusCode.UNAVAILABLE, "busy", reason="OVERLOADED", retry_after_s=1)
GONE = EdgeError(grpc.StatusCode.UNAVAILABLE, "gone", reason="UPSTREAM_TIMEOUT")


def tally_of(*errors: EdgeError) -> Tally:
    tally = Tally()
    for index, error in enumerate(errors):
        tally.fail(Item(index=index, line=index + 1), error)
    return tally


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((), ExitCode.OK),
        ((WRONG,), ExitCode.DATA),
        ((WRONG, BUSY), ExitCode.TEMPORARY),
        ((BUSY, WRONG, GONE), ExitCode.UNAVAILABLE),
    ],
)
def test_what_a_repeat_can_mend_is_told_first(errors: tuple[EdgeError, ...], expected: ExitCode) -> None:
    assert expected is tally_of(*errors).exit_code


def test_every_line_is_in_the_sum() -> None:
    tally = tally_of(WRONG, BUSY)
    tally.ok, tally.queued, tally.skipped, tally.skipped_failed, tally.not_done = 5, 1, 3, 1, 4

    assert tally.counts()["total"] == 15
    assert tally.sentence() == (
        "15 lines: 5 ok (1 of them queued by the node), 2 failed, 3 done before, "
        "1 failed before (--retry-failed tries them again), 4 not done"
    )


def test_only_the_first_failures_are_kept() -> None:
    tally = tally_of(*[WRONG] * 100)

    assert len(tally.first_failures) == 5
    assert tally.first_failures[0] == "line 1: wrong (INVALID_REQUEST)"
