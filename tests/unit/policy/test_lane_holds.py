from math import inf

from edgeclient.policy.lane_holds import LaneHolds
from edgeclient.policy.ranks import HIGH, LOW, NORMAL


def held(*, rank: int = NORMAL, until_s: float = 5.0, firm: bool = False) -> LaneHolds:
    made = LaneHolds()
    made.hold("qwen-plus", rank=rank, until_s=until_s, firm=firm)
    return made


def test_hold_is_for_its_class_and_those_below_of_one_model() -> None:
    holds = held(rank=NORMAL)

    assert holds.holds(LOW, "qwen-plus")
    assert holds.holds(NORMAL, "qwen-plus")
    assert not holds.holds(HIGH, "qwen-plus")
    assert not holds.holds(LOW, "qwen-flash")
    assert (5.0, -inf) == (holds.until_s(LOW, "qwen-plus"), holds.until_s(HIGH, "qwen-plus"))


def test_hold_ends_with_its_time() -> None:
    holds = held(until_s=5.0)
    assert 5.0 == holds.next_s()

    holds.over(4.9)
    assert 1 == len(holds)
    holds.over(5.0)

    assert 0 == len(holds)
    assert inf == holds.next_s()


def test_hold_ends_when_something_was_given_back() -> None:
    holds = held()
    holds.lift("qwen-flash")
    assert holds.holds(NORMAL, "qwen-plus")
    holds.lift("qwen-plus")

    assert not holds.holds(NORMAL, "qwen-plus")


def test_pause_that_the_provider_wants_is_kept() -> None:
    holds = held(rank=HIGH, firm=True)
    holds.lift("qwen-plus")
    holds.hold("qwen-plus", rank=LOW, until_s=1.0)

    assert 5.0 == holds.until_s(HIGH, "qwen-plus")
