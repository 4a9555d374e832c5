"""A job that waits for its turn waits on the disk as well: nothing was sent, and nobody has to wonder."""

import asyncio
from typing import Any

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
)
from edgeclient.core.events import DefectFound, RetryScheduled, Uplink
from edgeclient.core.job_events import JobFinished, JobStarted, SpoolPaused, SpoolResumed
from edgeclient.core.jobs import Attempt, JobState, ResendPolicy
from edgeclient.spool.intake import SWEEP_S
from edgeclient.spool.lane import STORAGE_PAUSE_S
from edgeclient.v1 import chat_pb2

FULL = Throttled(Reason.ERROR_REASON_DISPATCH_FULL, "full", retry_after_s=0.5)
TOO_LONG = Throttled(Reason.ERROR_REASON_DISPATCH_FULL, "its turn would come later", retry_after_s=5000.0)
LATE = OutOfTime(Reason.ERROR_REASON_DEADLINE, "late")
STOP = Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "stop", retry_after_s=1.0)
NO_WAY = Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way")
ALL_PAUSE = Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "all targets pause", retry_after_s=40.0)
ALL_REST = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "all targets rest", retry_after_s=40.0)
TOO_LARGE = Rejected(Reason.ERROR_REASON_REQUEST_TOO_LARGE, "never fits")
WRONG_KEY = Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "wrong key")


class Line(Provider):
    """Lets calls wait for their turn before they are asked; each goes when `let_go` says so, or is turned away."""

    def __init__(self, *refusals: CallError) -> None:
        super().__init__()
        self.refusals = list(refusals)
        self.closed = True
        self.waiting: dict[str, asyncio.Future[None]] = {}

    async def __call__(self, call: Call) -> Reply:
        if self.refusals:
            raise self.refusals.pop(0)
        if self.closed:
            self.waiting[call.id] = asyncio.get_running_loop().create_future()
            try:
                await self.waiting[call.id]
            finally:
                del self.waiting[call.id]
        return await super().__call__(call)

    def let_go(self, job_id: str = "job-1") -> None:
        self.waiting[job_id].set_result(None)

    def turn_away(self, error: CallError, job_id: str = "job-1") -> None:
        self.waiting[job_id].set_exception(error)


def waiting_bench(*refusals: CallError, **over: Any) -> tuple[Bench, Line]:
    line = Line(*refusals)
    return Bench(provider=line, **over), line


async def test_job_that_waits_for_its_turn_waits_on_the_disk_and_is_begun_with_it() -> None:
    bench, line = waiting_bench()
    line.holds = True
    async with bench.running():
        accepted = await bench.accept()
        await until(lambda: line.waiting)
        bench.clock.advance(60.0)
        waiting = bench.job()
        line.let_go()
        await until(lambda: line.open)

        assert (JobState.QUEUED, 0, accepted.revision) == (waiting.state, waiting.attempt_count, waiting.revision)
        assert (JobState.SENDING, 1) == (bench.job().state, bench.job().attempt_count)
        assert [60.0] == [event.wait_s for event in bench.told(JobStarted)]


async def test_crash_while_jobs_wait_for_their_turn_leaves_them_as_they_were() -> None:
    bench, line = waiting_bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=4))
    line.closed = False
    async with bench.running():
        for place in range(8):
            await bench.accept(f"before-{place}")
        await bench.reaches(JobState.SUCCEEDED, "before-7")
        line.closed = True
        for place in range(4):
            await bench.accept(f"job-{place}")
        await until(lambda: 4 == len(line.waiting))

    bench.spool = bench.spool.reopened()

    assert {JobState.QUEUED} == {bench.job(f"job-{place}").state for place in range(4)}
    assert 0 == bench.spool.stats().uncertain_total


