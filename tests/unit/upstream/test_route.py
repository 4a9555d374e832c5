"""The route over targets that fail: who is asked, how often, and what the caller is told."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import builders
import pytest
from fakes.targets import FakeTarget, Outcome, Routed, says

from edgeclient.config.route_schema import RouteConfig
from edgeclient.core.call import Call, Delta
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.core.events import Uplink
from edgeclient.core.models import ModelSpec
from edgeclient.core.route_events import CallMoved, RetryRefused, StreamRestarted, TargetSetAside, TargetTakenBack
from edgeclient.policy.retry_budget import FLOOR

FALL_BACK = RouteConfig(fallback_models={"qwen-max": "qwen-plus", "qwen-plus": "qwen-flash"})
EVERY_CAUSE = RouteConfig(
    fallback_models=FALL_BACK.fallback_models, fall_back_on=["throttled", "unavailable", "timeout", "blocked"]
)


def limited(retry_after_s: float = 30.0) -> CallError:
    return Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=retry_after_s)


def down() -> CallError:
    return Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "it failed", retry_after_s=1.0)


def no_way() -> CallError:
    return Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no route")


def bad_key() -> CallError:
    return Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "wrong key")


def no_model() -> CallError:
    return ModelBlocked(Reason.ERROR_REASON_MODEL_NOT_FOUND, "no such model")


def content() -> CallError:
    return Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused")


def late() -> CallError:
    return Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "nothing came")


def cut() -> CallError:
    return Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "it broke off")


def two() -> tuple[FakeTarget, FakeTarget]:
    return FakeTarget("a"), FakeTarget("b", tier=1)


class Device:
    """What a caller of a stream has seen."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []

    async def emit(self, delta: Delta) -> None:
        self.deltas.append(delta)

    @property
    def text(self) -> str:
        return "|".join(("!" if delta.anew else "") + delta.content for delta in self.deltas)


def live() -> Call:
    return builders.call()


def stream(**fields: object) -> Call:
    return builders.call(emit=Device().emit, request=builders.chat_request(**fields))


def keyed() -> Call:
    return builders.call(request=builders.chat_request(idempotency_key="k"))


def job() -> Call:
    return builders.call(background=True)


KINDS: dict[str, Callable[[], Call]] = {"live": live, "stream": stream, "keyed": keyed, "job": job}
ALL = frozenset(KINDS)
MAY_PAY_TWICE = frozenset({"live", "stream"})
NOBODY: frozenset[str] = frozenset()

Phase = tuple[str, Callable[[], Outcome], frozenset[str], str, bool]
PHASES: list[Phase] = [
    # what happens at the first target; who is served by the second; what the others are told; perhaps billed
    ("throttled", limited, ALL, "", False),
    ("failed", down, ALL, "", False),
    ("not reached", no_way, ALL, "", False),
    ("bad key", bad_key, ALL, "", False),
    ("no model", no_model, ALL, "", False),
    ("content refused", content, NOBODY, "CONTENT_BLOCKED", False),
    ("no answer in time", late, MAY_PAY_TWICE, "UPSTREAM_TIMEOUT", True),
    ("cut before the first piece", cut, NOBODY, "UPSTREAM_INTERRUPTED", True),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", PHASES, ids=[row[0] for row in PHASES])
async def test_who_is_asked_and_what_the_caller_is_told(phase: Phase, kind: str) -> None:
    what, outcome, moves, told, billed = phase
    first, second = two()
    first.script = [outcome()]
    routed = Routed(first, second)
    call = KINDS[kind]()

    if kind in moves:
        reply = await routed.route(call)
        assert ("b", 2) == (reply.response.target, reply.response.attempt_count)
        assert int(what == "no answer in time") == reply.response.possibly_billed_count
        assert ["a/qwen-plus", "b/qwen-plus"] == routed.asked
        (moved,) = routed.seen(CallMoved)
        assert isinstance(moved, CallMoved)
        assert ("a", "b", "qwen-plus", "qwen-plus") == (
            moved.before,
            moved.after,
            moved.model_before,
            moved.model_after,
        )
    else:
        with pytest.raises(CallError) as caught:
            await routed.route(call)
        assert (told, billed) == (caught.value.reason_name, caught.value.possibly_billed)
        assert ["a/qwen-plus"] == routed.asked
        assert [] == routed.events


async def test_after_timeout_stop() -> None:
    first, second = two()
    first.script = [late()]

    with pytest.raises(Uncertain):
        await Routed(first, second, config=RouteConfig(after_timeout="stop")).route(live())

    assert [] == second.asked


@pytest.mark.parametrize("error", [limited, down, late, cut], ids=lambda make: make.__name__)
async def test_after_the_first_piece_nothing_moves(error: Callable[[], CallError]) -> None:
    first, second = two()
    first.script = [says("Yes", then=error())]
    device = Device()
    call = builders.call(emit=device.emit)

    with pytest.raises(CallError):
        await Routed(first, second).with_retry(call)

    assert [] == second.asked
    assert "Yes" == device.text


# -- one budget and one deadline


async def test_one_budget_of_attempts_over_all_targets_and_models() -> None:
    targets = [FakeTarget(name, tier=tier) for tier, name in enumerate("abcd")]
    for each in targets:
        each.always = down()
    routed = Routed(*targets, config=FALL_BACK)

    with pytest.raises(Unavailable):
        await routed.with_retry(live())

    assert ["a/qwen-plus", "b/qwen-plus", "c/qwen-plus"] == routed.asked


async def test_when_all_are_used_retry_pauses_and_begins_another_round() -> None:
    first, second = two()
    first.script, second.script = [down()], [Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "no")]
    routed = Routed(first, second)

    reply = await routed.with_retry(live())

    assert ("a", 3) == (reply.response.target, reply.response.attempt_count)


