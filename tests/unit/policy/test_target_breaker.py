from itertools import product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgeclient.core.route_events import Breaker
from edgeclient.policy.breaker import (
    FIRST_REST_S,
    INCIDENT_S,
    LONGEST_REST_S,
    TRANSITIONS,
    WINDOW,
    Fact,
    TargetBreaker,
)

MIDDLE = 0.5  # draws a rest of exactly its length


def fail(breaker: TargetBreaker, *, now_s: float, trial: int = 0, begun_s: float | None = None) -> None:
    begun = now_s if begun_s is None else begun_s
    breaker.failed(begun_s=begun, now_s=now_s, draw=MIDDLE, trial=trial)


def opened(*, now_s: float = 100.0) -> TargetBreaker:
    breaker = TargetBreaker()
    for _ in range(5):
        fail(breaker, now_s=now_s, begun_s=now_s + 1)
    assert breaker.state is Breaker.OPEN
    return breaker


def half_open(*, now_s: float = 100.0) -> TargetBreaker:
    breaker = opened(now_s=now_s)
    breaker.probe_answered()
    return breaker


def test_every_fact_has_a_meaning_in_every_state() -> None:
    assert set(product(Breaker, Fact)) == set(TRANSITIONS)


def test_an_answer_to_an_ordinary_attempt_changes_no_state() -> None:
    assert all(after is state for (state, fact), after in TRANSITIONS.items() if fact is Fact.ANSWERED)


def test_the_fifth_failure_in_a_row_opens_it() -> None:
    breaker = TargetBreaker()

    states = []
    for number in range(5):
        fail(breaker, now_s=100.0 + 2 * number)
        states.append(breaker.state)

    assert [Breaker.CLOSED] * 4 + [Breaker.OPEN] == states
    assert not breaker.admits(108.0)


def test_an_answer_between_ends_the_row() -> None:
    breaker = TargetBreaker()
    for number in range(4):
        fail(breaker, now_s=100.0 + 2 * number)
    breaker.answered()

    fail(breaker, now_s=110.0)

    assert Breaker.CLOSED is breaker.state


def test_half_of_the_last_twenty_opens_it() -> None:
    breaker = TargetBreaker()
    for number in range(WINDOW - 1):
        if number % 2:
            breaker.answered()
        else:
            fail(breaker, now_s=100.0 + 2 * number)
    breaker.answered()
    assert breaker.admits(199.0)  # an answer opens nothing

    fail(breaker, now_s=200.0)

    assert Breaker.OPEN is breaker.state


def test_those_that_die_with_their_connection_are_one_failure() -> None:
    breaker = TargetBreaker()

    for number in range(50):
        fail(breaker, begun_s=90.0, now_s=100.0 + number / 100)

    assert Breaker.CLOSED is breaker.state


def test_those_that_were_begun_after_a_failure_count() -> None:
    breaker = TargetBreaker()

    for number in range(5):
        fail(breaker, begun_s=100.0 + number / 100, now_s=100.005 + number / 100)

    assert Breaker.OPEN is breaker.state


def test_an_incident_lasts_a_second() -> None:
    breaker = TargetBreaker()

    for number in range(5):
        fail(breaker, begun_s=90.0, now_s=100.0 + number * INCIDENT_S)

    assert Breaker.OPEN is breaker.state


def test_after_the_rest_a_probe_and_then_one_call() -> None:
    breaker = opened(now_s=100.0)
    assert 102.0 == breaker.rested_s
    assert not breaker.admits(500.0)  # time alone does not open the way, the probe does

    breaker.probe_answered()

    assert inf == breaker.rested_s
    assert breaker.admits(103.0)
    trial = breaker.begin(103.0)
    assert trial
    assert not breaker.admits(103.0)
    breaker.answered(trial)
    assert Breaker.CLOSED is breaker.state


def test_a_failed_trial_and_a_lost_probe_double_the_rest() -> None:
    breaker = opened(now_s=100.0)
    rests = [breaker.rest_s]
    for number in range(7):
        now_s = 200.0 + 100 * number
        if number % 2:
            breaker.probe_lost(now_s=now_s, draw=MIDDLE)
        else:
            breaker.probe_answered()
            fail(breaker, now_s=now_s, trial=breaker.begin(now_s))
        assert Breaker.OPEN is breaker.state
        assert now_s + breaker.rest_s == breaker.rested_s
        rests.append(breaker.rest_s)

    assert [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] == rests


@given(draw=st.floats(min_value=0, max_value=1, exclude_max=True), rests=st.integers(min_value=1, max_value=40))
def test_rests_are_spread_by_a_quarter(draw: float, rests: int) -> None:
    breaker = opened()
    for _ in range(rests):
        breaker.probe_lost(now_s=200.0, draw=draw)

    assert FIRST_REST_S * 1.5 <= breaker.rest_s <= LONGEST_REST_S * 1.25


