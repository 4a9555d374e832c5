import asyncio
from random import Random

import builders
import pytest
from fakes.clock import FakeClock

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import (
    Blocked,
    CallError,
    OutOfTime,
    Reason,
    Rejected,
    Stopping,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.core.events import Event, RetryScheduled
from edgeclient.upstream.retry import Retry

QUICK = UpstreamConfig(retry_initial_s=0.01, retry_max_s=0.01, max_attempts=3)


class Flaky:
    """Fails with the given errors in turn, then answers."""

    def __init__(self, *errors: CallError, commits: bool = False) -> None:
        self.errors = list(errors)
        self.commits = commits

    async def __call__(self, call: Call) -> Reply:
        call.attempt_count += 1
        if self.commits:
            call.committed = True
        if self.errors:
            raise self.errors.pop(0)
        return Reply(upstream_request_id=f"attempt {call.attempt_count}")


def down(retry_after_s: float | None = None) -> CallError:
    return Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down", retry_after_s=retry_after_s)


class Watched:
    """The stage and what it told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.told = asyncio.Event()
        self.stage = Retry(QUICK, observe=self._observe, clock=FakeClock(), rng=Random(1))

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        self.told.set()


def retry() -> Retry:
    return Watched().stage


async def test_second_attempt_answers() -> None:
    watched = Watched()

    reply = await watched.stage(builders.call(), Flaky(down()))

    assert "attempt 2" == reply.upstream_request_id
    (event,) = watched.events
    assert isinstance(event, RetryScheduled)
    assert (1, "UPSTREAM_UNAVAILABLE") == (event.attempt, event.reason)
    assert 0 <= event.delay_s <= 0.01


async def test_one_budget_of_attempts_per_call() -> None:
    call = builders.call()

    with pytest.raises(Unavailable, match="down"):
        await retry()(call, Flaky(*[down()] * 10))

    assert 3 == call.attempt_count


async def test_refusal_before_any_attempt_is_told_at_once() -> None:
    watched = Watched()
    error = Throttled(Reason.ERROR_REASON_DISPATCH_FULL, "no room", retry_after_s=0.01)

    async def refuse(_call: Call) -> Reply:
        raise error

    with pytest.raises(Throttled) as caught:
        await watched.stage(builders.call(), refuse)

    assert error is caught.value
    assert [] == watched.events


async def test_pauses_of_all_targets_are_waited_for_and_are_no_attempts() -> None:
    watched = Watched()
    pauses = [0.001] * (2 * QUICK.max_attempts)

    async def pause(call: Call) -> Reply:
        if pauses:
            raise Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "less", retry_after_s=pauses.pop())
        return await Flaky()(call)

    reply = await watched.stage(builders.call(), pause)

    assert "attempt 1" == reply.upstream_request_id
    scheduled = [event for event in watched.events if isinstance(event, RetryScheduled)]
    assert [0] * (2 * QUICK.max_attempts) == [event.attempt for event in scheduled]
    assert all(event.delay_s >= 0.001 for event in scheduled)


async def test_attempts_of_others_count() -> None:
    call = builders.call(attempt_count=2)

    with pytest.raises(Unavailable):
        await retry()(call, Flaky(*[down()] * 10))

    assert 3 == call.attempt_count


@pytest.mark.parametrize("kind", [Rejected, Blocked, Uncertain, OutOfTime, Stopping])
async def test_never_again(kind: type[CallError]) -> None:
    call = builders.call()

    with pytest.raises(kind):
        await retry()(call, Flaky(kind(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "no")))

    assert 1 == call.attempt_count


async def test_no_second_answer_after_the_first_piece() -> None:
    async def emit(delta: Delta) -> None: ...

    call = builders.call(emit=emit)

    with pytest.raises(Unavailable):
        await retry()(call, Flaky(down(), commits=True))

    assert 1 == call.attempt_count


async def test_what_the_provider_asks_for_is_a_lower_bound() -> None:
    watched = Watched()
    error = Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=0.05)

    async with asyncio.timeout(5):
        await watched.stage(builders.call(), Flaky(error))

    (event,) = watched.events
    assert isinstance(event, RetryScheduled)
    assert 0.05 <= event.delay_s <= 0.06


async def test_a_pause_beyond_the_deadline_is_not_begun() -> None:
    clock = FakeClock()
    call = builders.call(deadline=Deadline.after(29, now_s=clock.monotonic_s()))

    with pytest.raises(Unavailable, match="down"):
        await retry()(call, Flaky(down(retry_after_s=30)))


async def test_stop_ends_a_pause() -> None:
    watched = Watched()
    waiting = asyncio.ensure_future(watched.stage(builders.call(), Flaky(down(retry_after_s=3600))))
    await watched.told.wait()

    watched.stage.stop()

    with pytest.raises(Stopping, match="down"):
        await waiting


async def test_stopped_begins_no_pause_but_still_answers() -> None:
    stage = retry()
    stage.stop()

    assert "attempt 1" == (await stage(builders.call(), Flaky())).upstream_request_id
    with pytest.raises(Stopping):
        await stage(builders.call(), Flaky(down()))


async def test_cancelled_while_pausing() -> None:
    watched = Watched()
    waiting = asyncio.ensure_future(watched.stage(builders.call(), Flaky(down(retry_after_s=3600))))
    await watched.told.wait()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
