from hypothesis import given
from hypothesis import strategies as st

from edgeclient.policy.retry_budget import FLOOR, SHARE_PERCENT, RetryBudget


def taken(budget: RetryBudget, *, now_s: float, tries: int = 1000) -> int:
    return sum(budget.take(now_s) for _ in range(tries))


def test_a_quiet_node_may_repeat_a_little() -> None:
    assert FLOOR == taken(RetryBudget(), now_s=100.0)


def test_a_fifth_of_the_calls_on_top() -> None:
    budget = RetryBudget()
    for _ in range(500):
        budget.called(100.0)

    assert FLOOR + 100 == taken(budget, now_s=130.0)


def test_calls_and_repeats_are_forgotten_after_a_minute() -> None:
    budget = RetryBudget()
    for _ in range(500):
        budget.called(100.9)
    taken(budget, now_s=100.9)

    assert 0 == taken(budget, now_s=160.9)
    assert FLOOR == taken(budget, now_s=161.0)


def test_a_long_silence_is_forgotten_too() -> None:
    budget = RetryBudget()
    taken(budget, now_s=100.0)

    assert FLOOR == taken(budget, now_s=1e9)


@given(
    steps=st.lists(
        st.tuples(st.floats(min_value=0.0, max_value=70.0), st.integers(min_value=0, max_value=60), st.integers(0, 40)),
        max_size=40,
    )
)
def test_never_more_than_the_share_of_the_last_minute(steps: list[tuple[float, int, int]]) -> None:
    budget = RetryBudget()
    now_s = 1000.0
    calls: list[int] = []
    repeats: list[int] = []
    for wait_s, call_count, wanted in steps:
        now_s += wait_s
        for _ in range(call_count):
            budget.called(now_s)
            calls.append(int(now_s))
        for _ in range(wanted):
            oldest = int(now_s) - 60
            allowed = FLOOR + sum(each >= oldest for each in calls) * SHARE_PERCENT // 100
            has_room = sum(each >= oldest for each in repeats) < allowed
            assert has_room is budget.take(now_s)
            if has_room:
                repeats.append(int(now_s))
