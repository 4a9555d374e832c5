import asyncio
from collections.abc import AsyncIterator

import builders
import pytest
from drainer_bench import CALLER, Bench, Provider, begins, quiet, until
from google.protobuf.duration_pb2 import Duration

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
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
from edgeclient.core.events import DefectFound, KeyChanged, RetryScheduled, Uplink, UplinkChanged
from edgeclient.core.job_events import JobFinished, JobStarted, SpoolPaused, SpoolRecovered, SpoolResumed
from edgeclient.core.jobs import Attempt, Job, JobKind, JobState, ResendPolicy
from edgeclient.spool.intake import SWEEP_S
from edgeclient.spool.lane import STORAGE_PAUSE_S
from edgeclient.v1 import chat_pb2

DOWN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
NO_WAY = Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way")
SLOW = Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow", retry_after_s=30.0)
WRONG_KEY = Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "wrong key")
REFUSED = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no")
CUT = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut")
NOT_SENT = OutOfTime(Reason.ERROR_REASON_DEADLINE, "late")
SENT = OutOfTime(Reason.ERROR_REASON_DEADLINE, "late", possibly_billed=True)
STOP = Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "stop")
DEFECT = CallError(Reason.ERROR_REASON_INTERNAL, "defect")


async def test_job_is_sent_and_its_answer_kept() -> None:
    bench = Bench()
    async with bench.running():
        await bench.accept()
        job = await bench.reaches(JobState.SUCCEEDED)

    assert job.response is not None
    assert ("to job-1", "job-1") == (job.response.message.content, job.response.id)
    (finished,) = bench.told(JobFinished)
    assert ("job-1", CALLER, "succeeded", "", 1) == (
        finished.job_id,
        finished.caller,
        finished.state,
        finished.reason,
        finished.attempt_count,
    )


async def test_jobs_of_before_the_start_are_sent() -> None:
    bench = Bench()
    await bench.accept("old")
    bench.clock.advance(60.0)
    async with bench.running():
        await bench.reaches(JobState.SUCCEEDED, "old")

    (started,) = bench.told(JobStarted)
    assert ("normal", 60.0) == (started.priority, started.wait_s)


async def test_intent_is_stored_before_anything_is_sent() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.provider.open)

        assert JobState.SENDING is bench.job().state


class Keeper(Provider):
    """Has the answer already."""

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply(
            response=chat_pb2.ChatResponse(
                message=chat_pb2.Message(content="kept"), source=chat_pb2.RESPONSE_SOURCE_CACHE
            )
        )


async def test_answer_that_was_there_already_is_stored_and_no_attempt() -> None:
    bench = Bench(provider=Keeper())
    async with bench.running():
        await bench.accept()
        job = await bench.reaches(JobState.SUCCEEDED)

    assert job.response is not None
    assert ("kept", "job-1", 0) == (job.response.message.content, job.response.id, job.attempt_count)
    (finished,) = bench.told(JobFinished)
    assert ("succeeded", 0) == (finished.state, finished.attempt_count)
    assert not bench.told(JobStarted)


async def test_job_that_was_cancelled_meanwhile_is_given_no_answer() -> None:
    bench = Bench(provider=Keeper())
    given = bench.spool.give

    async def give(job_id: str, response: chat_pb2.ChatResponse) -> bool:
        await bench.spool.cancel(CALLER, job_id)
        return await given(job_id, response)

    bench.spool.give = give  # type: ignore[method-assign]  # the caller is a moment faster
    async with bench.running():
        await bench.accept()
        job = await bench.reaches(JobState.CANCELLED)

    assert job.response is None


@pytest.mark.parametrize(
    ("error", "state", "attempt_count"),
    [
        (DOWN, JobState.RETRY_WAIT, 1),
        (SLOW, JobState.RETRY_WAIT, 1),
        (NO_WAY, JobState.RETRY_WAIT, 0),
        (STOP, JobState.RETRY_WAIT, 0),
        (NOT_SENT, JobState.RETRY_WAIT, 0),
        (WRONG_KEY, JobState.QUEUED, 0),
        (REFUSED, JobState.FAILED, 1),
        (CUT, JobState.UNCERTAIN, 1),
        (SENT, JobState.UNCERTAIN, 1),
        (DEFECT, JobState.UNCERTAIN, 1),
        (ValueError("unexpected"), JobState.UNCERTAIN, 1),
    ],
    ids=lambda value: getattr(value, "message", str(value)),
)
async def test_every_failure_leads_to_its_state(error: Exception, state: JobState, attempt_count: int) -> None:
    bench = Bench()
    bench.provider.script = [error]
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.provider.calls)
        job = await bench.reaches(state)

    assert attempt_count == job.attempt_count
    assert 1 == len(bench.provider.calls)