async def test_one_run_begins_once_however_many_attempts_its_call_makes() -> None:
    bench = Bench()
    told: list[tuple[int, float]] = []

    async def route(call: Call) -> Reply:
        for _ in range(2):
            await begins(call)
            call.attempt_count += 1
            told.append((call.attempt_count, call.deadline.at_s))
            bench.clock.advance(5.0)
        return Reply()

    bench.provider = route  # type: ignore[assignment]  # a handler is a handler
    bench.drainer = bench.started()
    async with bench.running():
        await bench.accept()
        job = await bench.reaches(JobState.SUCCEEDED)

    assert 1 == job.attempt_count
    assert [(1, 1600.0), (2, 1600.0)] == told
    assert 1 == len(bench.told(JobStarted))


async def test_time_budget_begins_with_the_turn() -> None:
    bench, line = waiting_bench()
    request = builders.chat_request(timeout=Duration(seconds=30))
    async with bench.running():
        await bench.accept(request=request)
        await until(lambda: line.waiting)
        bench.clock.advance(29.0)
        line.let_go()
        await bench.reaches(JobState.SUCCEEDED)

    (call,) = line.calls
    assert bench.clock.monotonic_s() + 30.0 == pytest.approx(call.deadline.at_s)


@pytest.mark.parametrize("how", ["cancel", "erase"])
async def test_job_that_is_taken_away_leaves_the_line_at_once_and_free_of_charge(how: str) -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept(resend_policy=ResendPolicy.RESEND_ONCE)
        await until(lambda: line.waiting)
        await (bench.spool.cancel if how == "cancel" else bench.spool.erase)(CALLER, "job-1")
        await until(lambda: not line.waiting)
        await until(lambda: bench.told(JobFinished))
        await bench.accept("job-2")
        await until(lambda: "job-2" in line.waiting)

    state = JobState.CANCELLED if how == "cancel" else JobState.ERASED
    assert state is bench.job().state
    assert [state.name.lower()] == [event.state for event in bench.told(JobFinished)]
    assert not bench.told(JobFinished)[0].possibly_billed
    assert [] == line.calls


async def test_job_whose_time_ends_while_it_waits_for_its_turn_expires() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept(ttl_s=5.0)
        await until(lambda: line.waiting)
        bench.clock.advance(SWEEP_S)
        await until(lambda: not line.waiting)
        await until(lambda: bench.told(JobFinished))

    assert JobState.EXPIRED is bench.job().state
    assert ["expired"] == [event.state for event in bench.told(JobFinished)]


async def test_job_that_the_line_gives_up_when_its_time_is_over_expires_at_once() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept(ttl_s=5.0)
        await until(lambda: line.waiting)
        bench.clock.advance(5.0)
        line.turn_away(LATE)
        await quiet()
        bench.clock.advance(0.2)
        await quiet()

    assert JobState.EXPIRED is bench.job().state
    assert [] == line.calls


async def test_turn_of_a_job_that_has_just_expired_sends_nothing() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept(ttl_s=5.0)
        await until(lambda: line.waiting)
        bench.clock.advance(5.0)
        line.let_go()
        await until(lambda: bench.told(JobFinished))

    assert JobState.EXPIRED is bench.job().state
    assert [] == line.calls


async def test_stopping_node_leaves_those_in_the_line_as_they_were() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept()
        await until(lambda: line.waiting)
        revision = bench.job().revision
        line.turn_away(STOP)
        bench.drainer.stop()

        assert await bench.drainer.drained(5.0)
        assert (JobState.QUEUED, revision) == (bench.job().state, bench.job().revision)


async def test_turn_that_comes_while_the_node_stops_is_given_back() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept()
        await until(lambda: line.waiting)
        bench.drainer.stop()
        line.let_go()

        assert await bench.drainer.drained(5.0)
    assert ([], JobState.QUEUED) == (line.calls, bench.job().state)


