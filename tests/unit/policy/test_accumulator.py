from math import inf

from edgeclient.policy.accumulator import Accumulator


def group(*sizes: int, max_count: int = 3, max_bytes: int = 100, max_delay_s: float = 0.5) -> Accumulator:
    made = Accumulator(max_count=max_count, max_bytes=max_bytes, max_delay_s=max_delay_s)
    for number, size in enumerate(sizes):
        made.add(size, now_s=10.0 + number)
    return made


def test_empty_group_is_never_due() -> None:
    assert inf == group().due_s()


def test_group_is_due_when_its_first_call_has_waited_long_enough() -> None:
    assert 10.5 == group(1, 1).due_s()


def test_full_group_is_due_at_once() -> None:
    assert -inf == group(1, 1, 1).due_s()
    assert -inf == group(100).due_s()


def test_group_takes_no_more_than_its_count_and_its_bytes() -> None:
    assert group(1, 1).fits(98)
    assert not group(1, 1).fits(99)
    assert not group(1, 1, 1).fits(0)


def test_call_larger_than_the_limit_goes_alone() -> None:
    assert group().fits(1000)
    assert not group(1000).fits(1)


def test_who_leaves_makes_room() -> None:
    made = group(60, 30)
    made.remove(60)

    assert (1, 30) == (made.count, made.size_bytes)
    assert made.fits(70)


def test_cleared_group_begins_anew() -> None:
    made = group(1, 1, 1)
    made.clear()
    made.add(5, now_s=70.0)

    assert 70.5 == made.due_s()
