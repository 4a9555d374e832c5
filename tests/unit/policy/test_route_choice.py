"""What an error means for the next attempt, and which way is the next."""

from collections import Counter
from collections.abc import Callable
from random import Random

import builders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.core.call import Call, Delta
from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    OutOfTime,
    Reason,
    Rejected,
    Stopping,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.policy.route import (
    Option,
    Round,
    Scope,
    Standing,
    Step,
    begins_anew,
    choose,
    in_order,
    lot,
    may_repeat,
    most_hopeful,
    step_after,
)
from edgeclient.policy.route_cause import Cause

LIMITED = Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=30.0)
LINE_FULL = Throttled(Reason.ERROR_REASON_DISPATCH_FULL, "no room", retry_after_s=1.0)
OWN_LIMIT = Throttled(Reason.ERROR_REASON_RATE_LIMITED, "too many of yours", retry_after_s=5.0)
DOWN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "it failed", retry_after_s=1.0)
NO_WAY = Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no route")
BAD_KEY = Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "wrong key")
NO_MODEL = ModelBlocked(Reason.ERROR_REASON_MODEL_NOT_FOUND, "no such model")
CONTENT = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused")
LATE = Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "nothing came")
CUT = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "it broke off")
NONSENSE = Uncertain(Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE, "what?")
DEADLINE = OutOfTime(Reason.ERROR_REASON_DEADLINE, "too late")
STOPPING = Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "going down")
DEFECT = CallError(Reason.ERROR_REASON_INTERNAL, "a defect")


async def emit(delta: Delta) -> None: ...


def stream(**fields: object) -> Call:
    return builders.call(emit=emit, request=builders.chat_request(**fields))


KINDS: dict[str, Callable[[], Call]] = {
    "live": builders.call,
    "stream": stream,
    "keyed": lambda: builders.call(request=builders.chat_request(idempotency_key="k")),
    "job": lambda: builders.call(background=True),
    "wants restart": lambda: stream(restart_stream=True),
    "wants restart, keyed": lambda: stream(restart_stream=True, idempotency_key="k"),
}
EVERYBODY = tuple(KINDS)
FREE = (
    (LIMITED, Step(Scope.LANE, Cause.THROTTLED)),
    (LINE_FULL, Step(Scope.TARGET, Cause.THROTTLED)),
    (DOWN, Step(Scope.MODEL, Cause.UNAVAILABLE)),
    (NO_WAY, Step(Scope.TARGET, Cause.UNAVAILABLE)),
    (BAD_KEY, Step(Scope.ACCOUNT, Cause.BLOCKED)),
    (NO_MODEL, Step(Scope.MODEL, Cause.BLOCKED)),
)
FINAL = (OWN_LIMIT, CONTENT, NONSENSE, DEADLINE, STOPPING, DEFECT)


@pytest.mark.parametrize("kind", EVERYBODY)
@pytest.mark.parametrize(("error", "step"), FREE, ids=lambda value: getattr(value, "reason_name", ""))
def test_what_was_certainly_not_billed_opens_another_way_for_everybody(error: CallError, step: Step, kind: str) -> None:
    assert step == step_after(KINDS[kind](), error, moves_after_timeout=False)


@pytest.mark.parametrize("kind", EVERYBODY)
@pytest.mark.parametrize("error", FINAL, ids=lambda error: str(error.reason_name))
def test_what_is_final_is_final_for_everybody(error: CallError, kind: str) -> None:
    assert step_after(KINDS[kind](), error, moves_after_timeout=True) is None


@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        ("live", True),
        ("stream", True),
        ("wants restart", True),
        ("keyed", False),
        ("job", False),
        ("wants restart, keyed", False),
    ],
)
def test_who_may_move_after_a_time_out(kind: str, moves: bool) -> None:  # noqa: FBT001  a table
    step = step_after(KINDS[kind](), LATE, moves_after_timeout=True)

    assert moves is (step is not None)
    assert step is None or Cause.TIMEOUT is step.cause
    if kind != "wants restart":
        assert step_after(KINDS[kind](), LATE, moves_after_timeout=False) is None


@pytest.mark.parametrize("kind", EVERYBODY)
def test_a_cut_answer_is_shopped_only_by_wish(kind: str) -> None:
    expected = Step(Scope.TARGET, Cause.TIMEOUT) if kind == "wants restart" else None

    assert expected == step_after(KINDS[kind](), CUT, moves_after_timeout=True)


