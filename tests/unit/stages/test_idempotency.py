"""One bill per key, whoever asks, however often, and whoever leaves."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import builders
import pytest
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, OutOfTime, Reason, Rejected, Unavailable, Uncertain
from edgeclient.core.events import Uplink
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.jobs import JobKind, JobState, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.stages.idempotency import Idempotency
from edgeclient.v1 import chat_pb2


class Provider(Protocol):
    calls: list[Call]
    called: asyncio.Event
    go: asyncio.Event
    errors: list[CallError]
    cancelled_count: int
    charges: bool
    pieces: tuple[str, ...]

    async def __call__(self, call: Call, /) -> Reply: ...


class Link(Protocol):
    state: Uplink

    def __call__(self) -> Uplink: ...


Ask = Callable[..., "asyncio.Task[Reply]"]


@pytest.fixture
def stage(spool: MemorySpool, feed: JobFeed, link: Link, clock: FakeClock) -> Idempotency:
    return Idempotency(spool, feed, SpoolConfig(), uplink=link, clock=clock)


@pytest.fixture
def ask(stage: Idempotency, provider: Provider) -> Ask:
    """Begin a call with key k; what differs from the builder's call is given."""
    numbers = iter(range(1000))

    def begin(
        prompt: str = "hi",
        key: str = "k",
        fields: dict[str, Any] | None = None,
        call: Call | None = None,
        **over: Any,
    ) -> Any:
        request = builders.chat_request(prompt=prompt, idempotency_key=key, **(fields or {}))
        call = call or builders.call(id=f"call-{next(numbers)}", request=request, **over)
        return asyncio.create_task(stage(call, provider), name=call.id)

    return begin


@pytest.fixture
def restarted(spool: MemorySpool, feed: JobFeed, link: Link, clock: FakeClock) -> Callable[[], Idempotency]:
    """The stage after a crash of the node."""
    return lambda: Idempotency(spool.reopened(), feed, SpoolConfig(), uplink=link, clock=clock)


async def refusal(task: "asyncio.Task[Reply]") -> CallError:
    with pytest.raises(CallError) as caught:
        await task
    return caught.value


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def job(**over: Any) -> NewJob:
    request = over.pop("request", builders.chat_request(prompt="hi", idempotency_key="k"))
    facts: dict[str, Any] = {"id": "job-1", "caller": "device-7", "kind": JobKind.JOB, "idempotency_key": "k"}
    return NewJob(**(facts | {"request": request, "digest": content_digest(request)} | over))


async def test_call_without_key_leaves_no_record(ask: Ask, spool: MemorySpool) -> None:
    await ask(key="")

    assert spool.stats().accepted_total == 0


async def test_repeat_is_answered_from_the_record(ask: Ask, provider: Provider) -> None:
    first, second = await ask(), await ask()

    assert len(provider.calls) == 1
    assert first.response.source == chat_pb2.RESPONSE_SOURCE_UPSTREAM
    assert second.response.source == chat_pb2.RESPONSE_SOURCE_REPLAY
    assert first.response.message == second.response.message
    assert second.response.attempt_count == 0


async def test_record_outlives_a_crash(ask: Ask, restarted: Callable[[], Idempotency], provider: Provider) -> None:
    await ask()
    after = restarted()
    call = builders.call(id="later", request=builders.chat_request(prompt="hi", idempotency_key="k"))

    reply = await after(call, provider)

    assert reply.response.source == chat_pb2.RESPONSE_SOURCE_REPLAY
    assert call.shared
    assert len(provider.calls) == 1


async def test_other_content_is_refused_while_the_call_runs_and_afterwards(ask: Ask, provider: Provider) -> None:
    provider.go.clear()
    leader = ask()
    await provider.called.wait()

    during = await refusal(ask(prompt="something else"))
    provider.go.set()
    await leader
    after = await refusal(ask(prompt="something else"))

    assert ["IDEMPOTENCY_KEY_REUSED"] * 2 == [during.reason_name, after.reason_name]