@pytest.mark.parametrize("error", [DOWN, WRONG_KEY], ids=["the job waits", "the lane is closed"])
async def test_what_falls_due_while_it_looks_is_not_overslept(
    error: CallError, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    bench.provider.script = [error]
    async with bench.running():
        await bench.accept()
        await bench.reaches(JobState.QUEUED if error is WRONG_KEY else JobState.RETRY_WAIT)
        await quiet()
        look = bench.drainer._begin_due

        def slow_look(group: asyncio.TaskGroup) -> None:
            look(group)
            monkeypatch.undo()
            bench.clock.advance(600.0)

        monkeypatch.setattr(bench.drainer, "_begin_due", slow_look)
        bench.drainer.uplink_changed(UplinkChanged(target="t", before=Uplink.ONLINE, after=Uplink.ONLINE, cause=""))
        await quiet()
        bench.clock.advance(0.01)

        await bench.reaches(JobState.SUCCEEDED)


async def test_attempts_are_limited() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_attempts=3))
    bench.provider.script = [DOWN] * 9
    async with bench.running():
        await bench.accept()
        for _ in range(10):
            bench.clock.advance(100.0)
            await quiet()

    assert (JobState.DEAD, 3) == (bench.job().state, len(bench.provider.calls))
    assert [1, 2] == [event.attempt for event in bench.told(RetryScheduled)]
    (finished,) = bench.told(JobFinished)
    assert ("dead", "UPSTREAM_UNAVAILABLE") == (finished.state, finished.reason)


async def test_provider_is_not_asked_again_before_it_said() -> None:
    bench = Bench()
    bench.provider.script = [SLOW]
    async with bench.running():
        await bench.accept()
        await bench.reaches(JobState.RETRY_WAIT)
        await bench.accept("job-2")
        bench.clock.advance(29.9)
        await quiet()
        assert ["job-1"] == bench.provider.asked  # neither this job nor another
        bench.clock.advance(60.0)
        await bench.reaches(JobState.SUCCEEDED)


async def test_uncertain_job_is_sent_once_more_only_if_that_is_allowed() -> None:
    bench = Bench()
    bench.provider.script = [CUT, CUT, None]
    async with bench.running():
        await bench.accept(resend_policy=ResendPolicy.RESEND_ONCE)
        for _ in range(5):
            bench.clock.advance(100.0)
            await quiet()

    assert (JobState.UNCERTAIN, 2) == (bench.job().state, len(bench.provider.calls))
    (finished,) = bench.told(JobFinished)
    assert ("uncertain", True) == (finished.state, finished.possibly_billed)


async def test_nothing_is_sent_while_offline_and_nothing_counts() -> None:
    bench = Bench(uplink=Uplink.OFFLINE)
    async with bench.running():
        await bench.accept()
        for _ in range(10):
            bench.clock.advance(600.0)
            await quiet()
        assert [] == bench.provider.calls

        bench.goes(Uplink.DEGRADED)
        job = await bench.reaches(JobState.SUCCEEDED)

    assert 1 == job.attempt_count


@pytest.mark.parametrize("error", [NO_WAY, DOWN, NOT_SENT], ids=["no way", "nobody answers", "time over"])
async def test_flapping_uplink_kills_no_job(error: CallError) -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_attempts=10))

    async def lost(call: Call) -> Reply:
        await begins(call)
        call.attempt_count += 1
        bench.provider.calls.append(call)
        if len(bench.provider.calls) < 60:
            bench.goes(Uplink.DEGRADED)  # told before the attempt is judged, as upstream does
            raise error
        return Reply(response=chat_pb2.ChatResponse())

    provider = bench.provider
    bench.provider = lost  # type: ignore[assignment]  # a handler is a handler
    bench.drainer = bench.started()
    bench.provider = provider
    async with bench.running():
        await bench.accept()
        for _ in range(100):
            bench.goes(Uplink.OFFLINE)
            await quiet()
            bench.clock.advance(30.0)
            bench.goes(Uplink.ONLINE)
            await quiet()
            bench.clock.advance(360.0)
            await quiet()
        job = await bench.reaches(JobState.SUCCEEDED)

    assert 1 == job.attempt_count


