"""Targets that answer by script, and the route over them."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from fakes.clock import FakeClock

from edgeclient.config.models import built_in_models
from edgeclient.config.route_schema import RouteConfig
from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call, Delta, Handler, Reply, road
from edgeclient.core.errors import CallError
from edgeclient.core.events import Event, Uplink
from edgeclient.core.models import Catalogue, ModelSpec
from edgeclient.core.ports import Clock
from edgeclient.core.target import Target
from edgeclient.policy.retry_budget import RetryBudget
from edgeclient.upstream.retry import Retry
from edgeclient.upstream.route import Route
from edgeclient.v1 import chat_pb2

Outcome = CallError | Callable[[Call], Awaitable[None]] | None
"""What becomes of an attempt: an error, something that is done before the answer, or the answer."""


class FakeTarget:
    """One way to an answer.

    Attributes:
        script: What becomes of each attempt in turn; after that the attempts are answered.
        always: What becomes of each attempt whose turn is not in the script.
        asked: The models of the attempts.
        refuses_before: Nothing is sent: the errors of the script are of this node's own line.
        sent_s: Time that an attempt takes, on the clock of the calls; 0.0: it is never sent.
        waits_s: How long a call would wait for its turn.
        uplink: What is believed of the way.
        probes: What probes get; empty: an answer.
        probe_count: How many were made.
    """

    def __init__(self, name: str = "a", **facts: Any) -> None:
        self.name = name
        self.script: list[Outcome] = []
        self.always: Outcome = None
        self.asked: list[str] = []
        self.refuses_before = False
        self.sent_s = 0.25
        self.waits_s = 0.0
        self.uplink = Uplink.ONLINE
        self.probes: list[bool] = []
        self.probe_count = 0
        self.models: set[str] | None = None
        self.target = Target(
            name=name,
            serves=lambda model_id: model_id if self.models is None or model_id in self.models else None,
            attempt=self._attempt,
            wait_s=lambda _call, _now_s: self.waits_s,
            uplink=lambda: self.uplink,
            probe=self._probe,
            **({"account": name} | facts),
        )

    async def _attempt(self, call: Call) -> Reply:
        assert call.model is not None
        outcome = self.script.pop(0) if self.script else self.always
        if self.refuses_before and isinstance(outcome, CallError):
            raise outcome
        call.attempt_count += 1
        call.target = self.name
        call.upstream_s += self.sent_s
        self.asked.append(call.model.id)
        if isinstance(outcome, CallError):
            raise outcome
        if outcome is not None:
            await outcome(call)
        message = chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=f"from {self.name}")
        return Reply(
            response=chat_pb2.ChatResponse(
                message=message, model=call.model.id, target=self.name, attempt_count=call.attempt_count
            )
        )

    async def _probe(self) -> bool:
        self.probe_count += 1
        return self.probes.pop(0) if self.probes else True


def says(*pieces: str, then: CallError | None = None) -> Callable[[Call], Awaitable[None]]:
    """An attempt that hands on these pieces and ends as told."""

    async def speak(call: Call) -> None:
        for piece in pieces:
            call.first_piece_at_s = call.first_piece_at_s or 1.0
            if call.emit is not None:
                call.committed = True
                await call.emit(Delta(content=piece))
        if then is not None:
            raise then

    return speak


class NoPause(Random):
    """Draws the shortest pause there is."""

    def random(self) -> float:
        return 0.0


class Routed:
    """A route over targets, with the retry stage before it.

    Attributes:
        clock: What time it is, unless a clock was given.
        events: What was observed.
        asked: All attempts, as target/model.
    """

    def __init__(
        self,
        *targets: FakeTarget,
        config: RouteConfig | None = None,
        max_attempts: int = 3,
        permits: Callable[[Call, ModelSpec], bool] = lambda _call, _model: True,
        rng: Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.targets = targets
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.budget = RetryBudget()
        self.route = Route(
            config or RouteConfig(),
            [each.target for each in targets],
            max_attempts=max_attempts,
            catalogue=Catalogue(built_in_models(), default="qwen-plus"),
            permits=permits,
            budget=self.budget,
            observe=self.events.append,
            clock=clock or self.clock,
            rng=rng or Random(1),
        )
        upstream = UpstreamConfig(max_attempts=max_attempts, retry_initial_s=0.01, retry_max_s=0.01)
        self.retry = Retry(
            upstream, observe=self.events.append, clock=clock or self.clock, rng=NoPause(), budget=self.budget
        )
        self.with_retry: Handler = road(self.retry, to=self.route)

    @property
    def asked(self) -> list[str]:
        return [f"{each.name}/{model}" for each in self.targets for model in each.asked]

    def seen(self, *kinds: type[Event]) -> Sequence[Event]:
        return [event for event in self.events if isinstance(event, kinds)]
