"""One upstream request for all who ask the same at the same time, and nobody depends on who began it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import builders
import pytest
from cache_bench import cache_config
from fakes.clock import FakeClock
from fakes.cloud import Cloud

from edgeclient.core.cache_events import AnswerReused, SharedCallPassedOn
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, OutOfTime, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.events import Event
from edgeclient.stages.coalesce import Coalesce
from edgeclient.v1 import chat_pb2

UPSTREAM, COALESCED = chat_pb2.RESPONSE_SOURCE_UPSTREAM, chat_pb2.RESPONSE_SOURCE_COALESCED


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


class Asked:
    """A call under way."""

    def __init__(self, call: Call, task: "asyncio.Task[Reply]", got: list[str]) -> None:
        self.call = call
        self.task = task
        self.got = got

    async def leave(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def error(self) -> CallError:
        with pytest.raises(CallError) as caught:
            await self.task
        return caught.value


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.cloud = Cloud()
        self.events: list[Event] = []
        config = cache_config(**settings)
        self.stage = Coalesce(config, realm="https://cloud", clock=self.clock, observe=self.events.append)
        self.all: list[Asked] = []

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def ask(self, *, stream: bool = False, stalled: asyncio.Event | None = None, **over: Any) -> Asked:
        """Begin a call, and let it come as far as it can."""
        fields = {"temperature": 0.0} | over.pop("fields", {})
        got: list[str] = []

        async def emit(delta: Delta) -> None:
            if stalled is not None:
                await stalled.wait()
            got.append(delta.content)

        number = len(self.all)
        call = builders.call(
            id=f"call-{number}", request=builders.chat_request(**fields), emit=emit if stream else None, **over
        )
        asked = Asked(call, asyncio.create_task(self.stage(call, self.cloud), name=call.id), got)
        self.all.append(asked)
        await turn()
        return asked

    def deadline(self, duration_s: float) -> Deadline:
        return Deadline.after(duration_s, now_s=self.clock.monotonic_s())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with asyncio.timeout(20):
        yield bench
    assert not [asked for asked in bench.all if not asked.task.done()], "a test leaves nobody waiting"
    assert {} == bench.stage._running


async def test_same_question_at_the_same_time_is_asked_once(bench: Bench) -> None:
    all_of_them = [await bench.ask() for _ in range(5)]
    bench.cloud.runs[0].answer("yes")
    replies = [await asked.task for asked in all_of_them]

    assert 1 == len(bench.cloud.runs)
    assert ["yes"] * 5 == [reply.response.message.content for reply in replies]
    assert [UPSTREAM, *[COALESCED] * 4] == [reply.response.source for reply in replies]
    assert 5 == len({id(reply.response) for reply in replies})


async def test_it_is_paid_for_once(bench: Bench) -> None:
    leader, follower = await bench.ask(), await bench.ask()
    bench.cloud.runs[0].answer()
    replies = [await leader.task, await follower.task]

    assert [(False, 1), (True, 0)] == [(each.call.shared, each.call.attempt_count) for each in (leader, follower)]
    assert [1, 0] == [reply.response.attempt_count for reply in replies]
    assert [9, 9] == [reply.response.usage.prompt_tokens for reply in replies]
    (event,) = bench.told(AnswerReused)
    assert ("coalesced", "call-1", 9) == (event.source, event.call_id, event.prompt_tokens)


async def test_next_call_after_the_end_is_a_new_one(bench: Bench) -> None:
    first = await bench.ask()
    bench.cloud.runs[0].answer()
    await first.task
    second = await bench.ask()
    bench.cloud.runs[1].answer("no")

    assert "no" == (await second.task).response.message.content


async def test_call_that_comes_while_the_answer_is_handed_out_joins_it(bench: Bench) -> None:
    first = await bench.ask()
    late: list[asyncio.Task[Reply]] = []
    second = builders.call(id="late", request=builders.chat_request(temperature=0.0))
    loop = asyncio.get_running_loop()

    def come() -> None:
        late.append(asyncio.create_task(bench.stage(second, bench.cloud)))

    loop.call_soon(loop.call_soon, come)  # its first step is after the end of the work, before the first hears of it
    bench.cloud.runs[0].answer("yes")
    assert UPSTREAM == (await first.task).response.source
    await turn()

    assert 1 == len(bench.cloud.runs)
    assert COALESCED == (await late[0]).response.source


async def test_work_that_answers_although_everybody_has_left_holds_up_nobody(bench: Bench) -> None:
    late: list[asyncio.Task[Reply]] = []
    first, second = (
        builders.call(id=name, request=builders.chat_request(temperature=0.0)) for name in ("first", "second")
    )

    def come() -> None:
        late.append(asyncio.create_task(bench.stage(second, bench.cloud)))

    async def stubborn(_call: Call) -> Reply:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_soon(come)  # its first step is before the first call hears of the end
        return Reply()

    leaving = asyncio.create_task(bench.stage(first, stubborn))
    await turn()
    leaving.cancel()
    await turn()
    bench.cloud.runs[0].answer("no")

    assert "no" == (await late[0]).response.message.content
    with pytest.raises(asyncio.CancelledError):
        await leaving


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1.0},
        {"cache_policy": chat_pb2.CACHE_POLICY_BYPASS},
        {"cache_policy": chat_pb2.CACHE_POLICY_REFRESH},
    ],
)
async def test_calls_that_want_an_answer_of_their_own_get_it(bench: Bench, fields: dict[str, Any]) -> None:
    both = [await bench.ask(fields=fields) for _ in range(2)]
    assert 2 == len(bench.cloud.runs)
    for run in bench.cloud.runs:
        run.answer()

    assert [UPSTREAM] * 2 == [(await asked.task).response.source for asked in both]


async def test_sampled_calls_are_shared_where_the_caller_asks_for_it(bench: Bench) -> None:
    fields = {"temperature": 1.0, "cache_policy": chat_pb2.CACHE_POLICY_USE}
    both = [await bench.ask(fields=fields) for _ in range(2)]
    bench.cloud.runs[0].answer()

    assert [UPSTREAM, COALESCED] == [(await asked.task).response.source for asked in both]


async def test_another_caller_has_a_request_of_its_own_at_once(bench: Bench) -> None:
    both = [await bench.ask(caller=caller) for caller in "ab"]
    assert 2 == len(bench.cloud.runs)
    for run in bench.cloud.runs:
        run.answer()

    assert [UPSTREAM] * 2 == [(await asked.task).response.source for asked in both]


async def test_operator_may_let_callers_share_and_may_switch_it_off() -> None:
    for settings, count in (({"shared": True}, 1), ({"coalesce": False}, 2)):
        bench = Bench(**settings)
        both = [await bench.ask(caller="b" if settings == {"shared": True} else "a") for _ in range(2)]
        assert count == len(bench.cloud.runs)
        for run in bench.cloud.runs:
            run.answer()
        for asked in both:
            await asked.task


async def test_pieces_go_to_all_streams_as_they_come(bench: Bench) -> None:
    both = [await bench.ask(stream=True) for _ in range(2)]
    run = bench.cloud.runs[0]
    for text in ("ye", "s"):
        await run.piece(text)
        await turn()
    run.answer("yes")
    for asked in both:
        await asked.task

    assert [["ye", "s"]] * 2 == [asked.got for asked in both]
    assert [UPSTREAM, COALESCED] == [asked.call.source for asked in both]


async def test_who_joins_in_the_middle_gets_what_there_was_at_once_and_the_rest_as_it_comes(bench: Bench) -> None:
    leader = await bench.ask(stream=True)
    run = bench.cloud.runs[0]
    for text in ("a", "b"):
        await run.piece(text)
        await turn()
    late = await bench.ask(stream=True)
    assert ["ab"] == late.got

    await run.piece("c")
    await turn()
    assert ["ab", "c"] == late.got
    run.answer("abc")
    await late.task
    await leader.task

    assert ["a", "b", "c"] == leader.got


async def test_unary_and_streamed_calls_share(bench: Bench) -> None:
    for leads_with_stream in (True, False):
        leader = await bench.ask(stream=leads_with_stream)
        follower = await bench.ask(stream=not leads_with_stream)
        run = bench.cloud.runs[-1]
        await run.piece("yes")
        run.answer("yes")

        assert ["yes", "yes"] == [(await each.task).response.message.content for each in (leader, follower)]
        assert ["yes"] == (leader.got or follower.got)
    assert 2 == len(bench.cloud.runs)


async def test_slow_reader_holds_up_nobody(bench: Bench) -> None:
    stalled = asyncio.Event()
    slow = await bench.ask(stream=True, stalled=stalled)
    quick = await bench.ask(stream=True)
    run = bench.cloud.runs[0]
    for text in ("a", "b", "c"):
        await run.piece(text)
        await turn()
    run.answer("abc")

    assert "abc" == (await quick.task).response.message.content
    assert [] == slow.got
    stalled.set()
    await slow.task
    assert "abc" == "".join(slow.got)


async def test_caller_whose_connection_breaks_fails_alone(bench: Bench) -> None:
    broken = await bench.ask(stream=True)
    good = await bench.ask(stream=True)

    async def emit(_delta: Delta) -> None:
        raise ConnectionError

    broken.call.emit = emit
    await bench.cloud.runs[0].piece("yes")
    with pytest.raises(ConnectionError):
        await broken.task
    bench.cloud.runs[0].answer("yes")

    assert "yes" == (await good.task).response.message.content


async def test_others_go_on_when_who_began_it_leaves(bench: Bench) -> None:
    leader, follower = await bench.ask(), await bench.ask()
    await leader.leave()
    assert not bench.cloud.runs[0].cancelled
    bench.cloud.runs[0].answer()

    assert "yes" == (await follower.task).response.message.content
    assert 1 == len(bench.cloud.runs)


async def test_bill_goes_to_who_is_left(bench: Bench) -> None:
    leader, second, third = [await bench.ask() for _ in range(3)]
    await leader.leave()
    bench.cloud.runs[0].answer()
    replies = [await second.task, await third.task]

    facts = [(each.call.shared, each.call.attempt_count) for each in (leader, second, third)]
    assert [(True, 0), (False, 1), (True, 0)] == facts
    assert [COALESCED, COALESCED] == [reply.response.source for reply in replies]


async def test_last_to_leave_ends_it_and_it_was_that_ones(bench: Bench) -> None:
    both = [await bench.ask() for _ in range(2)]
    for asked in both:
        await asked.leave()

    assert bench.cloud.runs[0].cancelled
    assert [0, 1] == [asked.call.attempt_count for asked in both]


async def test_who_comes_while_it_is_being_ended_begins_anew(bench: Bench) -> None:
    first = await bench.ask()
    first.task.cancel()
    second = await bench.ask()
    bench.cloud.runs[1].answer("no")

    assert "no" == (await second.task).response.message.content


async def test_follower_with_more_time_outlives_who_began_it(bench: Bench) -> None:
    leader = await bench.ask(deadline=bench.deadline(5))
    run = bench.cloud.runs[0]
    assert run.call.joinable
    assert leader.call.deadline == run.call.deadline
    follower = await bench.ask(deadline=bench.deadline(60))

    assert follower.call.deadline == run.call.deadline
    bench.cloud.runs[0].answer()
    await leader.task
    await follower.task


async def test_follower_keeps_to_its_own_time(bench: Bench) -> None:
    leader = await bench.ask(deadline=bench.deadline(60))
    hasty = await bench.ask(deadline=bench.deadline(0.01))
    bench.clock.advance(0.02)

    error = await hasty.error()

    assert ("DEADLINE", False) == (error.reason_name, error.possibly_billed)
    bench.cloud.runs[0].answer()
    assert "yes" == (await leader.task).response.message.content


async def test_who_began_it_keeps_to_its_own_time_as_well(bench: Bench) -> None:
    leader = await bench.ask(deadline=bench.deadline(0.01))
    follower = await bench.ask(deadline=bench.deadline(60))
    bench.clock.advance(0.02)

    error = await leader.error()

    assert ("DEADLINE", False) == (error.reason_name, error.possibly_billed)
    bench.cloud.runs[0].answer()
    assert "yes" == (await follower.task).response.message.content
    assert 1 == follower.call.attempt_count


async def test_last_one_whose_time_is_over_is_told_that_it_may_be_billed(bench: Bench) -> None:
    leader = await bench.ask(deadline=bench.deadline(60))
    hasty = await bench.ask(deadline=bench.deadline(0.01))
    await leader.leave()
    bench.clock.advance(0.02)

    assert (await hasty.error()).possibly_billed
    assert bench.cloud.runs[0].cancelled


async def test_last_one_whose_time_is_over_is_told_if_all_was_free(bench: Bench) -> None:
    leader = await bench.ask(deadline=bench.deadline(60))
    hasty = await bench.ask(deadline=bench.deadline(0.01))
    bench.cloud.runs[0].call.maybe_paid = False  # refused, and it waits for the next attempt
    await leader.leave()
    bench.clock.advance(0.02)

    assert not (await hasty.error()).possibly_billed


@pytest.mark.parametrize(
    "error",
    [
        Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused"),
        Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "429", retry_after_s=1.0),
        Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"),
        Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"),
    ],
)
async def test_what_the_provider_says_it_says_to_all(bench: Bench, error: CallError) -> None:
    both = [await bench.ask() for _ in range(2)]
    bench.cloud.runs[0].fail(error)

    assert [error, error] == [await asked.error() for asked in both]
    assert 1 == len(bench.cloud.runs)
    assert [1, 0] == [asked.call.attempt_count for asked in both]


LATE = OutOfTime(Reason.ERROR_REASON_DEADLINE, "late", possibly_billed=True)


async def test_failure_of_who_leads_makes_another_one_lead(bench: Bench) -> None:
    leader, second, third = [await bench.ask() for _ in range(3)]
    bench.cloud.runs[0].fail(LATE)
    assert "DEADLINE" == (await leader.error()).reason_name
    (await bench.cloud.asked(2)).answer()
    replies = [await second.task, await third.task]

    assert 2 == len(bench.cloud.runs)
    assert [UPSTREAM, COALESCED] == [reply.response.source for reply in replies]
    assert [("call-1", "DEADLINE")] == [(event.call_id, event.reason) for event in bench.told(SharedCallPassedOn)]
    assert [UPSTREAM, 1] == [second.call.source, second.call.attempt_count]


async def test_nobody_leads_whose_own_time_is_over(bench: Bench) -> None:
    await bench.ask()
    follower = await bench.ask(deadline=bench.deadline(5))
    bench.clock.advance(6)
    bench.cloud.runs[0].fail(LATE)

    assert "DEADLINE" == (await follower.error()).reason_name
    assert 1 == len(bench.cloud.runs)


async def test_who_has_seen_half_an_answer_gets_no_other_half(bench: Bench) -> None:
    leader = await bench.ask(stream=True)
    streaming = await bench.ask(stream=True)
    unary = await bench.ask()
    await bench.cloud.runs[0].piece("half")
    await turn()
    bench.cloud.runs[0].fail(LATE)
    assert "DEADLINE" == (await leader.error()).reason_name

    assert "UPSTREAM_INTERRUPTED" == (await streaming.error()).reason_name
    (await bench.cloud.asked(2)).answer()
    assert "yes" == (await unary.task).response.message.content


LIMITED = Throttled(Reason.ERROR_REASON_RATE_LIMITED, "limit of the caller", retry_after_s=1.0)


async def test_limit_of_one_caller_is_not_that_of_another() -> None:
    bench = Bench(shared=True)
    bench.cloud.sends = False
    one, same, other = [await bench.ask(caller=caller) for caller in "aab"]
    bench.cloud.runs[0].fail(LIMITED)

    assert ["RATE_LIMITED"] * 2 == [(await one.error()).reason_name, (await same.error()).reason_name]
    (await bench.cloud.asked(2)).answer()
    assert "yes" == (await other.task).response.message.content


async def test_defect_is_told_to_all(bench: Bench) -> None:
    both = [await bench.ask() for _ in range(2)]
    bench.cloud.runs[0].fail(ZeroDivisionError())

    for asked in both:
        with pytest.raises(ZeroDivisionError):
            await asked.task


async def test_higher_priority_does_not_queue_up_behind_a_lower_one(bench: Bench) -> None:
    bench.cloud.sends = False
    low = await bench.ask(fields={"priority": chat_pb2.PRIORITY_LOW})
    high = await bench.ask(fields={"priority": chat_pb2.PRIORITY_HIGH})
    normal = await bench.ask()
    assert 2 == len(bench.cloud.runs)
    bench.cloud.runs[1].answer("high")
    bench.cloud.runs[0].answer("low")

    assert ["low", "high", "high"] == [(await each.task).response.message.content for each in (low, high, normal)]


async def test_what_is_on_its_way_is_joined_whatever_its_priority(bench: Bench) -> None:
    both = [
        await bench.ask(fields={"priority": priority}) for priority in (chat_pb2.PRIORITY_LOW, chat_pb2.PRIORITY_HIGH)
    ]
    bench.cloud.runs[0].answer()
    for asked in both:
        await asked.task

    assert 1 == len(bench.cloud.runs)


async def test_deadline_that_is_put_off_meanwhile_is_kept_to(bench: Bench) -> None:
    keyed = await bench.ask(deadline=bench.deadline(0.05), joinable=True)
    keyed.call.deadline = bench.deadline(60)
    run = bench.cloud.runs[0]
    async with asyncio.timeout(10):
        while run.call.deadline != keyed.call.deadline:  # noqa: ASYNC110  the stage looks again by itself
            await asyncio.sleep(0)
    run.answer()

    await keyed.task


async def test_facts_of_the_attempt_are_those_of_who_pays(bench: Bench) -> None:
    asked = await bench.ask(stream=True)
    run = bench.cloud.runs[0]
    run.call.upstream_s, run.call.first_piece_at_s, run.call.queued_s = 2.0, 1001.0, 0.5
    run.answer()
    await asked.task

    call = asked.call
    assert (2.0, 1001.0, 0.5, "dashscope") == (call.upstream_s, call.first_piece_at_s, call.queued_s, call.target)


async def test_everybody_learns_which_model_has_answered() -> None:
    stage = Coalesce(cache_config(), realm="https://cloud", clock=FakeClock(), observe=lambda _event: None)
    go = asyncio.Event()

    async def stand_in(call: Call, /) -> Reply:
        call.attempt_count = 1
        await go.wait()
        call.model, call.served_as = builders.model(id="qwen-flash"), "qwen-flash-us"
        return Reply(response=chat_pb2.ChatResponse(model="qwen-flash-us"))

    calls = [builders.call(id=str(number), request=builders.chat_request(temperature=0.0)) for number in range(2)]
    tasks = [asyncio.ensure_future(stage(call, stand_in)) for call in calls]
    await turn()
    go.set()
    await asyncio.gather(*tasks)

    assert [builders.model(id="qwen-flash")] * 2 == [call.model for call in calls]
    assert ["qwen-flash-us"] * 2 == [call.served_as for call in calls]
