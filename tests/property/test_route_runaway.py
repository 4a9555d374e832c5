"""Whatever fails and in whatever order: nothing runs away, and nothing is paid for twice that must not be."""

import asyncio
from random import Random

import builders
from fakes.targets import FakeTarget, Outcome, Routed, says
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclient.config.route_schema import RouteConfig
from edgeclient.core.call import Call, Delta, Reply
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
from edgeclient.policy.retry_budget import FLOOR, SHARE_PERCENT

MAX_ATTEMPTS = 3
ERRORS: list[tuple[type[CallError], Reason.ValueType]] = [
    (Throttled, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED),
    (Unavailable, Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE),
    (Unavailable, Reason.ERROR_REASON_UPLINK_OFFLINE),
    (Uncertain, Reason.ERROR_REASON_UPSTREAM_TIMEOUT),
    (Uncertain, Reason.ERROR_REASON_UPSTREAM_INTERRUPTED),
    (Blocked, Reason.ERROR_REASON_UPSTREAM_CREDENTIALS),
    (ModelBlocked, Reason.ERROR_REASON_MODEL_NOT_FOUND),
    (Rejected, Reason.ERROR_REASON_CONTENT_BLOCKED),
    (OutOfTime, Reason.ERROR_REASON_DEADLINE),
    (Stopping, Reason.ERROR_REASON_SHUTTING_DOWN),
]
FREE = (Throttled, Unavailable, Blocked)

Fault = tuple[tuple[type[CallError], Reason.ValueType], bool, bool]
faults: st.SearchStrategy[Fault] = st.tuples(st.sampled_from(ERRORS), st.booleans(), st.booleans())
"""What fails, whether after a first piece, and whether nothing was sent."""
kinds = st.sampled_from(["live", "stream", "keyed", "job", "restart"])


class Attempt:
    """One that was begun, and what had been before it."""

    def __init__(self, call: Call) -> None:
        self.call_id = call.id
        self.committed = call.committed
        self.possibly_billed = call.possibly_billed_count > 0
        self.sent = True
        self.error: CallError | None = None


class World:
    """Targets that fail as drawn."""

    def __init__(self, script: list[Fault], *, target_count: int, local: bool) -> None:
        self.attempts: list[Attempt] = []
        self.script = script
        self.targets = [FakeTarget(f"t{number}", tier=number % 2) for number in range(target_count)]
        if local:
            self.targets.append(FakeTarget("here", local=True))
        for each in self.targets:
            each.always = self._next(each)
        config = RouteConfig(
            fallback_models={"qwen-plus": "qwen-flash"},
            fall_back_on=["throttled", "unavailable", "timeout", "blocked"],
        )
        self.routed = Routed(*self.targets, config=config, max_attempts=MAX_ATTEMPTS, rng=Random(3))

    def _next(self, target: FakeTarget) -> Outcome:
        async def happen(call: Call) -> None:
            attempt = Attempt(call)
            self.attempts.append(attempt)
            await asyncio.sleep(0)
            if not self.script:
                return
            (kind, reason), after_a_piece, unsent = self.script.pop()
            attempt.error = kind(reason, "as drawn", retry_after_s=0.0)
            if unsent and kind is Unavailable:
                call.upstream_s -= target.sent_s
                attempt.sent = False
            if after_a_piece and kind is Uncertain:
                await says("Yes")(call)
            raise attempt.error

        return happen

    async def ask(self, kind: str, number: int) -> tuple[str, Call, Reply | CallError]:
        async def emit(delta: Delta) -> None: ...

        request = builders.chat_request(
            idempotency_key="k" if kind == "keyed" else "", restart_stream=kind == "restart"
        )
        call = builders.call(
            id=str(number),
            request=request,
            emit=emit if kind in ("stream", "restart") else None,
            background=kind == "job",
        )
        road = self.routed.route if kind == "job" else self.routed.with_retry
        try:
            return kind, call, await road(call)
        except CallError as error:
            return kind, call, error


@settings(max_examples=150, deadline=None)
@given(
    script=st.lists(faults, max_size=120),
    asked=st.lists(kinds, min_size=1, max_size=60),
    target_count=st.integers(1, 4),
    local=st.booleans(),
    together=st.booleans(),
)
def test_nothing_runs_away(
    script: list[Fault], asked: list[str], *, target_count: int, local: bool, together: bool
) -> None:
    async def live() -> tuple[World, list[tuple[str, Call, Reply | CallError]]]:
        world = World(script, target_count=target_count, local=local)
        calls = [world.ask(kind, number) for number, kind in enumerate(asked)]
        return world, list(await asyncio.gather(*calls)) if together else [await each for each in calls]

    world, outcomes = asyncio.run(live())

    repeats = 0
    for kind, call, outcome in outcomes:
        own = [each for each in world.attempts if each.call_id == call.id]
        assert len(own) == call.attempt_count <= MAX_ATTEMPTS
        repeats += sum(before.sent for before in own[:-1])
        for before in own[:-1]:
            assert isinstance(before.error, FREE) or (
                isinstance(before.error, Uncertain) and kind not in ("keyed", "job")
            )
        assert kind == "restart" or not any(each.committed for each in own)
        assert kind not in ("keyed", "job") or not any(each.possibly_billed for each in own)
        lost = sum(isinstance(each.error, Uncertain) for each in own)
        assert lost == call.possibly_billed_count
        if isinstance(outcome, CallError):
            assert (lost > 0) is outcome.possibly_billed
        else:
            assert lost == outcome.response.possibly_billed_count
            assert kind != "job" or outcome.response.model == "qwen-plus"
            assert kind != "job" or outcome.response.target != "here"
    assert repeats <= FLOOR + len(asked) * SHARE_PERCENT // 100