async def test_job_that_never_gets_as_far_as_the_provider_is_tried_ever_more_rarely() -> None:
    bench = Bench()
    bench.provider.script = [NOT_SENT]
    await bench.accept()
    bench.clock.advance(1000.0)
    async with bench.running():
        await bench.reaches(JobState.RETRY_WAIT)

    (retry,) = bench.told(RetryScheduled)
    assert 100.0 <= retry.delay_s < 102.0


async def test_provider_that_answers_with_errors_counts_though_the_uplink_flapped_before() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_attempts=3))
    bench.provider.script = [NO_WAY, DOWN, NO_WAY, DOWN, NO_WAY, DOWN]
    async with bench.running():
        await bench.accept()
        for _ in range(20):
            bench.clock.advance(100.0)
            await quiet()

    assert (JobState.DEAD, 3) == (bench.job().state, bench.job().attempt_count)


async def test_start_after_an_outage_is_spread() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=1000.0), uplink=Uplink.OFFLINE)
    async with bench.running():
        await quiet()  # the queue was empty at the start, which is therefore not spread
        await bench.accept()
        bench.goes(Uplink.ONLINE)
        await quiet()
        assert [] == bench.provider.calls
        bench.clock.advance(1000.0)
        await bench.reaches(JobState.SUCCEEDED)


@pytest.mark.parametrize(("rebooted", "sent_at_once"), [(True, 0), (False, 1)])
async def test_start_with_jobs_left_is_spread_only_after_a_boot(rebooted: bool, sent_at_once: int) -> None:  # noqa: FBT001
    bench = Bench(config=SpoolConfig(resume_spread_s=1000.0), rebooted=rebooted)
    await bench.accept()
    async with bench.running():
        await quiet()
        assert sent_at_once == len(bench.provider.calls)
        bench.clock.advance(1000.0)
        await bench.reaches(JobState.SUCCEEDED)


async def test_start_is_spread_once_however_often_the_queue_is_looked_through() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=1000.0))
    changes, broken = bench.spool.changes, True

    def once_broken() -> AsyncIterator[Job]:
        nonlocal broken
        was_broken, broken = broken, False
        return _ends_in_a_defect() if was_broken else changes()

    bench.spool.changes = once_broken  # type: ignore[method-assign]  # only here
    async with bench.running():
        await quiet()  # the queue was empty at the start, which is therefore not spread
        await bench.accept()
        bench.clock.advance(STORAGE_PAUSE_S)
        await bench.reaches(JobState.SUCCEEDED)


async def _ends_in_a_defect() -> AsyncIterator[Job]:
    raise OSError
    yield


async def test_width_grows_with_success_up_to_the_limit() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=4))
    bench.provider.holds = True
    widths = []
    async with bench.running():
        for place in range(20):
            await bench.accept(f"job-{place}")
        while any(bench.job(f"job-{place}").state is not JobState.SUCCEEDED for place in range(20)):
            await quiet()
            widths.append(len(bench.provider.open))
            for job_id in list(bench.provider.open):
                bench.provider.answer(job_id)

    assert [1, 2, 4, 4] == [width for width in widths if width][:4]
    assert 4 == bench.provider.widest


async def test_loss_brings_the_width_back_to_one() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=4))
    bench.provider.holds = True
    async with bench.running():
        for place in range(12):
            await bench.accept(f"job-{place}")
        for width in (1, 2, 4):
            await quiet()
            assert width == len(bench.provider.open)
            for job_id in list(bench.provider.open):
                bench.provider.answer(job_id)
        await until(lambda: 4 == len(bench.provider.open))
        for job_id in list(bench.provider.open):
            bench.provider.fail(job_id, DOWN)
        await quiet()
        assert 0 == len(bench.provider.open)  # a pause, then one
        bench.clock.advance(2.0)
        await quiet()

        assert 1 == len(bench.provider.open)


