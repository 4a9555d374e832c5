"""What becomes of a call while the provider cannot be reached."""

import asyncio
from typing import Any, Protocol

import builders
import pytest
from fakes.clock import FakeClock
from fakes.spool import MemorySpool

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import Blocked, CallError, OutOfTime, Reason, Stopping, Throttled, Unavailable, Uncertain
from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.core.jobs import Job, JobKind, JobState
from edgeclient.stages.offline import Offline
from edgeclient.v1 import chat_pb2


class Provider(Protocol):
    calls: list[Call]
    called: asyncio.Event
    go: asyncio.Event
    errors: list[CallError]

    async def __call__(self, call: Call, /) -> Reply: ...


class Link(Protocol):
    state: Uplink

    def __call__(self) -> Uplink: ...


@pytest.fixture
def stage(spool: MemorySpool, link: Link, clock: FakeClock) -> Offline:
    return Offline(spool, SpoolConfig(), uplink=link, clock=clock)


def call(policy: int, **over: Any) -> Call:
    return builders.call(request=builders.chat_request(offline_policy=policy), **over)


def back(stage: Offline, link: Link) -> None:
    link.state = Uplink.DEGRADED
    stage.uplink_changed(UplinkChanged(target="t", before=Uplink.OFFLINE, after=Uplink.DEGRADED, cause="probe"))


@pytest.mark.parametrize(
    "policy",
    [chat_pb2.OFFLINE_POLICY_UNSPECIFIED, chat_pb2.OFFLINE_POLICY_FAIL, chat_pb2.OFFLINE_POLICY_STALE],
)
async def test_offline_call_fails_at_once(stage: Offline, link: Link, provider: Provider, policy: int) -> None:
    link.state = Uplink.OFFLINE
    with pytest.raises(Unavailable) as caught:
        await stage(call(policy), provider)

    assert (caught.value.reason_name, caught.value.possibly_billed) == ("UPLINK_OFFLINE", False)
    assert provider.calls == []


@pytest.mark.parametrize("state", [Uplink.UNKNOWN, Uplink.ONLINE, Uplink.DEGRADED])
@pytest.mark.parametrize("policy", list(chat_pb2.OfflinePolicy.values()))
async def test_call_passes_unless_the_uplink_is_known_to_be_dead(
    stage: Offline, link: Link, provider: Provider, state: Uplink, policy: int
) -> None:
    link.state = state

    assert (await stage(call(policy), provider)).response.message.content == "answer 1"


async def test_waiting_call_goes_when_the_uplink_is_back(stage: Offline, link: Link, provider: Provider) -> None:
    link.state = Uplink.OFFLINE
    task = asyncio.create_task(stage(call(chat_pb2.OFFLINE_POLICY_WAIT), provider), name="call")
    await asyncio.sleep(0)
    assert provider.calls == []
    back(stage, link)

    assert (await task).response.message.content == "answer 1"


