"""Money of lines of batches: what is held, settled and given back."""

from fakes.clock import FakeClock

from edgeclient.config.row_schema import CallerConfig
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.policy.budget import NANOS
from edgeclient.policy.demand import Demand
from edgeclient.policy.quota import Quota
from edgeclient.spool.half_price.bookings import Settled
from edgeclient.spool.half_price.purse import Purse

LINE = Demand(model="m", caller="device", tokens=100, cost_nanos=NANOS, currency="CNY", batch=True)


def answered(nanos: int, currency: str = "CNY") -> BatchAnswered:
    return BatchAnswered(
        caller="device",
        model="m",
        prompt_tokens=10,
        completion_tokens=5,
        cached_tokens=0,
        reasoning_tokens=0,
        cost_nanos=nanos,
        full_cost_nanos=2 * nanos,
        currency_code=currency,
    )


class Wallet:
    """A purse for one caller with three yuan a day."""

    def __init__(self) -> None:
        clock = FakeClock()
        row = CallerConfig(name="device", budget_per_day=3.0)
        self.quota = Quota(callers=[row], now_s=clock.monotonic_s(), wall_s=clock.wall_s())
        self.purse = Purse(self.quota, demand=lambda _: LINE, clock=clock)
        self._clock = clock
        assert [0.0] * 3 == [self.purse.hold("batch", job_id, LINE) for job_id in ("a", "b", "c")]

    def state(self) -> tuple[int, int]:
        (budget,) = self.quota.budgets(self._clock.monotonic_s())
        return budget.spent_nanos, budget.reserved_nanos


def test_no_more_is_held_than_there_is() -> None:
    wallet = Wallet()

    assert 0.0 < wallet.purse.hold("batch", "d", LINE) <= 86_400.0
    assert (0, 3 * NANOS) == wallet.state()


def test_answer_is_settled_by_its_price_a_failure_by_nothing_and_a_doubt_by_its_estimate() -> None:
    wallet = Wallet()
    lines = [
        Settled(outcome="succeeded", job_id="a", answered=answered(NANOS // 4)),
        Settled(outcome="failed", job_id="b"),
        Settled(outcome="unknown", job_id="c"),
    ]
    wallet.purse.settle("batch", lines)
    wallet.purse.settle("batch", lines)  # collected again after a failure

    assert (NANOS // 4 + NANOS, 0) == wallet.state()


def test_answer_without_a_price_keeps_its_estimate() -> None:
    wallet = Wallet()
    wallet.purse.settle("batch", [Settled(outcome="succeeded", job_id="a", answered=answered(0, currency=""))])

    assert (NANOS, 2 * NANOS) == wallet.state()


def test_what_was_not_run_is_given_back() -> None:
    wallet = Wallet()
    wallet.purse.give_back("batch", {"a", "stranger"})
    assert (0, 2 * NANOS) == wallet.state()
    wallet.purse.give_back("batch")
    wallet.purse.give_back("batch")

    assert (0, 0) == wallet.state()


def test_what_nobody_will_know_stays_spent() -> None:
    wallet = Wallet()
    wallet.purse.settle("batch", [Settled(outcome="failed", job_id="a")])
    wallet.purse.forget("batch")
    wallet.purse.forget("batch")

    assert (2 * NANOS, 0) == wallet.state()


def test_batch_of_before_a_restart_holds_nothing() -> None:
    wallet = Wallet()
    wallet.purse.settle("older", [Settled(outcome="succeeded", job_id="a", answered=answered(NANOS))])
    wallet.purse.give_back("older")
    wallet.purse.forget("older")

    assert (0, 3 * NANOS) == wallet.state()


def test_line_of_a_missing_batch_stays_held_and_one_that_is_sent_again_counts_by_its_estimate() -> None:
    wallet = Wallet()
    lines = [Settled(outcome="missing", job_id="a"), Settled(outcome="resent", job_id="b")]

    wallet.purse.settle("batch", lines)
    assert (NANOS, 2 * NANOS) == wallet.state()

    wallet.purse.settle("batch", [Settled(outcome="succeeded", job_id="a", answered=answered(NANOS // 4))])
    assert (NANOS + NANOS // 4, NANOS) == wallet.state()
