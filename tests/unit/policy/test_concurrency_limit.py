from random import Random

import pytest

from edgeclient.policy.concurrency_limit import MEMORY_S, START, ConcurrencyLimit


def narrowed(width: int, *, most: int = 100, now_s: float = 0.0) -> ConcurrencyLimit:
    """A limit that has come down to this width."""
    limit = ConcurrencyLimit(most=most)
    while limit.width > width:
        limit.failed(limit.begin(1), refused=True, now_s=now_s)
    return limit


def begun(limit: ConcurrencyLimit, count: int) -> list[int]:
    """The numbers of so many requests, in progress together."""
    return [limit.begin(taken + 1) for taken in range(count)]


def rounds(limit: ConcurrencyLimit, count: int, *, now_s: float = 1.0) -> None:
    """So many rounds of successes, with all places taken."""
    for _ in range(count):
        for number in begun(limit, limit.width):
            limit.succeeded(number, now_s=now_s)


def test_begins_at_its_largest() -> None:
    assert 100 == ConcurrencyLimit(most=100).width


def test_refusal_halves_and_a_round_of_successes_adds_one() -> None:
    limit = narrowed(50)
    assert 50 == limit.width

    rounds(limit, 3)

    assert 53 == limit.width


def test_width_that_is_not_in_use_stays() -> None:
    limit = narrowed(50)
    for _ in range(100):
        for number in begun(limit, 49):
            limit.succeeded(number, now_s=1.0)

    assert 50 == limit.width


def test_calls_that_failed_together_count_once() -> None:
    limit = ConcurrencyLimit(most=100)

    counted = [limit.failed(number, refused=True, now_s=0.0) for number in begun(limit, 100)]

    assert 1 == counted.count(True)
    assert 50 == limit.width


def test_success_of_before_a_setback_teaches_nothing() -> None:
    limit = ConcurrencyLimit(most=4)
    early = begun(limit, 4)
    limit.failed(early.pop(), refused=True, now_s=0.0)

    for number in early:
        limit.succeeded(number, now_s=1.0)

    assert 2 == limit.width


def test_never_below_one_and_never_above_the_most() -> None:
    limit = narrowed(1)
    limit.failed(limit.begin(1), refused=True, now_s=0.0)
    assert 1 == limit.width

    rounds(limit, 500, now_s=MEMORY_S)

    assert 100 == limit.width


def test_rare_failure_costs_little_and_total_failure_as_much_as_a_refusal() -> None:
    rare = ConcurrencyLimit(most=100)
    for number in range(3000):
        mark = rare.begin(rare.width)
        if number % 100:
            rare.succeeded(mark, now_s=0.0)
        else:
            rare.failed(mark, refused=False, now_s=0.0)
    dead = ConcurrencyLimit(most=64)
    for _ in range(10):
        for mark in begun(dead, dead.width):
            dead.failed(mark, refused=False, now_s=0.0)

    assert rare.width >= 60
    assert dead.width <= 2


def test_after_an_outage_it_begins_small_and_doubles() -> None:
    limit = ConcurrencyLimit(most=100)
    limit.resume()
    assert START == limit.width

    rounds(limit, 1)
    assert 2 * START == limit.width
    rounds(limit, 3)

    assert 100 == limit.width


def test_outage_makes_a_narrow_width_no_wider() -> None:
    limit = narrowed(3)
    limit.resume()

    assert 3 == limit.width


def test_calls_from_before_an_outage_are_not_held_against_the_time_after() -> None:
    limit = ConcurrencyLimit(most=100)
    early = limit.begin(1)
    limit.resume()

    assert not limit.failed(early, refused=True, now_s=0.0)
    assert START == limit.width


@pytest.mark.parametrize(("now_s", "width"), [(MEMORY_S - 1, 7), (MEMORY_S, 12)])
def test_old_setback_is_forgotten(now_s: float, width: int) -> None:
    limit = narrowed(6)
    rounds(limit, 1, now_s=now_s)

    assert width == limit.width


def test_peer_that_takes_less_is_obeyed_at_once() -> None:
    limit = ConcurrencyLimit(most=100)
    limit.bound(7)
    rounds(limit, 20, now_s=MEMORY_S)

    assert (7, 7) == (limit.width, limit.most)


def test_peer_that_takes_more_again_gets_it_with_every_success() -> None:
    limit = ConcurrencyLimit(most=100)
    limit.bound(7)
    limit.bound(100)
    rounds(limit, 1, now_s=0.0)

    assert (14, 100) == (limit.width, limit.most)


@pytest.mark.parametrize("capacity", [3, 20, 90])
def test_it_finds_what_the_provider_bears(capacity: int) -> None:
    limit, rng, widths = ConcurrencyLimit(most=100), Random(1), []
    for _ in range(2000):
        numbers = begun(limit, limit.width)
        rng.shuffle(numbers)
        for place, number in enumerate(numbers):
            if place < capacity:
                limit.succeeded(number, now_s=0.0)
            else:
                limit.failed(number, refused=True, now_s=0.0)
        widths.append(limit.width)

    settled = widths[500:]
    assert max(settled) <= capacity + 1
    assert sum(settled) / len(settled) >= 0.6 * capacity


def test_two_nodes_come_to_equal_shares() -> None:
    early, late = ConcurrencyLimit(most=100), narrowed(1)
    shares = []
    for turn in range(3000):
        nodes = [(node, begun(node, node.width)) for node in (early, late)]
        too_many = sum(len(numbers) for _, numbers in nodes) > 60
        for node, numbers in nodes:
            for place, number in enumerate(numbers):
                if too_many and not place:
                    node.failed(number, refused=True, now_s=0.0)
                else:
                    node.succeeded(number, now_s=0.0)
        if turn > 1000:
            shares.append((early.width, late.width))

    means = [sum(widths) / len(shares) for widths in zip(*shares, strict=True)]
    assert 0.8 <= means[0] / means[1] <= 1.25