async def test_failing_provider_does_not_use_up_the_attempts_of_all_jobs() -> None:
    bench = Bench()
    bench.provider.script = [DOWN] * 1000
    async with bench.running():
        for place in range(100):
            await bench.accept(f"job-{place}")
        for _ in range(60):
            bench.clock.advance(1.0)
            await quiet()

    assert len(bench.provider.calls) < 15


async def test_conversation_is_answered_in_order() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=8))
    bench.provider.script = [None, DOWN]
    async with bench.running():
        await bench.accept("warm-up")
        await bench.reaches(JobState.SUCCEEDED, "warm-up")
        for place in (1, 2, 3):
            await bench.accept(f"job-{place}", conversation_id="c")
        await bench.reaches(JobState.RETRY_WAIT)
        assert ["warm-up", "job-1"] == bench.provider.asked  # the failed one holds the others up
        for _ in range(3):
            bench.clock.advance(10.0)
            await quiet()

    assert ["warm-up", "job-1", "job-1", "job-2", "job-3"] == bench.provider.asked


async def test_failed_job_lets_its_conversation_go_on() -> None:
    bench = Bench()
    bench.provider.script = [REFUSED]
    async with bench.running():
        for place in (1, 2):
            await bench.accept(f"job-{place}", conversation_id="c")
        await bench.reaches(JobState.SUCCEEDED, "job-2")

    assert JobState.FAILED is bench.job().state


async def test_request_that_is_not_valid_any_more_fails_unsent() -> None:
    def refuse(call: Call) -> None:
        if call.request.prompt == "job-1":
            raise Rejected(Reason.ERROR_REASON_MODEL_NOT_FOUND, "gone")

    bench = Bench(admit=refuse)
    async with bench.running():
        await bench.accept()
        await bench.accept("job-2")
        await bench.reaches(JobState.SUCCEEDED, "job-2")

    assert ["job-2"] == bench.provider.asked
    assert JobState.FAILED is bench.job().state
    assert "MODEL_NOT_FOUND" == bench.told(JobFinished)[0].reason


async def test_defect_in_one_job_stops_no_other() -> None:
    def trip(call: Call) -> None:
        if call.request.prompt == "job-1":
            raise ZeroDivisionError

    bench = Bench(admit=trip)
    async with bench.running():
        await bench.accept()
        await bench.accept("job-2")
        await bench.reaches(JobState.SUCCEEDED, "job-2")

    assert JobState.FAILED is bench.job().state
    (found,) = bench.told(DefectFound)
    assert "ZeroDivisionError" == found.kind


async def test_refused_key_pauses_all_and_is_told_once() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=4))
    bench.provider.script = [WRONG_KEY] * 3
    async with bench.running():
        for place in range(1, 6):
            await bench.accept(f"job-{place}")
        await quiet()
        assert ["job-1"] == bench.provider.asked
        for _ in range(2):
            bench.clock.advance(60.0)
            await quiet()
        assert ["job-1", "job-2", "job-3"] == bench.provider.asked  # one probe a minute, each by another job
        (paused,) = bench.told(SpoolPaused)
        assert ("UPSTREAM_CREDENTIALS", "wrong key") == (paused.cause, paused.problem)
        assert [] == bench.told(SpoolResumed)

        bench.drainer.key_changed(KeyChanged(source="file"))
        await quiet()

    assert {JobState.SUCCEEDED} == {bench.job(f"job-{place}").state for place in range(1, 6)}
    (resumed,) = bench.told(SpoolResumed)
    assert 120.0 == resumed.duration_s
    assert 0 == bench.spool.stats().uncertain_total


async def test_wide_lane_probes_with_one_job_after_a_refusal() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=4))
    async with bench.running():
        for place in range(8):
            await bench.accept(f"before-{place}")
        await bench.reaches(JobState.SUCCEEDED, "before-7")
        bench.provider.script = [WRONG_KEY]
        await bench.accept()
        await until(lambda: bench.told(SpoolPaused))
        bench.provider.holds = True
        for place in range(8):
            await bench.accept(f"after-{place}")
        bench.clock.advance(60.0)
        await quiet()

        assert ["after-0"] == list(bench.provider.open)