async def test_turn_that_comes_while_the_way_is_lost_is_given_back_and_comes_again() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept()
        await until(lambda: line.waiting)
        bench.goes(Uplink.OFFLINE)
        line.let_go()
        await quiet()
        assert ([], JobState.QUEUED) == (line.calls, bench.job().state)

        line.closed = False
        bench.goes(Uplink.ONLINE)
        await bench.reaches(JobState.SUCCEEDED)

    assert 1 == len(line.calls)


async def test_turn_that_cannot_be_stored_is_given_back_and_comes_again() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept()
        await until(lambda: line.waiting)
        bench.spool.broken = True
        line.let_go()
        await quiet()
        assert [] == line.calls
        assert ["STORAGE_UNAVAILABLE"] == [event.cause for event in bench.told(SpoolPaused)]

        bench.spool.broken, line.closed = False, False
        bench.clock.advance(STORAGE_PAUSE_S)
        await bench.reaches(JobState.SUCCEEDED)

    assert 1 == len(line.calls)


async def test_job_that_is_cancelled_while_its_turn_is_stored_is_not_sent() -> None:
    bench, line = waiting_bench()
    line.closed = False
    begin, commits = bench.spool.begin, asyncio.Event()

    async def slowly(job_id: str) -> Attempt | None:
        attempt = await begin(job_id)
        await commits.wait()
        return attempt

    bench.spool.begin = slowly  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.job().state is JobState.SENDING)
        await bench.spool.cancel(CALLER, "job-1")
        assert bench.drainer.cancel("job-1")
        commits.set()
        job = await bench.reaches(JobState.CANCELLED)

    assert job.error is not None
    assert not job.error.possibly_billed
    assert [] == line.calls


@pytest.mark.parametrize(
    ("refusal", "back_after_s"),
    [(FULL, 0.5), (TOO_LONG, 5002.0), (LATE, 2.0), (STOP, 3.0), (NO_WAY, 2.0), (ALL_REST, 42.0), (ALL_PAUSE, 42.0)],
    ids=lambda value: getattr(value, "message", str(value)),
)
async def test_job_that_was_refused_before_its_turn_waits_on_without_a_commit(
    refusal: CallError, back_after_s: float
) -> None:
    bench, line = waiting_bench(refusal)
    line.closed = False
    async with bench.running():
        accepted = await bench.accept()
        await until(lambda: not line.refusals)
        await quiet()
        assert (JobState.QUEUED, accepted.revision) == (bench.job().state, bench.job().revision)
        assert [] == line.calls

        bench.clock.advance(back_after_s)
        job = await bench.reaches(JobState.SUCCEEDED)

    assert 1 == job.attempt_count
    assert 1 == len(bench.told(JobStarted))
    assert [] == bench.told(RetryScheduled)


@pytest.mark.parametrize(
    ("refusal", "asked"),
    [(FULL, []), (ALL_REST, []), (ALL_PAUSE, []), (TOO_LONG, ["job-2"]), (LATE, ["job-2"])],
    ids=lambda value: getattr(value, "message", ""),
)
async def test_refusal_that_concerns_all_lets_the_others_wait_as_well(refusal: CallError, asked: list[str]) -> None:
    bench, line = waiting_bench(refusal)
    line.closed = False
    async with bench.running():
        for job_id in ("job-1", "job-2"):
            await bench.accept(job_id)
        await quiet()

        assert asked == line.asked


async def test_job_that_never_fits_fails_unsent() -> None:
    bench, line = waiting_bench(TOO_LARGE)
    async with bench.running():
        await bench.accept()
        job = await bench.reaches(JobState.FAILED)

    assert job.error is not None
    assert (Reason.ERROR_REASON_REQUEST_TOO_LARGE, False) == (job.error.reason, job.error.possibly_billed)
    assert [] == line.calls


