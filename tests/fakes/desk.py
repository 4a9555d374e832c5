"""The stage `Dispatch` with everything around it under the test's control."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import count
from typing import Any, TypeVar

import builders
from fakes.timed_clock import TimedClock, settle

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.dispatch_events import CallTurnedAway
from edgeclient.core.errors import CallError
from edgeclient.core.events import Event
from edgeclient.policy.quota import Demand, Quota, Spent
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.v1 import chat_pb2

Fact = TypeVar("Fact", bound=Event)

_CONFIG = {spec.name for spec in fields(DispatchConfig)}


class Upstream:
    """Takes as long as it is told and answers, or fails.

    Attributes:
        takes_s: How long an attempt takes; None: until `finish`.
        errors: What the next attempts fail with, in turn.
        sends: Whether an attempt gets as far as the provider.
        order: Ids of calls as they came.
        most: Most of them at one time.
    """

    def __init__(self, clock: TimedClock) -> None:
        self.takes_s: float | None = None
        self.errors: list[CallError] = []
        self.sends = True
        self.order: list[str] = []
        self.most = 0
        self._clock = clock
        self._open: dict[str, asyncio.Future[None]] = {}

    async def __call__(self, call: Call) -> Reply:
        call.attempt_count += 1
        self.order.append(call.id)
        begun_s = self._clock.monotonic_s()
        self._open[call.id] = done = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self._open))
        try:
            if self.takes_s is None:
                await done
            else:
                await self._clock.sleep(self.takes_s)
        finally:
            del self._open[call.id]
            if self.sends:
                call.upstream_s += self._clock.monotonic_s() - begun_s + 1e-6
        if self.errors:
            raise self.errors.pop(0)
        usage = chat_pb2.Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
        return Reply(response=chat_pb2.ChatResponse(usage=usage))

    @property
    def open(self) -> list[str]:
        """Ids of calls under way."""
        return list(self._open)

    def finish(self, *ids: str) -> None:
        """End these attempts; none named: all."""
        for call_id in ids or self.open:
            if not self._open[call_id].done():
                self._open[call_id].set_result(None)


class Desk:
    """`Desk(places=2, max_waiting=10)`; other settings are those of `[dispatch]`."""

    def __init__(self, *, places: int = 1, quota: Callable[[TimedClock], Quota] | None = None, **over: Any) -> None:
        assert over.keys() <= _CONFIG
        self.clock = TimedClock()
        self.peer_limit: int | None = None
        self.events: list[Event] = []
        self.upstream = Upstream(self.clock)
        self.quota = quota(self.clock) if quota else None
        self.tokens: Counter[str] = Counter()
        self.stage = Dispatch(
            DispatchConfig(**over),
            target="dashscope",
            max_in_flight=places,
            peer_limit=lambda: self.peer_limit,
            reservations=Reservations(self.quota, demand=self._demand, spent=_spent),
            observe=self.events.append,
            clock=self.clock,
            call_later=self.clock.call_later,
        )
        self.forward: Handler = self.upstream
        self.tasks: dict[str, asyncio.Task[Reply]] = {}
        self._names = self._numbered()

    def _demand(self, call: Call) -> Demand:
        model = call.model.id if call.model else ""
        return Demand(model=model, caller=call.caller, tokens=self.tokens[call.id] or 10, cost_nanos=0)

    def ask(
        self,
        name: str = "",
        *,
        within_s: float | None = None,
        tokens: int = 0,
        model: str = "qwen-plus",
        caller: str = "device-7",
        background: bool = False,
        **request: Any,
    ) -> Call:
        """A call sets out, as a task of its own; `name` is its id."""
        name = name or next(self._names)
        self.tokens[name] = tokens
        deadline = Deadline() if within_s is None else Deadline.after(within_s, now_s=self.clock.monotonic_s())
        call = builders.call(
            id=name,
            caller=caller,
            deadline=deadline,
            background=background,
            model=builders.model(id=model),
            request=builders.chat_request(**request),
        )
        self.again(call)
        return call

    def again(self, call: Call) -> None:
        """A call sets out, perhaps once more."""
        task = asyncio.ensure_future(self.stage(call, self.forward))
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self.tasks[call.id] = task

    async def asked(self, *names: str, **over: Any) -> None:
        """Calls set out one after the other and come as far as they can."""
        for name in names:
            self.ask(name, **over)
            await settle()

    async def failure(self, name: str) -> CallError:
        """What a call has ended with, now."""
        await settle()
        task = self.tasks[name]
        assert task.done(), f"{name} waits"
        error = task.exception()
        assert isinstance(error, CallError), f"{name} was answered"
        return error

    async def served(self, *, one_by_one: bool = True) -> list[str]:
        """End all attempts as they come; returns the order in which they did, from now on."""
        begun = len(self.upstream.order)
        while self.upstream.open:
            self.upstream.finish(*self.upstream.open[: 1 if one_by_one else None])
            await settle()
        return self.upstream.order[begun:]

    def told(self, kind: type[Fact]) -> list[Fact]:
        """Events of a type, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def turned_away(self) -> dict[str, str]:
        """Why calls were turned away, by id."""
        return {event.call_id: event.cause for event in self.told(CallTurnedAway)}

    @property
    def is_empty(self) -> bool:
        """Nobody waits, nobody is under way, and no timer is left."""
        return not self.stage.in_flight and not sum(self.stage.waiting().values()) and not self.clock.timer_count

    @staticmethod
    def _numbered() -> Iterator[str]:
        return (f"call-{number}" for number in count())


def _spent(_call: Call, reply: Reply) -> Spent:
    return Spent(tokens=reply.response.usage.total_tokens, cost_nanos=0)
