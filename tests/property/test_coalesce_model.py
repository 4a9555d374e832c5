"""Whoever comes, leaves or fails, and in whatever order: one request at a time, and everybody is answered or told.

The model is what a caller may expect. Its invariants are checked after every step: per content at most one upstream
request runs, none runs that nobody waits for, and nobody has gone on waiting whose request has ended.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import builders
from cache_bench import cache_config
from fakes.clock import FakeClock
from fakes.cloud import Cloud
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.errors import CallError, OutOfTime, Reason, Rejected, Uncertain
from edgeclient.stages.coalesce import Coalesce

PROMPTS = ("a", "b")
FAILURES = (
    Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused"),
    OutOfTime(Reason.ERROR_REASON_DEADLINE, "late", possibly_billed=True),
    Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "lost"),
)

Step = tuple[Any, ...]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from(PROMPTS), st.sampled_from(["x", "y"]), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("piece"), st.integers(0, 5)),
        st.tuples(st.just("answer"), st.integers(0, 5)),
        st.tuples(st.just("fail"), st.integers(0, 5), st.sampled_from(range(len(FAILURES)))),
    ),
    max_size=40,
)


class World:
    def __init__(self, *, shared: bool) -> None:
        self.cloud = Cloud()
        self.shared = shared
        self.stage = Coalesce(cache_config(shared=shared), realm="r", clock=FakeClock(), observe=lambda _: None)
        self.calls: list[tuple[Call, asyncio.Task[Reply], list[str]]] = []

    async def step(self, step: Step) -> None:
        kind, *values = step
        if kind == "join":
            self.join(*values)
        elif kind == "leave":
            waiting = [task for _, task, _ in self.calls if not task.done()]
            if waiting:
                waiting[values[0] % len(waiting)].cancel()
        elif self.cloud.running:
            run = self.cloud.running[values[0] % len(self.cloud.running)]
            if kind == "piece":
                await run.piece("p")
            elif kind == "answer":
                run.answer("p" * 10)
            else:
                run.fail(FAILURES[values[1]])
        for _ in range(30):
            await asyncio.sleep(0)
        self.check()

    def join(self, prompt: str, caller: str, stream: bool) -> None:  # noqa: FBT001  drawn as a value
        got: list[str] = []

        async def emit(delta: Delta) -> None:
            got.append(delta.content)

        request = builders.chat_request(prompt=prompt, temperature=0.0)
        call = builders.call(
            id=f"call-{len(self.calls)}", request=request, caller=caller, emit=emit if stream else None
        )
        self.calls.append((call, asyncio.create_task(self.stage(call, self.cloud), name=call.id), got))

    def partition(self, call: Call) -> tuple[str, str]:
        return call.request.prompt, "" if self.shared else call.caller

    def check(self) -> None:
        running = Counter(self.partition(run.call) for run in self.cloud.running)
        waiting = {self.partition(call) for call, task, _ in self.calls if not task.done()}
        assert set(running) == waiting
        assert all(count == 1 for count in running.values())

    async def end(self) -> None:
        while self.cloud.running:
            await self.step(("answer", 0))
        answered = 0
        for call, task, got in self.calls:
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                answered += 1
                assert task.result().response.message.content == "p" * 10
                assert call.emit is None or got, "a stream gets its answer in pieces, too"
            else:
                assert isinstance(error, CallError)
        paid = sum(not call.shared for call, task, _ in self.calls if not task.cancelled() and not task.exception())
        good = sum(run.over and not run.cancelled and run.ending.exception() is None for run in self.cloud.runs)
        assert paid <= good
        assert not answered or paid
        assert {} == self.stage._running


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, shared=st.booleans())
def test_one_request_at_a_time_and_everybody_is_answered_or_told(steps: list[Step], shared: bool) -> None:  # noqa: FBT001
    async def life() -> None:
        world = World(shared=shared)
        try:
            for step in steps:
                await world.step(step)
            await world.end()
        finally:
            for _, task, _ in world.calls:
                task.cancel()
                with suppress(BaseException):
                    await task

    asyncio.run(life())