async def test_refused_job_is_the_probe_where_there_is_no_other() -> None:
    bench = Bench()
    bench.provider.script = [WRONG_KEY] * 3
    async with bench.running():
        await bench.accept()
        for place in range(1, 4):
            await quiet()
            assert place == len(bench.provider.calls)
            bench.clock.advance(60.0)
        await bench.reaches(JobState.SUCCEEDED)


async def test_waiting_job_that_is_cancelled_is_never_sent() -> None:
    bench = Bench(uplink=Uplink.OFFLINE)
    async with bench.running():
        await bench.accept()
        await quiet()
        await bench.spool.cancel(CALLER, "job-1")
        await quiet()
        bench.goes(Uplink.ONLINE)
        await quiet()

    assert [] == bench.provider.calls
    (finished,) = bench.told(JobFinished)
    assert ("cancelled", "CANCELLED") == (finished.state, finished.reason)


async def test_running_job_is_cancelled_and_tells_that_it_may_be_billed() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        await bench.accept(resend_policy=ResendPolicy.RESEND_ONCE)
        await until(lambda: bench.provider.open)
        await bench.spool.cancel(CALLER, "job-1")

        assert bench.drainer.cancel("job-1")
        job = await bench.reaches(JobState.CANCELLED)
        await bench.accept("job-2")
        await until(lambda: "job-2" in bench.provider.open)

    assert job.error is not None
    assert job.error.possibly_billed
    assert ["cancelled"] == [event.state for event in bench.told(JobFinished)]


async def test_running_job_that_had_not_left_is_cancelled_free_of_charge() -> None:
    bench = Bench()
    waits = asyncio.Event()

    async def queued(call: Call) -> Reply:
        await begins(call)
        call.attempt_count += 1
        await waits.wait()
        raise AssertionError

    bench.provider = queued  # type: ignore[assignment]  # a handler is a handler
    bench.drainer = bench.started()
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.drainer.active)
        await quiet()
        bench.drainer.cancel("job-1")
        job = await bench.reaches(JobState.CANCELLED)

    assert job.error is not None
    assert not job.error.possibly_billed


async def test_job_that_is_cancelled_while_its_intent_is_stored_is_not_sent() -> None:
    bench = Bench()
    begin, commits = bench.spool.begin, asyncio.Event()

    async def slowly(job_id: str) -> Attempt | None:
        attempt = await begin(job_id)
        await commits.wait()
        return attempt

    bench.spool.begin = slowly  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.drainer.active)
        await quiet()
        await bench.spool.cancel(CALLER, "job-1")
        assert bench.drainer.cancel("job-1")
        commits.set()
        job = await bench.reaches(JobState.CANCELLED)

    assert job.error is not None
    assert not job.error.possibly_billed
    assert [] == bench.provider.calls


async def test_cancellation_that_comes_while_a_failure_is_stored_is_not_forgotten() -> None:
    bench = Bench()
    bench.provider.script = [DOWN]
    fail, commits = bench.spool.fail, asyncio.Event()

    async def slowly(attempt: Attempt, error: CallError, *, retry_in_s: float | None, counts: bool) -> Job | None:
        job = await fail(attempt, error, retry_in_s=retry_in_s, counts=counts)
        await commits.wait()
        return job

    bench.spool.fail = slowly  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.job().state is JobState.RETRY_WAIT)
        assert bench.drainer.cancel("job-1")
        commits.set()
        await bench.reaches(JobState.CANCELLED)

    assert ["cancelled"] == [event.state for event in bench.told(JobFinished)]


async def test_job_that_was_cancelled_elsewhere_before_its_turn_is_told_once() -> None:
    bench = Bench()
    begin = bench.spool.begin

    async def late(job_id: str) -> Attempt | None:
        await bench.spool.cancel(CALLER, job_id)
        return await begin(job_id)

    bench.spool.begin = late  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await bench.reaches(JobState.CANCELLED)
        await quiet()

    assert [] == bench.provider.calls
    assert ["cancelled"] == [event.state for event in bench.told(JobFinished)]