async def test_a_job_has_a_budget_for_each_round() -> None:
    targets = [FakeTarget(name, tier=tier) for tier, name in enumerate("abcd")]
    for each in targets:
        each.always = down()
    routed = Routed(*targets)
    call = builders.call(background=True, attempt_count=7)

    with pytest.raises(Unavailable):
        await routed.route(call)

    assert 10 == call.attempt_count


async def test_conversation_stays_at_its_target_and_others_are_shared() -> None:
    routed = Routed(FakeTarget("a"), FakeTarget("b"))

    async def asked_of(conversation: str) -> str:
        call = builders.call(request=builders.chat_request(conversation_id=conversation))
        return (await routed.route(call)).response.target

    for conversation in ("c1", "c2", "c3", "c4", "c5", "c6"):
        assert 1 == len({await asked_of(conversation) for _ in range(20)})
    assert {"a", "b"} == {await asked_of(f"c{number}") for number in range(30)}
    assert {"a", "b"} == {await asked_of("") for _ in range(30)}


async def test_nothing_is_begun_after_the_deadline() -> None:
    first, second = two()
    routed = Routed(first, second)
    call = builders.call(deadline=Deadline.after(5.0, now_s=routed.clock.monotonic_s()))

    async def too_long(_call: Call) -> None:
        routed.clock.advance(6.0)
        raise down()

    first.script = [too_long]

    with pytest.raises(Unavailable):
        await routed.route(call)
    assert [] == second.asked


async def test_no_attempt_after_a_cancel() -> None:
    first, second = two()
    begun = asyncio.Event()

    async def hang(_call: Call) -> None:
        begun.set()
        await asyncio.Event().wait()

    first.script = [hang]
    routed = Routed(first, second)
    task = asyncio.ensure_future(routed.with_retry(live()))
    await begun.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["a/qwen-plus"] == routed.asked


async def test_a_cancel_in_the_moment_of_the_failure_wins() -> None:
    first, second = two()
    begun = asyncio.Event()
    ends: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fail_later(_call: Call) -> None:
        begun.set()
        await ends

    first.script = [fail_later]
    routed = Routed(first, second)
    task = asyncio.ensure_future(routed.with_retry(live()))
    await begun.wait()

    ends.set_exception(down())
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == second.asked


async def test_the_node_repeats_a_fifth_and_a_few_more() -> None:
    first, second = two()
    first.always = content()  # answers, so its breaker stays closed
    routed = Routed(first, second)
    for _ in range(100):
        with pytest.raises(Rejected):
            await routed.route(live())
    first.always = limited(0.0)
    outcomes: Counter[str] = Counter()
    for _ in range(100):
        routed.clock.advance(0.01)
        try:
            await routed.route(live())
        except Throttled:
            outcomes["told"] += 1
        else:
            outcomes["moved"] += 1

    assert FLOOR + 0.2 * 200 >= outcomes["moved"] >= FLOOR + 20
    assert outcomes["told"] == len(routed.seen(RetryRefused))


async def test_pauses_repeat_no_more_than_that_either() -> None:
    only = FakeTarget("a")
    only.always = limited(0.0)
    routed = Routed(only)
    for _ in range(50):
        with pytest.raises(Throttled):
            await routed.with_retry(live())

    assert 50 + FLOOR + 10 == len(only.asked)
    assert routed.seen(RetryRefused)