@pytest.mark.parametrize("kind", EVERYBODY)
@pytest.mark.parametrize("error", [*(error for error, _ in FREE), LATE, CUT], ids=lambda error: str(error.reason_name))
def test_what_the_caller_has_seen_is_final(error: CallError, kind: str) -> None:
    call = KINDS[kind]()
    call.committed = True

    step = step_after(call, error, moves_after_timeout=True)

    assert (kind == "wants restart") is (step is not None)
    assert kind == "wants restart" or not may_repeat(call, error)


def test_what_may_have_been_billed_is_not_free_whatever_its_class() -> None:
    error = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "cut off", possibly_billed=True)

    assert step_after(builders.call(), error, moves_after_timeout=True) is None


@pytest.mark.parametrize("kind", EVERYBODY)
def test_who_begins_anew(kind: str) -> None:
    assert (kind == "wants restart") is begins_anew(KINDS[kind]())


def test_a_whole_answer_has_nothing_to_begin_anew() -> None:
    assert not begins_anew(builders.call(request=builders.chat_request(restart_stream=True)))


@pytest.mark.parametrize(
    ("error", "repeats"),
    [(LIMITED, True), (DOWN, True), (BAD_KEY, False), (CONTENT, False), (LATE, False), (CUT, False), (DEADLINE, False)],
    ids=lambda value: getattr(value, "reason_name", value),
)
def test_what_is_repeated_after_a_pause(error: CallError, repeats: bool) -> None:  # noqa: FBT001  a table
    assert repeats is may_repeat(builders.call(), error)


def test_a_wished_restart_is_repeated_after_a_pause() -> None:
    assert may_repeat(stream(restart_stream=True), CUT)
    assert not may_repeat(stream(restart_stream=True), NONSENSE)


def test_the_error_that_leaves_most_hope() -> None:
    assert LATE is most_hopeful([DOWN, LATE, LIMITED])  # what may be billed is told first
    assert DOWN is most_hopeful([LIMITED, BAD_KEY, DOWN])
    assert NO_WAY is most_hopeful([DOWN, NO_WAY])
    assert BAD_KEY is most_hopeful([BAD_KEY, NO_MODEL])


# -- the choice

READY, SLOW, ASIDE, OFFLINE, RESTS, WAITS = Standing
ALL = frozenset(Cause)


def option(standing: Standing, *, place: int = 0, model: int = 0, local: bool = False, wait_s: float = 0.0) -> Option:
    return Option(place=place, model=model, local=local, standing=standing, wait_s=wait_s)


@pytest.mark.parametrize(
    ("offered", "so_far", "expected"),
    [
        # the first that is ready
        ([option(READY), option(READY, place=1)], Round(permitted=ALL), 0),
        ([option(RESTS), option(READY, place=1)], Round(permitted=ALL), 1),
        ([option(SLOW), option(READY, place=1)], Round(permitted=ALL), 1),
        # who asked for less is asked, unless it has told when to come back
        ([option(SLOW), option(ASIDE, place=1)], Round(permitted=ALL), 0),
        ([option(WAITS)], Round(permitted=ALL), None),
        ([option(WAITS), option(ASIDE, place=1)], Round(permitted=ALL), 1),
        ([option(READY), option(READY, place=1, wait_s=-1.0)], Round(permitted=ALL), 1),
        # the shortest wait comes first, and a wait is better than another model
        ([option(SLOW, wait_s=2.0), option(SLOW, place=1, wait_s=0.5)], Round(permitted=ALL), 1),
        ([option(SLOW, wait_s=2.04), option(SLOW, place=1, wait_s=2.0)], Round(permitted=ALL), 0),
        ([option(SLOW, wait_s=2.0), option(READY, model=1)], Round(permitted=ALL), 0),
        # another model: where the operator permits it for this cause
        ([option(WAITS), option(READY, model=1)], Round(permitted={Cause.THROTTLED}), 1),
        ([option(WAITS), option(READY, model=1)], Round(permitted={Cause.BLOCKED}), None),
        ([option(READY, model=1)], Round(permitted=ALL, causes={Cause.THROTTLED}), 0),
        ([option(READY, model=1)], Round(permitted={Cause.BLOCKED}, causes={Cause.THROTTLED}), None),
        ([option(RESTS), option(READY, model=1)], Round(permitted={Cause.UNAVAILABLE}), 1),
        ([option(RESTS), option(READY, model=1)], Round(permitted={Cause.BLOCKED}), None),
        ([option(ASIDE), option(READY, model=1)], Round(permitted={Cause.BLOCKED}), 1),
        ([option(ASIDE), option(READY, model=1)], Round(permitted=frozenset()), 0),
        ([option(READY, model=1)], Round(permitted={Cause.BLOCKED}), 0),
        ([option(READY), option(READY, model=1)], Round(permitted=ALL), 0),
        ([option(READY, model=2), option(READY, model=1, place=1)], Round(permitted=ALL, causes={Cause.TIMEOUT}), 1),
        ([option(SLOW, model=1)], Round(permitted=ALL, causes={Cause.TIMEOUT}), None),
        # a stored job has time
        ([option(RESTS), option(READY, model=1)], Round(permitted=ALL, background=True), None),
        # who refused this node is asked last
        ([option(ASIDE), option(RESTS, place=1)], Round(permitted=ALL), 0),
        # this site: while no other can be reached
        ([option(READY, local=True), option(READY, place=1)], Round(permitted=ALL), 1),
        ([option(READY, local=True), option(OFFLINE, place=1)], Round(permitted=ALL), 0),
        ([option(READY, local=True), option(RESTS, place=1)], Round(permitted=ALL), 0),
        ([option(READY, local=True), option(WAITS, place=1)], Round(permitted=ALL), None),
        ([option(READY, local=True)], Round(permitted=ALL, causes={Cause.UNAVAILABLE}, lost=True), 0),
        ([option(READY, local=True)], Round(permitted=ALL, causes={Cause.THROTTLED}, lost=False), None),
        ([option(READY, local=True)], Round(permitted=ALL, background=True), None),
        ([option(READY, local=True)], Round(permitted=ALL), 0),
        ([option(RESTS, local=True), option(OFFLINE, place=1)], Round(permitted=ALL), 1),
        ([option(READY, local=True, model=1), option(OFFLINE, place=1)], Round(permitted=frozenset()), 0),
        # what is believed to be out of reach: if nothing was tried
        ([option(OFFLINE)], Round(permitted=ALL), 0),
        ([option(OFFLINE)], Round(permitted=ALL, background=True), 0),
        ([option(OFFLINE)], Round(permitted=ALL, causes={Cause.UNAVAILABLE}), None),
        ([option(RESTS)], Round(permitted=ALL), None),
        ([], Round(permitted=ALL), None),
    ],
)
def test_choice(offered: list[Option], so_far: Round, expected: int | None) -> None:
    assert (None if expected is None else offered[expected]) == choose(offered, so_far)


