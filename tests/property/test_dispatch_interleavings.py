"""Whatever comes, ends, fails, leaves or passes, in whatever order: the limits hold and nothing is left behind."""

import asyncio
from collections import Counter
from typing import Any

from fakes.desk import Desk
from fakes.timed_clock import TimedClock, settle
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, Reason, Throttled, Unavailable, Uncertain
from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.policy.quota import Quota, Reservation

PLACES = 3
ERRORS: tuple[CallError | None, ...] = (
    None,
    None,
    Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=0.5),
    Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down"),
    Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "silent"),
)
LOST = UplinkChanged(target="dashscope", before=Uplink.ONLINE, after=Uplink.OFFLINE, cause="probe")
BACK = UplinkChanged(target="dashscope", before=Uplink.OFFLINE, after=Uplink.ONLINE, cause="probe")

ASK = st.fixed_dictionaries(
    {
        "caller": st.sampled_from("abc"),
        "priority": st.integers(0, 3),
        "background": st.booleans(),
        "conversation_id": st.sampled_from(["", "", "x", "y"]),
        "within_s": st.sampled_from([None, 0.5, 3.0]),
        "model": st.sampled_from(["qwen-plus", "qwen-flash"]),
        "tokens": st.sampled_from([1, 50, 2000]),
        "prompt": st.sampled_from(["x", "x" * 400]),
    }
)
STEP = st.one_of(
    st.tuples(st.just("ask"), ASK),
    st.tuples(st.just("ask"), ASK),
    st.tuples(st.just("finish"), st.integers(0, 5), st.sampled_from(ERRORS)),
    st.tuples(st.just("leave"), st.integers(0, 50)),
    st.tuples(st.just("turn"), st.just(None)),
    st.tuples(st.just("settle"), st.just(None)),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 1.5, 70.0])),
    st.tuples(st.just("uplink"), st.sampled_from([LOST, BACK])),
)


class Counted(Quota):
    """The limits, with a count of what is reserved."""

    open: int = 0

    def reserve(self, *args: Any, **named: Any) -> Any:
        outcome = super().reserve(*args, **named)
        self.open += isinstance(outcome, Reservation)
        return outcome

    def _close(self, reservation: Reservation, now_s: float) -> bool:
        self.open -= reservation.is_open
        return super()._close(reservation, now_s)


def quota(clock: TimedClock) -> Quota:
    limits = [LimitConfig(model="qwen-plus", requests_per_minute=120, tokens_per_minute=1000)]
    callers = [CallerConfig(name="a", max_in_flight=2)]
    return Counted(limits=limits, callers=callers, now_s=clock.monotonic_s(), wall_s=clock.wall_s())


class Scene:
    """A desk, and what has to be true of it all the time."""

    def __init__(self) -> None:
        self.desk = Desk(places=PLACES, quota=quota, max_waiting=6, max_waiting_bytes=2000, max_queue_delay_s=0.2)
        self.calls: dict[str, Call] = {}
        self.endings: dict[str, CallError | None] = {}
        wrapped = self.desk.upstream

        async def upstream(call: Call) -> Reply:
            reply = await wrapped(call)
            error = self.endings.get(call.id)
            if error is not None:
                raise error
            return reply

        self.desk.forward = upstream

    async def step(self, kind: str, *what: Any) -> None:
        desk = self.desk
        match kind:
            case "ask":
                call = desk.ask(**what[0])
                self.calls[call.id] = call
            case "finish" if desk.upstream.open:
                name = desk.upstream.open[what[0] % len(desk.upstream.open)]
                self.endings[name] = what[1]
                desk.upstream.finish(name)
            case "leave" if desk.tasks:
                list(desk.tasks.values())[what[0] % len(desk.tasks)].cancel()
            case "turn":
                await asyncio.sleep(0)
            case "settle":
                await settle()
            case "pass":
                await desk.clock.run(what[0])
            case "uplink":
                desk.stage.uplink_changed(what[0])
        self.check()

    def check(self) -> None:
        desk = self.desk
        assert len(desk.upstream.open) <= PLACES
        assert sum(desk.stage.waiting().values()) <= 6
        under_way = [self.calls[name] for name in desk.upstream.open]
        talks = Counter((call.caller, call.request.conversation_id) for call in under_way)
        assert all(count == 1 for (_, conversation), count in talks.items() if conversation)

    async def end(self) -> None:
        """Everybody is served, turned away or gone, and nothing is held for anybody."""
        desk = self.desk
        for _ in range(100):
            desk.upstream.finish()
            await desk.clock.run(5.0)
        assert all(task.done() for task in desk.tasks.values())
        assert desk.is_empty, (desk.stage, desk.clock.timer_count)
        assert isinstance(desk.quota, Counted)
        assert 0 == desk.quota.open
        reached = [name for name in desk.tasks if self.calls[name].attempt_count]
        assert len(reached) == len(set(desk.upstream.order))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_no_interleaving_leaks_a_place_or_breaks_a_limit(steps: list[tuple[Any, ...]]) -> None:
    async def play() -> None:
        scene = Scene()
        for kind, *what in steps:
            await scene.step(kind, *what)
        await scene.end()

    asyncio.run(play())


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 3)), min_size=1, max_size=25),
)
def test_order_within_a_conversation_is_order_of_arrival(places: int, shapes: list[tuple[str, str, int]]) -> None:
    async def play() -> None:
        desk = Desk(places=places)
        calls = [
            desk.ask(f"{number}", caller=caller, conversation_id=conversation, priority=priority)
            for number, (caller, conversation, priority) in enumerate(shapes)
        ]
        await settle()
        await desk.served()
        for key in {(call.caller, call.request.conversation_id) for call in calls}:
            numbers = [
                int(name)
                for name in desk.upstream.order
                if (calls[int(name)].caller, calls[int(name)].request.conversation_id) == key
            ]
            assert sorted(numbers) == numbers
        assert len(shapes) == len(desk.upstream.order)

    asyncio.run(play())
