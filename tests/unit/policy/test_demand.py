"""What is told about a limit."""

from math import inf

import pytest

from edgeclient.core.errors import Reason, Rejected, Throttled
from edgeclient.policy.demand import Demand, Shortage, refusal


def shortage(limit: str, value: float, wait_s: float) -> Shortage:
    return Shortage(limit=limit, value=value, wait_s=wait_s, of_caller=True)


def test_a_limit_is_told_with_its_value_and_the_time_to_wait() -> None:
    error = refusal(shortage("callers[2].tokens_per_minute", 100_000, 12.5))

    assert isinstance(error, Throttled)
    assert error.reason == Reason.ERROR_REASON_RATE_LIMITED
    assert (error.message, error.retry_after_s) == ("callers[2].tokens_per_minute is 100,000 and reached", 12.5)
    assert not error.possibly_billed


def test_what_never_fits_gets_no_time_to_wait() -> None:
    error = refusal(shortage("limits[0].tokens_per_minute", 5000, inf))

    assert isinstance(error, Rejected)
    assert error.reason == Reason.ERROR_REASON_REQUEST_TOO_LARGE
    assert (
        error.message == "This request may use more than limits[0].tokens_per_minute, 5,000, ever permits; ask for less"
    )


@pytest.mark.parametrize(("value", "told"), [(0.0004, "0.0004"), (5.0, "5"), (12.5, "12.5"), (4321.5, "4,321.5")])
def test_a_small_budget_is_told_with_the_digits_that_it_has(value: float, told: str) -> None:
    short = Shortage(limit="callers[0].budget_per_day", value=value, wait_s=60.0, of_caller=True, currency="CNY")

    assert f"What is left of callers[0].budget_per_day, {told} CNY, does not pay" in refusal(short).message


@pytest.mark.parametrize(("output", "late"), [(None, 100), (0, 0), (30, 30)])
def test_tokens_of_unknown_kind_may_all_be_counted_late(output: int | None, late: int) -> None:
    assert Demand(model="m", caller="a", tokens=100, cost_nanos=0, output_tokens=output).late_tokens == late
