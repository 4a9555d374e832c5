"""Who shares a call has its own intent to store before that is sent: one that has paid a part may not pay again."""

import asyncio

import builders
import pytest
from cache_bench import cache_config
from fakes.clock import FakeClock
from fakes.cloud import Cloud

from edgeclient.core.call import Call, Reply
from edgeclient.stages.coalesce import Coalesce


class NotNowError(Exception):
    """Of whoever was asked."""


class Intent:
    """What a call has to do first."""

    def __init__(self, *, fails: bool = False) -> None:
        self.count = 0
        self.fails = fails
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> None:
        self.count += 1
        await self.go.wait()
        if self.fails:
            raise NotNowError


class Bench:
    def __init__(self) -> None:
        self.cloud = Cloud()
        self.turn = asyncio.Event()
        self._stage = Coalesce(cache_config(), realm="https://cloud", clock=FakeClock(), observe=lambda _event: None)
        self._count = 0

    async def ask(self, intent: Intent | None, taken_back: Intent | None = None) -> "asyncio.Task[Reply]":
        """Begin a call, and let it come as far as it can."""
        self._count += 1
        call = builders.call(id=f"call-{self._count}", request=builders.chat_request(temperature=0.0))
        call.before_send, call.after_free = intent, taken_back
        task = asyncio.create_task(self._stage(call, self._line), name=call.id)
        await settled()
        return task

    async def _line(self, call: Call) -> Reply:
        await self.turn.wait()
        if call.before_send is not None:
            await call.before_send()
        return await self.cloud(call)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_all_who_share_a_call_store_their_intent_when_its_turn_comes_and_before_it_is_sent() -> None:
    bench, intents = Bench(), [Intent(), Intent()]
    intents[1].go.clear()
    tasks = [await bench.ask(intent) for intent in (*intents, None)]
    in_line = [intent.count for intent in intents]

    bench.turn.set()
    await settled()
    begun, sent = [intent.count for intent in intents], len(bench.cloud.runs)
    intents[1].go.set()
    (await bench.cloud.asked(1)).answer("yes")

    assert ([0, 0], [1, 1], 0) == (in_line, begun, sent)
    assert ["yes"] * 3 == [reply.response.message.content for reply in await asyncio.gather(*tasks)]


async def test_who_joins_what_was_sent_stores_its_intent_at_once() -> None:
    bench, late = Bench(), Intent()
    bench.turn.set()
    first = await bench.ask(None)
    second = await bench.ask(late)
    (await bench.cloud.asked(1)).answer()

    await asyncio.gather(first, second)
    assert (1, 1) == (late.count, len(bench.cloud.runs))


@pytest.mark.parametrize("place", [0, 1])
async def test_who_cannot_store_its_intent_takes_no_part_and_the_others_go_on(place: int) -> None:
    bench, intents = Bench(), [Intent(), Intent()]
    intents[place].fails = True
    tasks = [await bench.ask(intent) for intent in intents]
    bench.turn.set()
    (await bench.cloud.asked(1)).answer("yes")

    with pytest.raises(NotNowError):
        await tasks[place]
    assert "yes" == (await tasks[1 - place]).response.message.content


async def test_all_who_share_a_call_take_their_intent_back_after_an_attempt_that_was_free() -> None:
    bench, taken_back = Bench(), Intent()
    bench.turn.set()
    tasks = [await bench.ask(Intent(), taken_back) for _ in range(2)]
    run = await bench.cloud.asked(1)
    assert run.call.after_free is not None
    await run.call.after_free()
    late = Intent()
    tasks.append(await bench.ask(late))
    unsent = late.count
    assert run.call.before_send is not None
    await run.call.before_send()
    run.answer()

    await asyncio.gather(*tasks)
    assert (2, 0, 1) == (taken_back.count, unsent, late.count)


async def test_nothing_is_sent_where_nobody_can_store_its_intent() -> None:
    bench = Bench()
    tasks = [await bench.ask(Intent(fails=True)) for _ in range(2)]
    bench.turn.set()

    for task in tasks:
        with pytest.raises(NotNowError):
            await task
    assert [] == bench.cloud.runs


async def test_who_joins_what_was_sent_and_cannot_store_its_intent_takes_no_part() -> None:
    bench = Bench()
    bench.turn.set()
    first = await bench.ask(None)
    late = await bench.ask(Intent(fails=True))

    with pytest.raises(NotNowError):
        await late
    (await bench.cloud.asked(1)).answer("yes")
    assert "yes" == (await first).response.message.content