async def test_what_was_never_sent_costs_no_repeats() -> None:
    first, second = two()
    first.always = Throttled(Reason.ERROR_REASON_DISPATCH_FULL, "no room", retry_after_s=1.0)
    first.refuses_before = True
    routed = Routed(first, second)

    for _ in range(FLOOR * 5):
        assert "b" == (await routed.route(live())).response.target

    assert [] == routed.seen(RetryRefused)


async def test_a_limit_of_the_caller_is_not_shopped() -> None:
    first, second = two()
    first.always = Throttled(Reason.ERROR_REASON_RATE_LIMITED, "yours", retry_after_s=1.0)
    first.refuses_before = True

    with pytest.raises(Throttled):
        await Routed(first, second).with_retry(live())

    assert [] == second.asked


# -- accounts, lanes, models


async def test_the_same_account_is_not_asked_for_what_it_limits() -> None:
    first, same, other = FakeTarget("a", account="x"), FakeTarget("b", account="x", tier=1), FakeTarget("c", tier=2)
    first.script = [limited()]
    routed = Routed(first, same, other)

    assert "c" == (await routed.route(live())).response.target
    assert [] == same.asked


async def test_another_call_goes_past_a_target_that_asked_for_less() -> None:
    first, second = two()
    first.script = [limited(30.0)]
    routed = Routed(first, second)
    await routed.route(live())

    await routed.route(live())
    assert ["a/qwen-plus", "b/qwen-plus", "b/qwen-plus"] == routed.asked
    routed.clock.advance(30.0)
    await routed.route(live())
    assert 2 == len(first.asked)


async def test_who_asked_for_less_is_not_asked_by_the_same_call_sooner_than_it_said() -> None:
    first, second = two()
    first.always = limited(30.0)
    second.always = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "no")
    routed = Routed(first, second, max_attempts=4)

    with pytest.raises(CallError):
        await routed.with_retry(live())

    assert ["a/qwen-plus", *["b/qwen-plus"] * 3] == routed.asked


async def test_what_others_were_told_does_not_end_a_call() -> None:
    only = FakeTarget("a")
    routed = Routed(only)

    async def others_are_told_more(_call: Call) -> None:
        only.script = [limited(30.0)]
        with pytest.raises(Throttled):
            await routed.route(live())
        raise limited(0.0)

    only.script = [others_are_told_more]

    reply = await routed.with_retry(live())

    assert 2 == reply.response.attempt_count


async def test_who_has_to_wait_is_told_how_long() -> None:
    first, second = two()
    first.script = [limited(100.0)]
    second.always = no_way()
    routed = Routed(first, second)
    call = live()
    with pytest.raises(Unavailable):
        await routed.route(call)
    second.models = set()
    routed.clock.advance(70.0)

    with pytest.raises(Throttled, match="asked for less") as caught:
        await routed.route(call)

    assert 30.0 == caught.value.retry_after_s
    assert 1 == len(first.asked)


async def test_a_stand_in_answers_and_is_named() -> None:
    only = FakeTarget("a")
    only.script = [limited()]
    routed = Routed(only, config=FALL_BACK)

    call = live()
    reply = await routed.route(call)

    assert ("qwen-flash", "a", 2) == (reply.response.model, reply.response.target, reply.response.attempt_count)
    assert call.model is not None
    assert "qwen-flash" == call.model.id


async def test_stand_ins_have_stand_ins() -> None:
    only = FakeTarget("a")
    only.script = [limited(), limited()]
    routed = Routed(only, config=FALL_BACK)
    call = builders.call(model=builders.model(id="qwen-max"))

    assert "qwen-flash" == (await routed.route(call)).response.model
    assert ["a/qwen-max", "a/qwen-plus", "a/qwen-flash"] == routed.asked


async def test_the_model_that_was_asked_comes_first_wherever_it_is_served() -> None:
    first, second = two()
    first.script = [limited()]
    routed = Routed(first, second, config=FALL_BACK)

    await routed.route(live())

    assert ["a/qwen-plus", "b/qwen-plus"] == routed.asked


async def test_a_failed_call_has_the_model_again_that_it_asked_for() -> None:
    only = FakeTarget("a")
    only.always = limited()
    call = live()

    with pytest.raises(Throttled):
        await Routed(only, config=FALL_BACK).route(call)

    assert call.model == builders.model()


