"""Calls with keys in a line, with crashes at any moment: a key is paid once at most, and only what was sent is lost."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import builders
from fakes.clock import FakeClock
from fakes.spool import MemorySpool
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, Reason, Unavailable, Uncertain
from edgeclient.core.events import Uplink
from edgeclient.core.job_feed import JobFeed
from edgeclient.stages.idempotency import Idempotency
from edgeclient.v1 import chat_pb2

T = TypeVar("T")
KEYS = ("a", "b", "c")
FREE = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503")
AGAIN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503, and there is another attempt")
LOST = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut")


class Line:
    """One call at a time, in the hands of the test.

    Attributes:
        waiting: The turns that were not given yet.
        sent: What has left and has not ended.
        paid: How often a key was, or may have been.
    """

    def __init__(self, paid: Counter[str]) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.sent: dict[str, asyncio.Future[Reply]] = {}
        self.paid = paid

    async def __call__(self, call: Call) -> Reply:
        while True:
            try:
                return await self._attempt(call)
            except Unavailable as error:
                self.paid[call.request.idempotency_key] -= 1
                if call.after_free is not None and self.paid[call.request.idempotency_key] == 0:
                    await call.after_free()
                if error is not AGAIN:
                    raise

    async def _attempt(self, call: Call) -> Reply:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn
        finally:
            self.waiting = [each for each in self.waiting if each is not turn]
        assert call.before_send is not None
        await call.before_send()
        key = call.request.idempotency_key
        call.attempt_count += 1
        call.maybe_paid = True
        self.paid[key] += 1
        ending: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.sent[key] = ending
        try:
            return await ending
        finally:
            del self.sent[key]


class KeyedCalls(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.paid: Counter[str] = Counter()
        self.answers: dict[str, str] = {}
        self.asked: list[tuple[str, asyncio.Task[Reply]]] = []
        self.count = 0
        self.runner.run(self._begin(MemorySpool(clock=self.clock)))

    async def _begin(self, spool: MemorySpool) -> None:
        self.spool, self.line = spool, Line(self.paid)
        self.stage = Idempotency(spool, JobFeed(spool), SpoolConfig(), uplink=lambda: Uplink.ONLINE, clock=self.clock)

    def do(self, work: Coroutine[Any, Any, T]) -> None:
        """Do it, and let all that can happen then happen."""

        async def settled() -> None:
            await work
            for _ in range(20):
                await asyncio.sleep(0)

        self.runner.run(settled())
        self.asked = [(key, task) for key, task in self.asked if not self._judged(key, task)]

    def _judged(self, key: str, task: "asyncio.Task[Reply]") -> bool:
        """Whether it has ended; then it was told the truth."""
        if not task.done():
            return False
        error = None if task.cancelled() else task.exception()
        if isinstance(error, CallError):
            assert error.possibly_billed == (error.reason != FREE.reason), error
            assert not error.possibly_billed or self.paid[key], "nothing was sent under this key, and it is called lost"
        elif not task.cancelled():
            assert error is None, error
            text = task.result().response.message.content
            assert text == self.answers.setdefault(key, text)
        return True

    @rule(key=st.sampled_from(KEYS))
    def ask(self, key: str) -> None:
        self.count += 1
        request = builders.chat_request(prompt=key, idempotency_key=key)
        call = builders.call(id=f"call-{self.count}", request=request)

        async def ask() -> None:
            self.asked.append((key, asyncio.create_task(self.stage(call, self.line), name=call.id)))

        self.do(ask())

    @precondition(lambda self: self.line.waiting)
    @rule(place=st.integers(0, 9))
    def turn_comes(self, place: int) -> None:
        async def let_go() -> None:
            self.line.waiting[place % len(self.line.waiting)].set_result(None)

        self.do(let_go())

    @precondition(lambda self: self.line.sent)
    @rule(place=st.integers(0, 9), end=st.sampled_from([None, FREE, AGAIN, LOST]))
    def ends(self, place: int, end: CallError | None) -> None:
        async def let_end() -> None:
            key, ending = list(self.line.sent.items())[place % len(self.line.sent)]
            if end is None:
                message = chat_pb2.Message(content=f"answer {self.count} to {key}")
                ending.set_result(Reply(response=chat_pb2.ChatResponse(message=message)))
            else:
                ending.set_exception(end)

        self.do(let_end())

    @precondition(lambda self: self.asked)
    @rule(place=st.integers(0, 9))
    def leaves(self, place: int) -> None:
        async def leave() -> None:
            self.asked[place % len(self.asked)][1].cancel()

        self.do(leave())

    @rule()
    def crashes(self) -> None:
        async def crash() -> None:
            after, tasks = self.spool.reopened(), [task for _, task in self.asked]
            self.asked.clear()
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await self._begin(after)

        self.do(crash())

    @invariant()
    def no_key_is_paid_twice(self) -> None:
        assert all(count <= 1 for count in self.paid.values()), self.paid

    @invariant()
    def only_what_was_sent_is_on_record(self) -> None:
        keys = {row.job.idempotency_key for row in self.spool._rows.values()}
        assert keys <= {key for key, count in self.paid.items() if count}

    def teardown(self) -> None:
        for _, task in self.asked:
            task.cancel()
        self.runner.close()


TestKeyedCalls = KeyedCalls.TestCase
TestKeyedCalls.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