async def test_refusal_of_the_key_that_was_known_before_anything_was_sent_pauses_all() -> None:
    bench, line = waiting_bench(WRONG_KEY)
    line.closed = False
    async with bench.running():
        before = [await bench.accept(job_id) for job_id in ("job-1", "job-2")]
        await quiet()
        assert ["UPSTREAM_CREDENTIALS"] == [event.cause for event in bench.told(SpoolPaused)]
        assert [] == line.calls
        assert [job.revision for job in before] == [bench.job("job-1").revision, bench.job("job-2").revision]

        bench.clock.advance(60.0)
        await bench.reaches(JobState.SUCCEEDED, "job-1")
        await bench.reaches(JobState.SUCCEEDED, "job-2")


async def test_refusal_by_this_node_does_not_show_that_the_provider_takes_requests_again() -> None:
    bench, line = waiting_bench(WRONG_KEY, TOO_LARGE, WRONG_KEY)
    line.closed = False
    async with bench.running():
        for job_id in ("job-1", "job-2"):
            await bench.accept(job_id)
        await quiet()
        bench.clock.advance(60.0)
        await quiet()
        assert JobState.FAILED is bench.job("job-2").state
        assert [] == bench.told(SpoolResumed)


async def test_limit_of_the_caller_that_is_met_after_an_attempt_is_nothing_to_others() -> None:
    bench = Bench()

    async def route(call: Call) -> Reply:
        await begins(call)
        call.attempt_count += 1
        if call.id == "job-1":
            raise Throttled(Reason.ERROR_REASON_RATE_LIMITED, "reached, at the second target", retry_after_s=30.0)
        return Reply()

    bench.provider = route  # type: ignore[assignment]  # a handler is a handler
    bench.drainer = bench.started()
    async with bench.running():
        for job_id in ("job-1", "job-2"):
            await bench.accept(job_id)
        await bench.reaches(JobState.SUCCEEDED, "job-2")

    assert JobState.RETRY_WAIT is bench.job().state


async def test_targets_that_rest_are_left_alone_for_as_long_as_they_say() -> None:
    bench, line = waiting_bench(ALL_REST)
    line.closed = False
    async with bench.running():
        await bench.accept()
        await quiet()
        await bench.accept("job-2")
        bench.clock.advance(39.9)
        await quiet()
        assert [] == line.calls
        bench.clock.advance(2.2)
        await bench.reaches(JobState.SUCCEEDED, "job-2")


async def test_run_that_is_ended_while_it_waits_takes_its_job_with_it() -> None:
    bench, line = waiting_bench()
    async with bench.running():
        await bench.accept()
        await until(lambda: line.waiting)

        assert bench.drainer.cancel("job-1")
        job = await bench.reaches(JobState.CANCELLED)

    assert (0, []) == (job.attempt_count, line.calls)


async def test_outcome_that_is_being_stored_keeps_the_place_of_no_other_but_they_do_not_pile_up() -> None:
    bench, line = waiting_bench(config=SpoolConfig(resume_spread_s=0.0, max_in_flight=1))
    line.closed = False
    succeed, commits = bench.spool.succeed, asyncio.Event()

    async def slowly(attempt: Attempt, response: chat_pb2.ChatResponse) -> bool:
        await commits.wait()
        return await succeed(attempt, response)

    bench.spool.succeed = slowly  # type: ignore[method-assign]  # only here
    async with bench.running():
        for place in range(4):
            await bench.accept(f"job-{place}")
        await quiet()
        assert ["job-0", "job-1"] == line.asked

        commits.set()
        await bench.reaches(JobState.SUCCEEDED, "job-3")


async def test_road_that_sends_without_having_begun_is_found_out() -> None:
    bench = Bench()

    async def careless(_call: Call) -> Reply:
        return Reply()

    bench.provider = careless  # type: ignore[assignment]  # a handler is a handler
    bench.drainer = bench.started()
    async with bench.running():
        await bench.accept()
        await until(lambda: bench.told(DefectFound))

    assert ["RuntimeError"] == [event.kind for event in bench.told(DefectFound)]
    assert JobState.QUEUED is bench.job().state