async def test_cancel_of_a_job_that_does_not_run_does_nothing() -> None:
    assert not Bench().drainer.cancel("job-1")


async def test_answer_that_comes_before_the_cancellation_counts() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.provider.open)
        await bench.spool.cancel(CALLER, "job-1")
        bench.provider.answer("job-1")
        await bench.reaches(JobState.SUCCEEDED)

        assert not bench.drainer.cancel("job-1")


async def test_erased_job_is_not_waited_for() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.provider.open)
        await bench.spool.erase(CALLER, "job-1")
        await until(lambda: not bench.provider.open)
        await until(lambda: bench.told(JobFinished))

    assert JobState.ERASED is bench.job().state
    assert ["erased"] == [event.state for event in bench.told(JobFinished)]


async def test_overdue_job_expires_and_is_told() -> None:
    bench = Bench(uplink=Uplink.OFFLINE)
    async with bench.running():
        await bench.accept(ttl_s=5.0)
        await quiet()
        bench.clock.advance(5.2)
        await quiet()

    assert JobState.EXPIRED is bench.job().state
    assert ["expired"] == [event.state for event in bench.told(JobFinished)]


async def test_old_jobs_are_purged() -> None:
    bench = Bench()
    async with bench.running():
        await bench.accept()
        await bench.reaches(JobState.SUCCEEDED)
        await quiet()
        bench.clock.advance(86_400.0 + SWEEP_S)
        await quiet()

    assert 1 == bench.spool.stats().purged_total


@pytest.mark.parametrize(
    ("timeout_s", "ttl_s", "expected_s"), [(None, 3600.0, 600.0), (30.0, 3600.0, 30.0), (None, 20.0, 20.0)]
)
async def test_attempt_has_a_deadline(timeout_s: float | None, ttl_s: float, expected_s: float) -> None:
    bench = Bench()
    request = builders.chat_request()
    if timeout_s is not None:
        request.timeout.CopyFrom(Duration(seconds=int(timeout_s)))
    async with bench.running():
        await bench.accept(request=request, ttl_s=ttl_s)
        await bench.reaches(JobState.SUCCEEDED)

    (call,) = bench.provider.calls
    assert expected_s == pytest.approx(call.deadline.at_s - bench.clock.monotonic_s())
    assert call.emit is None


async def test_storage_failure_pauses_and_is_told_once() -> None:
    bench = Bench()
    async with bench.running():
        await bench.accept()
        bench.spool.broken = True
        await quiet()
        bench.clock.advance(STORAGE_PAUSE_S)
        await quiet()
        assert [] == bench.provider.calls
        assert ["STORAGE_UNAVAILABLE"] == [event.cause for event in bench.told(SpoolPaused)]

        bench.spool.broken = False
        bench.clock.advance(STORAGE_PAUSE_S)
        await bench.reaches(JobState.SUCCEEDED)

    assert 1 == len(bench.told(SpoolResumed))


async def test_intent_that_cannot_be_stored_is_not_sent() -> None:
    bench = Bench(uplink=Uplink.OFFLINE)
    async with bench.running():
        await bench.accept()
        await quiet()
        bench.spool.broken = True
        bench.goes(Uplink.ONLINE)
        await quiet()
        assert [] == bench.provider.calls
        assert JobState.QUEUED is bench.job().state
        assert ["STORAGE_UNAVAILABLE"] == [event.cause for event in bench.told(SpoolPaused)]

        bench.spool.broken = False
        bench.clock.advance(STORAGE_PAUSE_S)
        await bench.reaches(JobState.SUCCEEDED)

    assert 1 == len(bench.told(SpoolResumed))


async def test_answer_that_the_storage_never_takes_leaves_the_job_uncertain() -> None:
    bench = Bench()

    async def too_large(attempt: Attempt, response: chat_pb2.ChatResponse) -> bool:  # noqa: ARG001  the port
        raise Rejected(Reason.ERROR_REASON_REQUEST_TOO_LARGE, "too large")

    bench.spool.succeed = too_large  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        job = await bench.reaches(JobState.UNCERTAIN)

    assert job.error is not None
    assert job.error.possibly_billed
    assert 1 == len(bench.provider.calls)