def test_it_forgets_earlier_rests_after_a_window_of_outcomes() -> None:
    breaker = half_open()
    breaker.answered(breaker.begin(103.0))
    for _ in range(WINDOW):
        breaker.answered()

    for number in range(5):
        fail(breaker, now_s=200.0 + 2 * number)

    assert FIRST_REST_S == breaker.rest_s


def test_it_remembers_them_before() -> None:
    breaker = half_open()
    breaker.answered(breaker.begin(103.0))

    for number in range(5):
        fail(breaker, now_s=200.0 + 2 * number)

    assert 2 * FIRST_REST_S == breaker.rest_s


@pytest.mark.parametrize("how", ["answered", "failed"])
def test_what_was_begun_before_it_opened_decides_nothing(how: str) -> None:
    for breaker in (opened(), half_open()):
        before = breaker.state

        if how == "answered":
            breaker.answered()
        else:
            fail(breaker, now_s=300.0)

        assert before is breaker.state


def test_a_trial_whose_caller_leaves_makes_room_for_the_next() -> None:
    breaker = half_open()
    trial = breaker.begin(103.0)

    breaker.left(trial)

    assert breaker.admits(103.0)
    assert breaker.begin(103.0) > trial


def test_a_trial_that_takes_long_keeps_others_out_for_one_rest_only() -> None:
    breaker = half_open()
    first = breaker.begin(103.0)
    assert not breaker.admits(104.9)
    assert 2.0 == breaker.opens_in_s(103.0)

    assert breaker.admits(105.0)
    second = breaker.begin(105.0)
    fail(breaker, now_s=106.0, trial=first)  # it speaks for itself alone now
    assert not breaker.admits(106.0)
    breaker.answered(second)

    assert Breaker.CLOSED is breaker.state


def test_when_it_may_be_asked_again() -> None:
    breaker = opened(now_s=100.0)

    assert 1.5 == breaker.opens_in_s(100.5)
    assert 0.0 == breaker.opens_in_s(110.0)
    assert 0.0 == half_open().opens_in_s(110.0)
    assert 0.0 == TargetBreaker().opens_in_s(0.0)


class Life(RuleBasedStateMachine):
    """Whatever happens: never two trials within a rest, and whatever is asked was admitted."""

    @initialize()
    def begin(self) -> None:
        self.breaker = TargetBreaker()
        self.now_s = 1000.0
        self.under_way: list[tuple[int, float]] = []
        self.trial_s = -inf

    @rule(duration_s=st.floats(min_value=0.0, max_value=100.0))
    def wait(self, duration_s: float) -> None:
        self.now_s += duration_s

    @rule()
    def ask(self) -> None:
        if not self.breaker.admits(self.now_s):
            return
        trial = self.breaker.begin(self.now_s)
        assert bool(trial) is (self.breaker.state is Breaker.HALF_OPEN)
        if trial:
            assert not self.breaker.admits(self.now_s)
            self.trial_s = self.now_s
        self.under_way.append((trial, self.now_s))

    @rule(data=st.data(), how=st.sampled_from(["answered", "failed", "left"]), draw=st.floats(0, 1, exclude_max=True))
    def end(self, data: st.DataObject, how: str, draw: float) -> None:
        if not self.under_way:
            return
        trial, begun_s = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if how == "answered":
            self.breaker.answered(trial)
        elif how == "failed":
            self.breaker.failed(begun_s=begun_s, now_s=self.now_s, draw=draw, trial=trial)
        else:
            self.breaker.left(trial)

    @rule(answers=st.booleans(), draw=st.floats(0, 1, exclude_max=True))
    def probe(self, *, answers: bool, draw: float) -> None:
        if self.breaker.state is not Breaker.OPEN or self.now_s < self.breaker.rested_s:
            return
        if answers:
            self.breaker.probe_answered()
        else:
            self.breaker.probe_lost(now_s=self.now_s, draw=draw)

    @invariant()
    def rests_only_while_open(self) -> None:
        assert (self.breaker.rested_s < inf) is (self.breaker.state is Breaker.OPEN)
        if self.breaker.state is Breaker.OPEN:
            assert not self.breaker.admits(self.now_s)
            assert self.breaker.rested_s - self.now_s <= LONGEST_REST_S * 1.25

    @invariant()
    def tells_honestly_when_to_come_back(self) -> None:
        wait_s = self.breaker.opens_in_s(self.now_s)
        assert wait_s >= 0
        if self.breaker.state is Breaker.HALF_OPEN:
            assert self.breaker.admits(self.now_s + wait_s)


TestLife = Life.TestCase
