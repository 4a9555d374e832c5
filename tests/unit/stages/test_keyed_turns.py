"""A call with a key that waits for its turn has promised nothing: its key is recorded when it is sent."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import builders
import pytest
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, Reason, Unavailable, Uncertain
from edgeclient.core.events import Uplink
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.jobs import Accepted, JobKind, JobState, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.stages.idempotency import Idempotency
from edgeclient.stages.offline import Offline
from edgeclient.v1 import chat_pb2


class Provider(Protocol):
    calls: list[Call]
    asked: asyncio.Event
    turn: asyncio.Event
    called: asyncio.Event
    go: asyncio.Event
    errors: list[CallError]

    async def __call__(self, call: Call, /) -> Reply: ...


class Link(Protocol):
    state: Uplink

    def __call__(self) -> Uplink: ...


Ask = Callable[..., "asyncio.Task[Reply]"]


class SlowSpool(MemorySpool):
    """Counts what is asked of it; takes new work only while it is told to."""

    def __init__(self, **over: Any) -> None:
        super().__init__(**over)
        self.asked: Counter[str] = Counter()
        self.storing = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def accept(self, new: NewJob) -> Accepted:
        self.asked["accept"] += 1
        self.storing.set()
        await self.go.wait()
        return await super().accept(new)

    async def succeed(self, *args: Any) -> bool:
        self.asked["succeed"] += 1
        return await super().succeed(*args)


@pytest.fixture
def spool(clock: FakeClock) -> SlowSpool:
    return SlowSpool(clock=clock)


@pytest.fixture
def stage(spool: SlowSpool, feed: JobFeed, link: Link, clock: FakeClock) -> Idempotency:
    return Idempotency(spool, feed, SpoolConfig(), uplink=link, clock=clock)


@pytest.fixture
def restarted(spool: SlowSpool, feed: JobFeed, link: Link, clock: FakeClock) -> Callable[[], Idempotency]:
    """The stage after a crash of the node."""
    return lambda: Idempotency(spool.reopened(), feed, SpoolConfig(), uplink=link, clock=clock)


@pytest.fixture
def ask(stage: Idempotency, provider: Provider) -> Ask:
    numbers = iter(range(1000))

    def begin(prompt: str = "hi", forward: Any = provider, **fields: Any) -> "asyncio.Task[Reply]":
        return asyncio.create_task(stage(keyed(f"call-{next(numbers)}", prompt=prompt, **fields), forward))

    return begin


def keyed(call_id: str = "later", **fields: Any) -> Call:
    request = builders.chat_request(**({"prompt": "hi", "idempotency_key": "k"} | fields))
    return builders.call(id=call_id, request=request)


def job() -> NewJob:
    request = builders.chat_request(prompt="hi", idempotency_key="k")
    return NewJob(
        id="job-1",
        caller="device-7",
        kind=JobKind.JOB,
        request=request,
        digest=content_digest(request),
        idempotency_key="k",
    )


async def refusal(task: "asyncio.Task[Reply]") -> CallError:
    with pytest.raises(CallError) as caught:
        await task
    return caught.value


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def waiting(ask: Ask, provider: Provider) -> "asyncio.Task[Reply]":
    """A call that stands in line."""
    provider.turn.clear()
    task = ask()
    await provider.asked.wait()
    return task


async def test_call_in_line_is_not_on_the_disk_and_its_intent_is_before_it_is_sent(
    waiting: "asyncio.Task[Reply]", spool: SlowSpool, provider: Provider
) -> None:
    in_line = spool.stats().accepted_total
    provider.go.clear()
    provider.turn.set()
    await provider.called.wait()

    assert (0, {JobState.SENDING: 1}) == (in_line, spool.stats().by_state)
    provider.go.set()
    await waiting


async def test_key_of_a_call_in_line_at_a_crash_is_free(
    waiting: "asyncio.Task[Reply]", restarted: Callable[[], Idempotency], cloud: Provider
) -> None:
    reply = await restarted()(keyed(), cloud)

    assert (chat_pb2.RESPONSE_SOURCE_UPSTREAM, 1) == (reply.response.source, len(cloud.calls))
    waiting.cancel()


async def test_call_in_line_is_joined_and_its_key_is_taken(
    waiting: "asyncio.Task[Reply]", ask: Ask, provider: Provider
) -> None:
    repeat, other = ask(), ask("something else")
    await turn()

    assert "IDEMPOTENCY_KEY_REUSED" == (await refusal(other)).reason_name
    provider.turn.set()
    assert ["answer 1"] * 2 == [reply.response.message.content for reply in await asyncio.gather(waiting, repeat)]
    assert 1 == len(provider.calls)


async def test_call_costs_two_commits(ask: Ask, spool: SlowSpool) -> None:
    await ask()

    assert {"accept": 1, "succeed": 1} == spool.asked


@pytest.mark.parametrize(
    ("error", "in_line"),
    [
        (Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"), {}),
        (Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"), {JobState.SENDING: 1}),
    ],
)
async def test_call_waits_for_its_next_attempt_unsent_if_the_one_before_was_free(
    ask: Ask, spool: SlowSpool, cloud: Provider, error: CallError, in_line: dict[JobState, int]
) -> None:
    async def again(call: Call) -> Reply:
        cloud.errors.append(error)
        with pytest.raises(type(error)):
            await cloud(call)
        cloud.turn.clear()
        cloud.asked.clear()
        return await cloud(call)

    task = ask(forward=again)
    await cloud.called.wait()
    await cloud.asked.wait()
    await turn()
    waiting = spool.stats().by_state
    cloud.turn.set()

    assert (await task).response.message.content
    assert (in_line, {JobState.SUCCEEDED: 1}) == (waiting, spool.stats().by_state)


async def test_intent_that_cannot_be_taken_back_is_that_of_the_next_attempt(
    ask: Ask, spool: SlowSpool, cloud: Provider
) -> None:
    async def again(call: Call) -> Reply:
        cloud.errors.append(Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"))
        cloud.go.clear()
        first = asyncio.create_task(cloud(call))
        await cloud.called.wait()
        spool.broken = True
        cloud.go.set()
        with pytest.raises(Unavailable):
            await first
        spool.broken = False
        return await cloud(call)

    await ask(forward=again)

    assert {"accept": 1, "succeed": 1} == spool.asked
    assert {JobState.SUCCEEDED: 1} == spool.stats().by_state


async def test_answer_for_which_nothing_was_sent_is_recorded_too(ask: Ask, spool: SlowSpool) -> None:
    async def from_the_cache(_call: Call) -> Reply:
        return Reply(response=chat_pb2.ChatResponse(source=chat_pb2.RESPONSE_SOURCE_CACHE, model="qwen-plus"))

    await ask(forward=from_the_cache)

    assert {JobState.SUCCEEDED: 1} == spool.stats().by_state
    assert chat_pb2.RESPONSE_SOURCE_REPLAY == (await ask()).response.source


async def test_nothing_is_sent_if_the_storage_fails_when_its_turn_comes(
    waiting: "asyncio.Task[Reply]", spool: SlowSpool, provider: Provider
) -> None:
    spool.broken = True
    provider.turn.set()

    error = await refusal(waiting)

    assert ("STORAGE_UNAVAILABLE", False) == (error.reason_name, error.possibly_billed)
    assert [] == provider.calls


async def test_who_leaves_while_the_intent_is_stored_leaves_nothing(
    waiting: "asyncio.Task[Reply]", ask: Ask, spool: SlowSpool, provider: Provider
) -> None:
    spool.go.clear()
    provider.turn.set()
    await spool.storing.wait()
    waiting.cancel()
    repeat = ask()
    await turn()
    assert not repeat.done()
    spool.go.set()

    assert (await repeat).response.message.content
    assert 1 == len(provider.calls)
    assert {JobState.SUCCEEDED: 1} == spool.stats().by_state


async def test_job_that_came_by_the_key_meanwhile_is_waited_for(
    waiting: "asyncio.Task[Reply]", spool: SlowSpool, provider: Provider
) -> None:
    await spool.accept(job())
    provider.turn.set()
    await turn()
    attempt = await spool.begin("job-1")
    assert attempt is not None
    await spool.succeed(attempt, chat_pb2.ChatResponse(model="from the job"))

    assert "from the job" == (await waiting).response.model
    assert [] == provider.calls


@pytest.mark.parametrize("point", ["in an outage", "after a free attempt", "after one that is on record still"])
async def test_queued_call_is_a_job_under_its_id_and_key(
    ask: Ask, spool: SlowSpool, link: Link, clock: FakeClock, point: str
) -> None:
    offline = Offline(spool, SpoolConfig(), uplink=link, clock=clock)
    link.state = Uplink.OFFLINE if point == "in an outage" else Uplink.ONLINE

    async def refused(call: Call) -> Reply:
        assert call.before_send is not None
        await call.before_send()
        if call.after_free is not None:
            await call.after_free()
        raise Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way")

    async def road(call: Call) -> Reply:
        if point == "after one that is on record still":
            call.after_free = None
        return await offline(call, refused)

    reply = await ask(forward=road, offline_policy=chat_pb2.OFFLINE_POLICY_QUEUE)

    found = await spool.find("device-7", "k")
    assert found is not None
    assert "call-0" == reply.response.job_id == found.id
    assert (JobKind.JOB, JobState.QUEUED, 0) == (found.kind, found.state, found.attempt_count)


async def test_call_of_which_its_callers_have_left_is_begun_no_more(ask: Ask, spool: SlowSpool) -> None:
    calls: list[Call] = []

    async def line(call: Call) -> Reply:
        calls.append(call)
        await asyncio.Event().wait()
        return Reply()

    left = ask(forward=line)
    await turn()
    left.cancel()
    await asyncio.wait([left])
    assert calls[0].before_send is not None
    await calls[0].before_send()  # those who share it have it sent

    assert 0 == spool.stats().accepted_total