async def test_waiting_call_waits_again_when_the_uplink_dies_under_it(
    stage: Offline, link: Link, provider: Provider
) -> None:
    provider.errors.append(Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way"))
    provider.go.clear()
    task = asyncio.create_task(stage(call(chat_pb2.OFFLINE_POLICY_WAIT), provider), name="call")
    await provider.called.wait()
    link.state = Uplink.OFFLINE
    provider.go.set()
    await asyncio.sleep(0)
    back(stage, link)

    assert (await task).response.message.content == "answer 2"


async def test_waiting_call_ends_with_its_time_budget(
    stage: Offline, link: Link, provider: Provider, clock: FakeClock
) -> None:
    link.state = Uplink.OFFLINE
    with pytest.raises(OutOfTime) as caught:
        await stage(
            call(chat_pb2.OFFLINE_POLICY_WAIT, deadline=Deadline.after(0.01, now_s=clock.monotonic_s())), provider
        )

    assert not caught.value.possibly_billed


async def test_waiting_call_whose_deadline_is_put_off_waits_on(
    stage: Offline, link: Link, provider: Provider, clock: FakeClock
) -> None:
    link.state = Uplink.OFFLINE
    waits = call(chat_pb2.OFFLINE_POLICY_WAIT, deadline=Deadline.after(0.01, now_s=clock.monotonic_s()))
    task = asyncio.create_task(stage(waits, provider), name="call")
    await asyncio.sleep(0)
    waits.deadline = Deadline()
    await asyncio.wait([task], timeout=0.05)
    back(stage, link)

    assert (await task).response.message.content == "answer 1"


async def test_waiting_call_ends_when_the_node_drains(stage: Offline, link: Link, provider: Provider) -> None:
    link.state = Uplink.OFFLINE
    task = asyncio.create_task(stage(call(chat_pb2.OFFLINE_POLICY_WAIT), provider), name="call")
    await asyncio.sleep(0)
    stage.stop()

    with pytest.raises(Stopping):
        await task


async def test_offline_call_becomes_a_job(stage: Offline, link: Link, provider: Provider, spool: MemorySpool) -> None:
    link.state = Uplink.OFFLINE
    reply = await stage(call(chat_pb2.OFFLINE_POLICY_QUEUE), provider)

    job = await spool.get("device-7", reply.response.job_id)
    assert job is not None
    assert job.state is JobState.QUEUED
    assert not reply.response.HasField("message")


async def test_offline_call_with_a_key_is_made_a_job_by_who_keeps_its_record(
    stage: Offline, link: Link, provider: Provider, spool: MemorySpool
) -> None:
    link.state = Uplink.OFFLINE
    asked = call(chat_pb2.OFFLINE_POLICY_QUEUE)

    async def to_job() -> Job:
        return Job(
            id="kept",
            caller="device-7",
            kind=JobKind.JOB,
            state=JobState.QUEUED,
            priority=chat_pb2.PRIORITY_NORMAL,
            seq=1,
            revision=1,
        )

    asked.to_job = to_job

    assert "kept" == (await stage(asked, provider)).response.job_id
    assert 0 == spool.stats().accepted_total


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"),
        Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "429"),
        Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "stopping"),
        OutOfTime(Reason.ERROR_REASON_DEADLINE, "not sent yet"),
    ],
)
async def test_call_that_was_certainly_not_billed_becomes_a_job(
    stage: Offline, provider: Provider, spool: MemorySpool, error: CallError
) -> None:
    provider.errors.append(error)

    reply = await stage(call(chat_pb2.OFFLINE_POLICY_QUEUE), provider)

    assert await spool.get("device-7", reply.response.job_id) is not None


@pytest.mark.parametrize(
    "error",
    [
        Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"),
        OutOfTime(Reason.ERROR_REASON_DEADLINE, "sent", possibly_billed=True),
        Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "no key"),
    ],
)
async def test_call_that_may_be_billed_or_is_blocked_does_not(
    stage: Offline, provider: Provider, spool: MemorySpool, error: CallError
) -> None:
    provider.errors.append(error)
    with pytest.raises(type(error)):
        await stage(call(chat_pb2.OFFLINE_POLICY_QUEUE), provider)

    assert spool.stats().accepted_total == 0


async def test_call_of_which_the_caller_has_seen_something_does_not(
    stage: Offline, provider: Provider, spool: MemorySpool
) -> None:
    provider.errors.append(Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"))
    with pytest.raises(Unavailable):
        await stage(call(chat_pb2.OFFLINE_POLICY_QUEUE, committed=True), provider)

    assert spool.stats().accepted_total == 0


async def test_queueable_call_is_tried_until_shortly_before_its_deadline(
    stage: Offline, provider: Provider, clock: FakeClock
) -> None:
    asked = call(chat_pb2.OFFLINE_POLICY_QUEUE, deadline=Deadline.after(5, now_s=clock.monotonic_s()))
    seen: list[float] = []

    async def forward(inner: Call) -> Reply:
        seen.append(inner.deadline.remaining_s(clock.monotonic_s()))
        return await provider(inner)

    await stage(asked, forward)

    assert seen == [4.5]
    assert asked.deadline.remaining_s(clock.monotonic_s()) == 5
