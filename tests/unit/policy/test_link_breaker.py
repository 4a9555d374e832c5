"""A helper that is down costs calls two budgets, and is found again beside them."""

from itertools import product

import pytest

from edgeclient.policy.link_breaker import TRANSITIONS, LinkBreaker, LinkNews, LinkState

WORKED, FAILED, DENIED = LinkNews.WORKED, LinkNews.FAILED, LinkNews.DENIED
PROBED, PROBE_FAILED = LinkNews.PROBE_WORKED, LinkNews.PROBE_FAILED


def after(*news: LinkNews) -> LinkBreaker:
    breaker = LinkBreaker()
    for each in news:
        breaker.take(each)
    return breaker


def test_every_cell_is_there() -> None:
    assert set(product(LinkState, LinkNews)) == set(TRANSITIONS)


@pytest.mark.parametrize(
    ("news", "usable"),
    [
        ((), True),
        ((FAILED,), True),
        ((FAILED, WORKED, FAILED), True),
        ((FAILED, FAILED), False),
        ((DENIED,), False),
        ((FAILED, FAILED, WORKED), False),
        ((FAILED, FAILED, PROBED), True),
        ((FAILED, FAILED, PROBE_FAILED), False),
    ],
)
def test_two_failures_in_a_row_break_it_and_a_probe_mends_it(news: tuple[LinkNews, ...], *, usable: bool) -> None:
    assert usable is after(*news).usable


def test_only_a_change_is_told() -> None:
    breaker = LinkBreaker()

    told = [breaker.take(each) for each in (FAILED, FAILED, FAILED, PROBE_FAILED, PROBED, WORKED)]

    assert [False, True, False, False, True, False] == told


def test_pauses_double_up_to_a_limit() -> None:
    breaker = after(FAILED, FAILED)
    pauses = []
    for _ in range(9):
        pauses.append(breaker.pause_s())
        breaker.take(PROBE_FAILED)

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] == pauses


def test_link_that_is_slow_rather_than_dead_is_left_alone_longer_each_time() -> None:
    breaker = after(FAILED, FAILED)
    pauses = []
    for _ in range(3):
        pauses.append(breaker.pause_s())
        for news in (PROBED, FAILED, FAILED):
            breaker.take(news)

    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]


def test_row_of_successes_makes_up_for_the_past() -> None:
    breaker = after(FAILED, FAILED, *[PROBE_FAILED] * 5, PROBED, *[WORKED] * 50, FAILED, FAILED)

    assert 0.5 == breaker.pause_s()


def test_refused_credential_is_tried_rarely_until_it_is_taken() -> None:
    assert 30.0 == after(DENIED).pause_s()
    assert after(DENIED, PROBED, FAILED, FAILED).pause_s() < 30.0
