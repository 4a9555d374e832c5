from typing import Any

import pytest

from edgeclient.policy.ranks import BACKGROUND, HIGH, LOW, NORMAL, WEIGHTS
from edgeclient.policy.waiting_line import WaitingLine


def line(*calls: tuple[int, str], **over: Any) -> WaitingLine:
    """A line in which these ranks and callers wait, with 10 bytes each, numbered from 0."""
    limits: dict[str, Any] = {"max_count": 100, "max_bytes": 10_000}
    made = WaitingLine(**limits | over, weights=WEIGHTS)
    for seq, (rank, caller) in enumerate(calls):
        made.enter(rank, caller, seq, 10)
    return made


def test_numbers_follow_who_comes_and_goes() -> None:
    made = line((NORMAL, "a"), (LOW, "a"), (NORMAL, "b"))
    made.leave(NORMAL, "a", 0)

    assert (2, 20) == (made.count, made.size_bytes)
    assert {BACKGROUND: 0, LOW: 1, NORMAL: 1, HIGH: 0} == made.counts()
    assert 1 == made.count_of(LOW)


def test_newcomer_pushes_nobody_out_where_there_is_room() -> None:
    assert [] == line((LOW, "a"), max_count=2).in_the_way(HIGH, 10)


def test_lowest_gives_way_first_and_of_these_the_youngest() -> None:
    calls = [(BACKGROUND, "j"), (LOW, "a"), (BACKGROUND, "j"), (NORMAL, "a"), (LOW, "a")]

    assert [2] == line(*calls, max_count=5).in_the_way(NORMAL, 10)
    assert [2, 0, 4] == line(*calls, max_bytes=50).in_the_way(HIGH, 30)


@pytest.mark.parametrize("rank", [BACKGROUND, LOW, NORMAL, HIGH])
def test_nobody_gives_way_to_an_equal_or_a_lower_one(rank: int) -> None:
    assert line((rank, "a"), (HIGH, "a"), max_count=2).in_the_way(rank, 10) is None


def test_nobody_is_shed_for_one_who_does_not_fit_even_so() -> None:
    assert line((LOW, "a"), (NORMAL, "a"), max_bytes=30).in_the_way(NORMAL, 25) is None


def test_repeated_attempt_is_not_the_youngest() -> None:
    made = line((LOW, "a"), (LOW, "a"), (LOW, "a"), max_count=3)
    made.leave(LOW, "a", 0)
    made.enter(LOW, "a", 0, 10)

    assert [2] == made.in_the_way(HIGH, 10)


def test_chatty_caller_stands_before_another_with_one_call_only() -> None:
    made = line(*[(NORMAL, "chatty")] * 50, (NORMAL, "quiet"), (LOW, "other"))

    assert 2 == made.ahead(NORMAL, "new")
    assert 3 == made.ahead(NORMAL, "quiet")
    assert 51 == made.ahead(NORMAL, "chatty")
    assert 0 == made.ahead(HIGH, "new")


def test_turns_are_shared_by_those_classes_that_wait() -> None:
    made = line((NORMAL, "a"), (LOW, "a"))

    assert 128 / (128 + 64 + 16) == made.share(HIGH)
    assert 64 / (64 + 16) == made.share(NORMAL)
    assert 1.0 == line().share(LOW)