async def test_delivery_is_not_content(ask: Ask, provider: Provider) -> None:
    await ask()
    await ask(fields={"label": "again", "priority": chat_pb2.PRIORITY_HIGH})

    assert len(provider.calls) == 1


async def test_keys_are_private_to_a_caller(ask: Ask, provider: Provider) -> None:
    await ask(caller="a")
    await ask(caller="b", prompt="something else")

    assert len(provider.calls) == 2


async def test_followers_get_the_same_answer_in_a_copy_of_their_own(ask: Ask, provider: Provider) -> None:
    provider.go.clear()
    tasks = [ask() for _ in range(5)]
    await provider.called.wait()
    await turn()
    provider.go.set()

    replies = await asyncio.gather(*tasks)

    assert len(provider.calls) == 1
    assert {"answer 1"} == {reply.response.message.content for reply in replies}
    assert len({id(reply.response) for reply in replies}) == 5


async def test_streaming_follower_gets_the_whole_answer_as_one_piece(ask: Ask, provider: Provider) -> None:
    got: list[str] = []

    async def emit(delta: Delta) -> None:
        got.append(delta.content)

    provider.go.clear()
    leader = ask()
    await provider.called.wait()
    follower = ask(emit=emit)
    await turn()
    provider.go.set()
    await asyncio.gather(leader, follower)

    assert got == ["answer 1"]