async def test_answer_is_held_until_the_storage_can_take_it() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.provider.open)
        bench.spool.broken = True
        bench.provider.answer("job-1")
        await quiet()
        assert JobState.SENDING is bench.job().state

        bench.spool.broken = False
        bench.clock.advance(STORAGE_PAUSE_S)
        await bench.reaches(JobState.SUCCEEDED)

    assert 1 == len(bench.provider.calls)


async def test_job_whose_change_was_never_told_is_found_when_the_storage_recovers() -> None:
    bench = Bench()
    async with bench.running():
        await quiet()
        bench.spool._readers.clear()
        await bench.accept()
        await quiet()
        assert [] == bench.provider.calls

        bench.drainer.storage_recovered(SpoolRecovered())
        await bench.reaches(JobState.SUCCEEDED)


async def test_storage_defect_stops_nobody() -> None:
    bench = Bench()
    begin = bench.spool.begin

    async def trip(job_id: str) -> Attempt | None:
        if job_id == "job-1":
            raise OSError
        return await begin(job_id)

    bench.spool.begin = trip  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await bench.accept("job-2")
        await bench.reaches(JobState.SUCCEEDED, "job-2")
        bench.spool.begin = begin  # type: ignore[method-assign]  # mended
        bench.clock.advance(61.0)
        await bench.reaches(JobState.SUCCEEDED)

    assert ["OSError"] == [event.kind for event in bench.told(DefectFound)]


async def test_defect_in_the_sweep_stops_nobody() -> None:
    bench = Bench()
    failed_count = 0

    async def trip() -> int:
        nonlocal failed_count
        failed_count += 1
        raise ZeroDivisionError

    bench.spool.sweep = trip  # type: ignore[method-assign]  # only here
    async with bench.running():
        await quiet()
        for pause_s in (SWEEP_S, STORAGE_PAUSE_S):
            bench.clock.advance(pause_s)
            await quiet()
        await bench.accept()
        await bench.reaches(JobState.SUCCEEDED)

    assert 2 == failed_count
    assert {"spool sweep"} == {event.where for event in bench.told(DefectFound)}


async def test_stopping_begins_nothing_and_waits_for_what_runs() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        for place in (1, 2):
            await bench.accept(f"job-{place}")
        await until(lambda: bench.provider.open)
        bench.drainer.stop()
        bench.provider.answer("job-1")

        assert await bench.drainer.drained(5.0)
        await quiet()

    assert (JobState.SUCCEEDED, JobState.QUEUED) == (bench.job("job-1").state, bench.job("job-2").state)


async def test_what_is_cut_off_is_uncertain_at_the_next_start() -> None:
    bench = Bench()
    bench.provider.holds = True
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.provider.open)
        bench.drainer.stop()
        assert not await bench.drainer.drained(0.0)

    assert JobState.SENDING is bench.job().state
    bench.spool = bench.spool.reopened()
    assert JobState.UNCERTAIN is bench.job().state


async def test_clock_that_is_set_back_delays_nothing() -> None:
    bench = Bench()
    bench.provider.script = [DOWN]
    async with bench.running():
        await bench.accept()
        await bench.reaches(JobState.RETRY_WAIT)
        await quiet()
        bench.clock._wall_s -= 1_700_000_000.0
        bench.clock.advance(10.0)
        await bench.reaches(JobState.SUCCEEDED)


async def test_live_call_with_a_key_is_not_sent_by_the_drainer() -> None:
    bench = Bench()
    async with bench.running():
        attempt = (await bench.accepted(kind=JobKind.CALL, idempotency_key="k")).attempt
        await quiet()
        assert attempt is not None
        assert [] == bench.provider.calls

        await bench.spool.park(attempt, ttl_s=60.0)
        await bench.reaches(JobState.SUCCEEDED)


async def test_thousand_jobs_are_sent_each_once() -> None:
    bench = Bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=100))
    for place in range(1000):
        await bench.accept(f"job-{place}", caller=f"device-{place % 7}", conversation_id=f"c{place % 50}")
    async with bench.running():
        for _ in range(200):
            await quiet()
            if bench.spool.stats().by_state.get(JobState.SUCCEEDED) == 1000:
                break

    assert sorted(bench.provider.asked) == sorted(f"job-{place}" for place in range(1000))