options = st.builds(
    Option,
    place=st.integers(0, 3),
    model=st.integers(0, 2),
    local=st.booleans(),
    standing=st.sampled_from(Standing),
    wait_s=st.floats(0.0, 100.0),
)
rounds = st.builds(
    Round,
    permitted=st.frozensets(st.sampled_from(Cause)),
    causes=st.frozensets(st.sampled_from(Cause)),
    lost=st.booleans(),
    background=st.booleans(),
)


@given(offered=st.lists(options, max_size=8), so_far=rounds)
def test_whatever_is_offered_no_rule_is_broken(offered: list[Option], so_far: Round) -> None:
    chosen = choose(offered, so_far)

    if chosen is None:
        ready = [each for each in offered if not each.local and not each.model and each.standing is READY]
        assert [] == ready
        return
    assert chosen in offered
    assert chosen.standing not in (RESTS, WAITS)
    if so_far.background:
        assert not chosen.local
        assert not chosen.model
    if chosen.model and not chosen.local:
        assert so_far.permitted
    if chosen.local:
        assert so_far.lost
        assert all(each.standing in (OFFLINE, RESTS) for each in offered if not each.local and not each.model)


def test_lower_tiers_first_and_shares_within_one() -> None:
    rng = Random(7)
    firsts: Counter[int] = Counter()
    for _ in range(20_000):
        order = in_order([1, 0, 0], [100.0, 3.0, 1.0], [rng.random() for _ in range(3)])
        assert 0 == order[-1]
        firsts[order[0]] += 1

    assert 0.74 < firsts[1] / 20_000 < 0.76


def test_lot_of_a_conversation_is_the_same_each_time_and_even_over_many() -> None:
    lots = [lot("beijing", f"device/{number}") for number in range(2000)]

    assert lots == [lot("beijing", f"device/{number}") for number in range(2000)]
    assert all(0.0 <= each < 1.0 for each in lots)
    assert 0.47 < sum(lots) / len(lots) < 0.53
    assert lots != [lot("singapore", f"device/{number}") for number in range(2000)]


def test_target_that_goes_moves_only_the_conversations_that_it_had() -> None:
    names, weights = ["a", "b", "c"], [1.0, 2.0, 1.0]
    for number in range(200):
        draws = [lot(name, f"device/{number}") for name in names]
        first = names[in_order([0, 0, 0], weights, draws)[0]]
        rest = [names[place] for place in in_order([0, 0], weights[:2], draws[:2])]
        assert first in ("c", rest[0])