async def test_followers_share_a_failure_and_a_repeat_is_a_new_request(ask: Ask, provider: Provider) -> None:
    provider.go.clear()
    provider.errors.append(Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"))
    tasks = [ask(), ask()]
    await provider.called.wait()
    await turn()
    provider.go.set()

    assert {"UPSTREAM_UNAVAILABLE"} == {(await refusal(task)).reason_name for task in tasks}
    assert (await ask()).response.message.content == "answer 2"


async def test_call_goes_on_for_followers_when_its_caller_leaves(ask: Ask, provider: Provider) -> None:
    gone = asyncio.Event()

    async def emit(delta: Delta) -> None:
        assert not gone.is_set(), f"{delta} went to who has left"

    provider.go.clear()
    provider.pieces = ("first",)
    leader = ask(emit=emit)
    await provider.called.wait()
    follower = ask()
    await turn()
    leader.cancel()
    await turn()
    gone.set()
    provider.go.set()

    assert (await follower).response.message.content == "answer 1"
    assert leader.cancelled()
    assert provider.cancelled_count == 0


async def test_broken_stream_of_the_leader_is_not_its_followers_failure(ask: Ask, provider: Provider) -> None:
    joined = asyncio.Event()

    async def emit(_delta: Delta) -> None:
        await joined.wait()
        raise ConnectionError

    provider.pieces = ("first", "second")
    leader = ask(emit=emit)
    await provider.called.wait()
    follower = ask()
    await turn()
    joined.set()

    assert (await follower).response.message.content == "answer 1"
    with pytest.raises(ConnectionError):
        await leader


async def test_call_ends_when_the_last_caller_leaves(ask: Ask, provider: Provider) -> None:
    provider.go.clear()
    tasks = [ask(), ask()]
    await provider.called.wait()
    await turn()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert provider.cancelled_count == 1


async def test_no_repeat_of_a_key_is_billed_again_after_its_caller_left(ask: Ask, provider: Provider) -> None:
    provider.go.clear()
    left = ask()
    await provider.called.wait()
    left.cancel()
    await asyncio.wait([left])
    provider.go.set()

    told = await refusal(ask())

    assert (told.reason_name, told.possibly_billed) == ("OUTCOME_UNKNOWN", True)
    assert (await refusal(ask())).reason_name == "OUTCOME_UNKNOWN"  # the first reply may have been lost
    assert len(provider.calls) == 1


async def test_outcome_that_came_with_the_deadline_is_told_again(ask: Ask, provider: Provider) -> None:
    provider.errors.append(OutOfTime(Reason.ERROR_REASON_DEADLINE, "late", possibly_billed=True))
    assert (await refusal(ask())).reason_name == "DEADLINE"

    assert (await refusal(ask())).reason_name == "OUTCOME_UNKNOWN"
    assert len(provider.calls) == 1


async def test_possibly_billed_failure_is_not_paid_for_again_under_its_key(ask: Ask, provider: Provider) -> None:
    provider.errors.append(Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"))
    assert (await refusal(ask())).possibly_billed

    assert (await refusal(ask())).reason_name == "OUTCOME_UNKNOWN"
    assert len(provider.calls) == 1


async def test_call_cut_off_by_a_crash_is_never_sent_again(
    ask: Ask, restarted: Callable[[], Idempotency], provider: Provider
) -> None:
    provider.go.clear()
    cut = ask()
    await provider.called.wait()
    after = restarted()
    provider.go.set()

    def again() -> Call:
        return builders.call(id="later", request=builders.chat_request(prompt="hi", idempotency_key="k"))

    for _ in range(2):
        with pytest.raises(Uncertain) as caught:
            await after(again(), provider)
        assert caught.value.reason_name == "OUTCOME_UNKNOWN"
    assert len(provider.calls) == 1
    await cut


async def test_caller_that_leaves_before_anything_was_sent_leaves_nothing(
    spool: MemorySpool, ask: Ask, provider: Provider
) -> None:
    early = ask()
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.wait([early])

    assert not provider.calls or provider.cancelled_count == 0
    assert (await ask()).response.message.content
    assert spool.stats().by_state.get(JobState.SUCCEEDED) == 1


async def test_follower_keeps_to_its_own_time_budget(ask: Ask, provider: Provider, clock: FakeClock) -> None:
    provider.go.clear()
    leader = ask()
    await provider.called.wait()

    hasty = await refusal(ask(deadline=Deadline.after(0.01, now_s=clock.monotonic_s())))

    assert (hasty.reason_name, hasty.possibly_billed) == ("DEADLINE", False)
    provider.go.set()
    assert (await leader).response.message.content == "answer 1"


async def test_work_goes_on_past_the_time_of_who_began_it_for_one_with_more(
    ask: Ask, provider: Provider, clock: FakeClock
) -> None:
    provider.go.clear()
    hasty = ask(deadline=Deadline.after(0.05, now_s=clock.monotonic_s()))
    await provider.called.wait()
    patient = ask(deadline=Deadline.after(60.0, now_s=clock.monotonic_s()))

    late = await refusal(hasty)
    left_s = provider.calls[0].deadline.remaining_s(clock.monotonic_s())
    provider.go.set()

    assert (late.reason_name, late.possibly_billed) == ("DEADLINE", True)
    assert left_s == 59.0  # with a second to tell the outcome in
    assert (await patient).response.message.content == "answer 1"
    assert (len(provider.calls), provider.cancelled_count) == (1, 0)
    assert (await ask()).response.source == chat_pb2.RESPONSE_SOURCE_REPLAY


async def test_who_leaves_the_work_while_all_was_free_is_told_that_nothing_is_billed(
    ask: Ask, provider: Provider, clock: FakeClock
) -> None:
    provider.charges = False  # every attempt so far was refused, and it waits for the next one
    provider.go.clear()
    hasty = ask(deadline=Deadline.after(0.05, now_s=clock.monotonic_s()))
    await provider.called.wait()
    patient = ask(deadline=Deadline.after(60.0, now_s=clock.monotonic_s()))

    late = await refusal(hasty)

    assert (late.reason_name, late.possibly_billed) == ("DEADLINE", False)
    provider.go.set()
    assert (await patient).response.message.content == "answer 1"


async def test_key_whose_attempts_were_all_free_may_be_used_again_after_its_caller_left(
    ask: Ask, provider: Provider, spool: MemorySpool
) -> None:
    provider.charges = False
    provider.go.clear()
    gone = ask()
    await provider.called.wait()
    gone.cancel()
    await asyncio.wait([gone])

    provider.go.set()

    assert spool.stats().by_state.get(JobState.UNCERTAIN) is None
    assert (await ask()).response.source == chat_pb2.RESPONSE_SOURCE_UPSTREAM


async def test_work_has_the_time_of_its_followers_when_its_caller_hangs_up(
    ask: Ask, provider: Provider, clock: FakeClock
) -> None:
    provider.go.clear()
    gone = ask(deadline=Deadline.after(5.0, now_s=clock.monotonic_s()))
    await provider.called.wait()
    follower = ask(deadline=Deadline.after(60.0, now_s=clock.monotonic_s()))
    await turn()
    gone.cancel()
    await turn()

    assert provider.calls[0].deadline.remaining_s(clock.monotonic_s()) > 5.0
    provider.go.set()
    assert (await follower).response.message.content == "answer 1"


async def test_follower_with_less_time_does_not_shorten_the_work(
    ask: Ask, provider: Provider, clock: FakeClock
) -> None:
    provider.go.clear()
    leader = ask(deadline=Deadline.after(60.0, now_s=clock.monotonic_s()))
    await provider.called.wait()
    await refusal(ask(deadline=Deadline.after(0.01, now_s=clock.monotonic_s())))

    assert provider.calls[0].deadline.remaining_s(clock.monotonic_s()) == 60.0
    provider.go.set()
    await leader


async def test_caller_alone_is_told_by_the_work_itself_why_its_time_did_not_do(
    ask: Ask, provider: Provider, clock: FakeClock
) -> None:
    provider.go.clear()
    provider.errors.append(OutOfTime(Reason.ERROR_REASON_DEADLINE, "the provider was slow", possibly_billed=True))
    alone = ask(deadline=Deadline.after(0.01, now_s=clock.monotonic_s()))
    await provider.called.wait()
    await asyncio.wait([alone], timeout=0.05)
    provider.go.set()

    assert (await refusal(alone)).message == "the provider was slow"


async def test_work_ends_with_the_last_to_wait_though_there_was_time_left(
    ask: Ask, provider: Provider, clock: FakeClock
) -> None:
    provider.go.clear()
    leader = ask(deadline=Deadline.after(0.05, now_s=clock.monotonic_s()))
    await provider.called.wait()
    patient = ask(deadline=Deadline.after(60.0, now_s=clock.monotonic_s()))
    await turn()
    patient.cancel()

    late = await refusal(leader)

    assert (late.reason_name, late.possibly_billed, provider.cancelled_count) == ("DEADLINE", True, 1)
    assert (await refusal(ask())).reason_name == "OUTCOME_UNKNOWN"
    assert len(provider.calls) == 1


async def test_what_was_learnt_of_the_work_is_told_to_who_began_it(ask: Ask, provider: Provider) -> None:
    pieces: list[tuple[int, bool]] = []
    call = builders.call(request=builders.chat_request(prompt="hi", idempotency_key="k"))

    async def emit(_delta: Delta) -> None:
        pieces.append((call.attempt_count, call.committed))

    call.emit = emit
    provider.pieces = ("first",)
    await ask(call=call)

    assert pieces == [(1, True)]
    assert (call.attempt_count, call.committed, call.deadline, call.joinable) == (1, True, Deadline(), False)


async def test_submission_with_the_key_of_a_call_under_way_keeps_it_going(
    ask: Ask, stage: Idempotency, provider: Provider
) -> None:
    provider.go.clear()
    call = ask()
    await provider.called.wait()
    submit = asyncio.create_task(stage.accept(job()), name="submit")
    await turn()
    call.cancel()
    await turn()
    provider.go.set()

    accepted = await submit

    assert (accepted.duplicate, accepted.job.state) == (True, JobState.SUCCEEDED)
    assert (len(provider.calls), provider.cancelled_count) == (1, 0)


async def test_answer_that_cannot_be_recorded_is_told(ask: Ask, provider: Provider, spool: MemorySpool) -> None:
    provider.go.clear()
    call = ask()
    await provider.called.wait()
    spool.broken = True
    provider.go.set()

    assert (await call).response.message.content == "answer 1"


async def test_nothing_is_sent_if_the_key_cannot_be_recorded(ask: Ask, provider: Provider, spool: MemorySpool) -> None:
    spool.broken = True

    assert (await refusal(ask())).reason_name == "STORAGE_UNAVAILABLE"
    assert provider.calls == []


async def test_key_of_a_job_is_answered_when_the_job_has_ended(ask: Ask, spool: MemorySpool) -> None:
    await spool.accept(job())
    chat = ask()
    await turn()
    attempt = await spool.begin("job-1")
    assert attempt is not None
    response = chat_pb2.ChatResponse(model="qwen-plus")
    response.message.content = "from the job"
    await spool.succeed(attempt, response)

    reply = await chat

    assert reply.response.message.content == "from the job"
    assert reply.response.source == chat_pb2.RESPONSE_SOURCE_REPLAY


async def test_key_of_a_job_is_waited_for_as_long_as_anybody_has_time(
    ask: Ask, spool: MemorySpool, clock: FakeClock
) -> None:
    await spool.accept(job())
    hasty = ask(deadline=Deadline.after(0.05, now_s=clock.monotonic_s()))
    await turn()
    patient = ask()
    assert (await refusal(hasty)).reason_name == "DEADLINE"
    attempt = await spool.begin("job-1")
    assert attempt is not None
    await spool.succeed(attempt, chat_pb2.ChatResponse(model="qwen-plus"))

    assert (await patient).response.source == chat_pb2.RESPONSE_SOURCE_REPLAY


async def test_key_of_a_failed_job_tells_why(ask: Ask, spool: MemorySpool) -> None:
    await spool.accept(job())
    attempt = await spool.begin("job-1")
    assert attempt is not None
    refused = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused")
    await spool.fail(attempt, refused, retry_in_s=None, counts=True)

    error = await refusal(ask())

    assert error.reason_name == "CONTENT_BLOCKED"
    assert "take a new key" in error.message


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(chat_pb2.OFFLINE_POLICY_FAIL, "UPLINK_OFFLINE"), (chat_pb2.OFFLINE_POLICY_QUEUE, "job-1")],
)
async def test_key_of_a_waiting_job_obeys_the_offline_policy(
    ask: Ask, spool: MemorySpool, link: Link, policy: chat_pb2.OfflinePolicy.ValueType, expected: str
) -> None:
    link.state = Uplink.OFFLINE
    await spool.accept(job())
    task = ask(fields={"offline_policy": policy})
    await asyncio.wait([task])

    error = task.exception()
    got = error.reason_name if isinstance(error, CallError) else task.result().response.job_id
    assert got == expected