async def test_a_model_that_the_caller_may_not_ask_does_not_stand_in() -> None:
    only = FakeTarget("a")
    only.script = [limited()]
    asked: list[str] = []

    def permits(_call: Call, model: ModelSpec) -> bool:
        asked.append(model.id)
        return False

    with pytest.raises(Throttled):
        await Routed(only, config=FALL_BACK, permits=permits).route(live())
    assert ["qwen-flash"] == asked


@pytest.mark.parametrize(
    ("error", "cause"),
    [(limited, "throttled"), (down, "unavailable"), (late, "timeout"), (no_model, "blocked")],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_models_stand_in_for_the_causes_that_the_operator_names(
    error: Callable[[], CallError], cause: str
) -> None:
    for named in (True, False):
        only = FakeTarget("a")
        only.script = [error()]
        causes = [cause] if named else [each for each in EVERY_CAUSE.fall_back_on if each != cause]
        routed = Routed(only, config=RouteConfig(fallback_models={"qwen-plus": "qwen-flash"}, fall_back_on=causes))
        if named:
            assert "qwen-flash" == (await routed.route(live())).response.model
        else:
            with pytest.raises(CallError):
                await routed.route(live())


async def test_a_job_waits_for_its_own_model() -> None:
    only = FakeTarget("a")
    only.script = [limited()]

    with pytest.raises(Throttled):
        await Routed(only, config=FALL_BACK).route(job())

    assert ["qwen-plus"] == only.asked


async def test_a_model_is_asked_where_it_is_served() -> None:
    first, second = two()
    first.models = {"qwen-max"}
    routed = Routed(first, second)

    assert "b" == (await routed.route(live())).response.target


async def test_a_model_that_nobody_serves() -> None:
    only = FakeTarget("a")
    only.models = set()

    with pytest.raises(ModelBlocked, match="no target serves qwen-plus") as caught:
        await Routed(only).with_retry(live())

    assert "MODEL_NOT_FOUND" == caught.value.reason_name


async def test_a_tier_shares_by_weight() -> None:
    heavy, light = FakeTarget("a", weight=3.0), FakeTarget("b")
    routed = Routed(heavy, light, rng=Random(7))

    for _ in range(2000):
        await routed.route(live())

    assert 0.72 < len(heavy.asked) / 2000 < 0.78


# -- refusals of this node


async def test_a_dead_key_is_put_aside_and_told_once() -> None:
    first, second = two()
    first.always = bad_key()
    routed = Routed(first, second)

    for _ in range(5):
        assert "b" == (await routed.route(live())).response.target

    assert 1 == len(first.asked)
    (event,) = routed.seen(TargetSetAside)
    assert isinstance(event, TargetSetAside)
    assert ("a", "", "UPSTREAM_CREDENTIALS", "wrong key") == (event.target, event.model, event.reason, event.problem)


async def test_all_targets_of_an_account_have_its_key() -> None:
    first, same, other = FakeTarget("a", account="x"), FakeTarget("b", account="x", tier=1), FakeTarget("c", tier=2)
    first.script = [bad_key()]
    routed = Routed(first, same, other)

    for _ in range(2):
        assert "c" == (await routed.route(live())).response.target

    assert [] == same.asked


async def test_a_forbidden_model_concerns_no_other() -> None:
    first, second = two()
    first.script = [no_model()]
    routed = Routed(first, second)
    await routed.route(live())

    assert "b" == (await routed.route(live())).response.target
    assert "a" == (await routed.route(builders.call(model=builders.model(id="qwen-max")))).response.target


async def test_models_that_there_are_not_take_no_end_of_memory() -> None:
    only = FakeTarget("a")
    only.always = no_model()
    routed = Routed(only)
    for number in range(1000):
        with pytest.raises(ModelBlocked):
            await routed.route(builders.call(model=builders.model(id=f"qwen-plus-{number}")))

    assert 256 == routed.route.ways.aside_count


async def test_one_call_a_minute_tries_and_an_answer_takes_it_back() -> None:
    first, second = two()

    async def refuse(_call: Call) -> None:
        await asyncio.sleep(0)
        raise bad_key()

    first.script = [refuse, refuse]
    routed = Routed(first, second)
    await routed.route(live())

    routed.clock.advance(60.0)
    await asyncio.gather(*(routed.route(live()) for _ in range(10)))
    assert 2 == len(first.asked)
    assert 1 == len(routed.seen(TargetSetAside))
    routed.clock.advance(60.0)
    await routed.route(live())
    await routed.route(live())

    assert 4 == len(first.asked)
    assert 1 == len(routed.seen(TargetTakenBack))


async def test_a_new_key_is_tried_at_once() -> None:
    first, second = two()
    first.script = [bad_key()]
    routed = Routed(first, second)
    await routed.route(live())

    routed.route.key_changed("b")
    assert [] == routed.seen(TargetTakenBack)
    routed.route.key_changed("a")

    assert "a" == (await routed.route(live())).response.target
    assert 1 == len(routed.seen(TargetTakenBack))


async def test_the_only_target_is_asked_all_the_same_and_the_refusal_is_its_own() -> None:
    only = FakeTarget("a")
    only.script = [bad_key(), bad_key()]
    routed = Routed(only)
    for _ in range(2):
        with pytest.raises(Blocked):
            await routed.with_retry(live())

    assert "a" == (await routed.with_retry(live())).response.target


# -- this site


async def test_this_site_answers_while_the_others_cannot_be_reached() -> None:
    cloud, here = FakeTarget("a"), FakeTarget("here", local=True, tier=9)
    routed = Routed(cloud, here)
    assert "a" == (await routed.route(live())).response.target

    cloud.uplink = Uplink.OFFLINE

    assert "here" == (await routed.route(live())).response.target
    assert 1 == len(cloud.asked)


async def test_the_call_that_finds_the_outage_is_answered_here_too() -> None:
    cloud, here = FakeTarget("a"), FakeTarget("here", local=True)
    cloud.script = [no_way()]

    assert "here" == (await Routed(cloud, here).route(live())).response.target


@pytest.mark.parametrize("error", [limited, down, content], ids=lambda make: make.__name__)
async def test_a_cloud_that_answers_is_not_replaced_by_this_site(error: Callable[[], CallError]) -> None:
    cloud, here = FakeTarget("a"), FakeTarget("here", local=True)
    cloud.script = [error()]

    with pytest.raises(CallError):
        await Routed(cloud, here).route(live())

    assert [] == here.asked


async def test_a_job_waits_for_the_cloud() -> None:
    cloud, here = FakeTarget("a"), FakeTarget("here", local=True)
    cloud.always = no_way()
    cloud.uplink = Uplink.OFFLINE

    with pytest.raises(Unavailable):
        await Routed(cloud, here).route(job())

    assert [] == here.asked


async def test_what_is_believed_to_be_out_of_reach_is_asked_if_there_is_nothing_else() -> None:
    cloud = FakeTarget("a")
    cloud.uplink = Uplink.OFFLINE

    assert "a" == (await Routed(cloud).route(live())).response.target


# -- a fresh start


async def test_a_broken_stream_begins_anew_elsewhere() -> None:
    first, second = two()
    first.script = [says("Yes, it", then=cut())]
    second.script = [says("No", ", not hot")]
    routed = Routed(first, second)
    device = Device()
    call = builders.call(emit=device.emit, request=builders.chat_request(restart_stream=True))

    reply = await routed.with_retry(call)

    assert "Yes, it|!No|, not hot" == device.text
    assert ("b", 2, 1) == (reply.response.target, call.attempt_count, reply.response.possibly_billed_count)
    assert 1 == len(routed.seen(StreamRestarted))
    assert device.emit == call.emit


async def test_a_broken_stream_begins_anew_at_the_same_target_after_a_pause() -> None:
    only = FakeTarget("a")
    only.script = [says("Yes", then=cut()), says("Ye", then=cut()), says("Yes, hot")]
    routed = Routed(only)
    device = Device()
    call = builders.call(emit=device.emit, request=builders.chat_request(restart_stream=True))

    reply = await routed.with_retry(call)

    assert "Yes|!Ye|!Yes, hot" == device.text
    assert 2 == reply.response.possibly_billed_count


async def test_what_the_caller_has_stays_valid_if_there_is_no_other_beginning() -> None:
    first, second = two()
    first.script, second.script = [says("Yes, it", then=cut())], [content()]
    device = Device()
    call = builders.call(emit=device.emit, request=builders.chat_request(restart_stream=True))

    with pytest.raises(Rejected) as caught:
        await Routed(first, second).with_retry(call)

    assert "Yes, it" == device.text
    assert caught.value.possibly_billed


async def test_restarts_are_attempts() -> None:
    only = FakeTarget("a")
    only.always = says("Yes", then=cut())
    call = stream(restart_stream=True)

    with pytest.raises(Uncertain):
        await Routed(only).with_retry(call)

    assert 3 == call.attempt_count == call.possibly_billed_count