async def test_job_with_the_key_of_a_running_call_is_that_call(
    ask: Ask, stage: Idempotency, provider: Provider
) -> None:
    provider.go.clear()
    call = ask()
    await provider.called.wait()
    submit = asyncio.create_task(stage.accept(job()), name="submit")
    await turn()
    assert not submit.done()
    provider.go.set()
    await call

    accepted = await submit

    assert accepted.duplicate
    assert accepted.job.state is JobState.SUCCEEDED


async def test_job_with_the_key_of_a_failed_call_is_a_new_job(ask: Ask, stage: Idempotency, provider: Provider) -> None:
    provider.errors.append(Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"))
    await refusal(ask())

    accepted = await stage.accept(job())

    assert (accepted.duplicate, accepted.job.state) == (False, JobState.QUEUED)


async def test_who_began_it_learns_which_model_has_answered(stage: Idempotency) -> None:
    async def stand_in(call: Call, /) -> Reply:
        call.model, call.served_as = builders.model(id="qwen-flash"), "qwen-flash-us"
        return Reply(response=chat_pb2.ChatResponse(finish_reason=chat_pb2.FINISH_REASON_STOP))

    call = builders.call(request=builders.chat_request(idempotency_key="k"))
    await stage(call, stand_in)

    assert (builders.model(id="qwen-flash"), "qwen-flash-us") == (call.model, call.served_as)


async def test_follower_of_a_stream_learns_which_model_has_answered(ask: Ask, provider: Provider) -> None:
    provider.go.clear()
    leader = ask()
    await provider.called.wait()
    call = builders.call(id="follower", request=builders.chat_request(prompt="hi", idempotency_key="k"))
    follower = ask(call=call)
    provider.go.set()
    await asyncio.gather(leader, follower)

    assert "qwen-plus" == call.served_as
