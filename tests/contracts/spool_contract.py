"""What every `Spool` promises, as tests; run against the fake and against the real one by `test_spool_contract.py`."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import builders
import pytest
from fakes.clock import FakeClock

from edgeclient.core.errors import (
    Blocked,
    CallError,
    Reason,
    Rejected,
    Stopping,
    Throttled,
    Unavailable,
    Uncertain,
)
from edgeclient.core.jobs import Attempt, Job, JobKind, JobState, NewJob, ResendPolicy
from edgeclient.core.spool import Spool, content_digest
from edgeclient.v1 import chat_pb2

CALLER = "device-7"
HOUR_S = 3600.0


class Bench(Protocol):
    """A spool on a bench."""

    @property
    def spool(self) -> Spool:
        """The spool as of now."""
        ...

    @property
    def clock(self) -> FakeClock:
        """Its clock."""
        ...

    async def crash(self) -> Spool:
        """Leave it as a crash does, and start it again."""
        ...


OpenBench = Callable[..., Any]
"""Opens a bench with caps: max_jobs, max_request_bytes, max_caller_share, retention_s, idempotency_window_s; and with
keep_failed_requests."""


def new_job(job_id: str = "job-1", **over: Any) -> NewJob:
    request = over.pop("request", None) or builders.chat_request()
    facts: dict[str, Any] = {
        "id": job_id,
        "caller": CALLER,
        "kind": JobKind.JOB,
        "request": request,
        "digest": content_digest(request),
    }
    return NewJob(**(facts | over))


def answer(text: str = "No.") -> chat_pb2.ChatResponse:
    return chat_pb2.ChatResponse(message=chat_pb2.Message(content=text), model="qwen-plus")


async def begun(spool: Spool, job_id: str = "job-1", **over: Any) -> Attempt:
    """Accept a job and begin its first attempt."""
    await spool.accept(new_job(job_id, **over))
    attempt = await spool.begin(job_id)
    assert attempt is not None
    return attempt


async def read(spool: Spool, job_id: str = "job-1") -> Job:
    job = await spool.get(CALLER, job_id)
    assert job is not None
    return job


FREE = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
BILLED = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut")


class AcceptContract:
    """Storing."""

    async def test_accepted_job_is_queued_and_readable(self, bench: Bench) -> None:
        accepted = await bench.spool.accept(new_job(label="boiler", conversation_id="c", ttl_s=HOUR_S))

        assert not accepted.duplicate
        job = await read(bench.spool)
        assert (JobState.QUEUED, "boiler", "c", 0) == (job.state, job.label, job.conversation_id, job.attempt_count)
        assert round(HOUR_S * 1000) == job.expire_ms - job.create_ms

    async def test_same_key_and_content_is_the_same_job(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(idempotency_key="k"))

        again = await bench.spool.accept(new_job("job-2", idempotency_key="k"))

        assert (True, "job-1") == (again.duplicate, again.job.id)
        assert 1 == bench.spool.stats().accepted_total
        assert await bench.spool.get(CALLER, "job-2") is None

    async def test_repeat_of_a_finished_job_brings_its_answer(self, bench: Bench) -> None:
        await bench.spool.succeed(await begun(bench.spool, idempotency_key="k"), answer("No."))

        again = await bench.spool.accept(new_job("job-2", idempotency_key="k"))

        assert again.job.response is not None
        assert "No." == again.job.response.message.content

    async def test_same_key_with_other_content_is_refused(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(idempotency_key="k"))

        with pytest.raises(Rejected) as caught:
            await bench.spool.accept(
                new_job("job-2", idempotency_key="k", request=builders.chat_request(prompt="Another question"))
            )

        assert Reason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED == caught.value.reason

    async def test_same_key_of_another_caller_is_another_job(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(idempotency_key="k"))

        assert not (await bench.spool.accept(new_job("job-2", idempotency_key="k", caller="other"))).duplicate

    async def test_repeats_at_the_same_moment_store_one(self, bench: Bench) -> None:
        outcomes = await asyncio.gather(
            *[bench.spool.accept(new_job(f"job-{place}", idempotency_key="k")) for place in range(8)]
        )

        assert 7 == sum(outcome.duplicate for outcome in outcomes)
        assert 1 == len({outcome.job.id for outcome in outcomes})

    async def test_full_queue_refuses_and_keeps_what_it_has(self, open_bench: OpenBench) -> None:
        bench = await open_bench(max_jobs=2, max_caller_share=1.0)
        for place in (1, 2):
            await bench.spool.accept(new_job(f"job-{place}"))

        with pytest.raises(Throttled) as caught:
            await bench.spool.accept(new_job("job-3"))

        assert Reason.ERROR_REASON_QUEUE_FULL == caught.value.reason
        assert 2 == len(await bench.spool.waiting())

    async def test_one_caller_cannot_fill_the_queue(self, open_bench: OpenBench) -> None:
        bench = await open_bench(max_jobs=4, max_caller_share=0.5)
        for place in (1, 2):
            await bench.spool.accept(new_job(f"job-{place}"))

        with pytest.raises(Throttled, match=r".+"):
            await bench.spool.accept(new_job("job-3"))

        assert not (await bench.spool.accept(new_job("job-4", caller="other"))).duplicate

    async def test_request_above_the_cap_is_refused(self, open_bench: OpenBench) -> None:
        bench = await open_bench(max_request_bytes=1024)

        with pytest.raises(Rejected) as caught:
            await bench.spool.accept(new_job(request=builders.chat_request(prompt="x" * 2000)))

        assert Reason.ERROR_REASON_REQUEST_TOO_LARGE == caught.value.reason


class AttemptContract:
    """Sending."""

    async def test_look_at_a_job_shows_what_its_attempt_would_and_changes_nothing(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(request=builders.chat_request(prompt="Why?", model="qwen-max"), ttl_s=10.0))

        seen = await bench.spool.peek("job-1")

        assert seen is not None
        assert seen.request is not None
        assert ("qwen-max", CALLER) == (seen.request.model, seen.caller)
        assert await read(bench.spool) == replace(seen, request=None, digest=(await read(bench.spool)).digest)
        assert await bench.spool.begin("job-1") is not None
        assert await bench.spool.peek("job-1") is None

    async def test_there_is_nothing_to_look_at_where_nothing_would_begin(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(ttl_s=10.0))
        await bench.spool.accept(new_job("call", kind=JobKind.CALL, idempotency_key="k"))
        bench.clock.advance(10.001)

        assert [None] * 3 == [await bench.spool.peek(job_id) for job_id in ("job-1", "call", "unknown")]
        assert JobState.QUEUED is (await read(bench.spool)).state

    async def test_begun_attempt_has_the_request_and_counts(self, bench: Bench) -> None:
        attempt = await begun(bench.spool, request=builders.chat_request(prompt="Why?"))

        assert attempt.job.request is not None
        assert "Why?" == attempt.job.request.prompt
        assert (JobState.SENDING, 1) == (attempt.job.state, attempt.job.attempt_count)

    async def test_job_is_begun_once_at_a_time(self, bench: Bench) -> None:
        await begun(bench.spool)

        assert await bench.spool.begin("job-1") is None

    async def test_unknown_job_cannot_be_begun(self, bench: Bench) -> None:
        assert await bench.spool.begin("job-9") is None

    async def test_overdue_job_expires_instead_of_being_begun(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(ttl_s=10.0))
        bench.clock.advance(10.001)

        assert await bench.spool.begin("job-1") is None
        job = await read(bench.spool)
        assert job.error is not None
        assert (JobState.EXPIRED, Reason.ERROR_REASON_DEADLINE) == (job.state, job.error.reason)

    async def test_answer_ends_the_job(self, bench: Bench) -> None:
        assert await bench.spool.succeed(await begun(bench.spool), answer("No."))

        job = await read(bench.spool)
        assert job.response is not None
        assert (JobState.SUCCEEDED, "No.") == (job.state, job.response.message.content)
        assert job.purge_ms > job.end_ms > 0

    async def test_answer_that_was_there_already_ends_the_job_without_an_attempt(self, bench: Bench) -> None:
        await bench.spool.accept(new_job())

        assert await bench.spool.give("job-1", answer("No."))

        job = await read(bench.spool)
        assert job.response is not None
        assert (JobState.SUCCEEDED, "No.", 0) == (job.state, job.response.message.content, job.attempt_count)
        assert job.purge_ms > job.end_ms > 0
        assert not await bench.spool.give("job-1", answer("Yes."))

    async def test_answer_is_given_where_another_attempt_would_follow_and_nowhere_else(self, bench: Bench) -> None:
        attempt = await begun(bench.spool)
        assert not await bench.spool.give("job-1", answer())
        await bench.spool.fail(attempt, FREE, retry_in_s=1.0, counts=True)

        assert await bench.spool.give("job-1", answer())

        job = await read(bench.spool)
        assert (JobState.SUCCEEDED, 1, None) == (job.state, job.attempt_count, job.error)
        assert not await bench.spool.give("nobody's", answer())

    async def test_overdue_job_expires_instead_of_being_given_an_answer(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(ttl_s=10.0))
        bench.clock.advance(10.001)

        assert not await bench.spool.give("job-1", answer())
        assert JobState.EXPIRED is (await read(bench.spool)).state

    async def test_attempt_can_be_finished_once(self, bench: Bench) -> None:
        attempt = await begun(bench.spool)
        assert await bench.spool.succeed(attempt, answer("first"))

        assert not await bench.spool.succeed(attempt, answer("second"))
        assert await bench.spool.fail(attempt, FREE, retry_in_s=1.0, counts=True) is None
        response = (await read(bench.spool)).response
        assert response is not None
        assert "first" == response.message.content

    async def test_attempt_of_before_is_fenced_off(self, bench: Bench) -> None:
        old = await begun(bench.spool)
        await bench.spool.fail(old, FREE, retry_in_s=0.0, counts=True)
        assert await bench.spool.begin("job-1") is not None

        assert not await bench.spool.succeed(old, answer())
        assert JobState.SENDING is (await read(bench.spool)).state

    @pytest.mark.parametrize(
        ("error", "retry_in_s", "state"),
        [
            (FREE, 1.0, JobState.RETRY_WAIT),
            (Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow", retry_after_s=1), 1.0, JobState.RETRY_WAIT),
            (Stopping(Reason.ERROR_REASON_SHUTTING_DOWN, "stop"), 1.0, JobState.RETRY_WAIT),
            (FREE, None, JobState.DEAD),
            (Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"), None, JobState.FAILED),
            (Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no"), 1.0, JobState.FAILED),
            (Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "key"), 1.0, JobState.QUEUED),
            (BILLED, 1.0, JobState.UNCERTAIN),
            (BILLED, None, JobState.UNCERTAIN),
            (
                Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "cut", possibly_billed=True),
                1.0,
                JobState.UNCERTAIN,
            ),
            (CallError(Reason.ERROR_REASON_INTERNAL, "defect"), 1.0, JobState.UNCERTAIN),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, CallError) else str(value),
    )
    async def test_error_decides_the_state(
        self, bench: Bench, error: CallError, retry_in_s: float | None, state: JobState
    ) -> None:
        job = await bench.spool.fail(await begun(bench.spool), error, retry_in_s=retry_in_s, counts=True)

        assert job is not None
        assert state is job.state
        told = (await read(bench.spool)).error
        assert told is not None
        assert (error.reason, error.possibly_billed) == (told.reason, told.possibly_billed)

    async def test_next_attempt_is_where_it_was_asked_for(self, bench: Bench) -> None:
        before_ms = round(bench.clock.wall_s() * 1000)

        job = await bench.spool.fail(await begun(bench.spool), FREE, retry_in_s=2.5, counts=True)

        assert job is not None
        assert before_ms + 2500 == job.next_attempt_ms
        (waiting,) = await bench.spool.waiting()
        assert before_ms + 2500 == waiting.next_attempt_ms

    async def test_attempt_that_does_not_count_is_not_counted(self, bench: Bench) -> None:
        first = await bench.spool.fail(await begun(bench.spool), FREE, retry_in_s=0.0, counts=False)
        assert first is not None
        assert 0 == first.attempt_count

        attempt = await bench.spool.begin("job-1")
        assert attempt is not None
        second = await bench.spool.fail(attempt, FREE, retry_in_s=0.0, counts=True)
        assert second is not None
        assert 1 == second.attempt_count

    async def test_resend_once_sends_once_more_and_no_more(self, bench: Bench) -> None:
        attempt = await begun(bench.spool, resend_policy=ResendPolicy.RESEND_ONCE)
        job = await bench.spool.fail(attempt, BILLED, retry_in_s=0.0, counts=True)
        assert job is not None
        assert JobState.RETRY_WAIT is job.state

        again = await bench.spool.begin("job-1")
        assert again is not None
        job = await bench.spool.fail(again, BILLED, retry_in_s=0.0, counts=True)
        assert job is not None
        assert JobState.UNCERTAIN is job.state
        assert await bench.spool.begin("job-1") is None
        assert (2, 1) == (bench.spool.stats().uncertain_total, bench.spool.stats().resent_total)

    async def test_what_was_perhaps_billed_once_is_told_to_the_end(self, bench: Bench) -> None:
        attempt = await begun(bench.spool, resend_policy=ResendPolicy.RESEND_ONCE)
        await bench.spool.fail(attempt, BILLED, retry_in_s=0.0, counts=True)
        again = await bench.spool.begin("job-1")
        assert again is not None

        refused = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no")
        job = await bench.spool.fail(again, refused, retry_in_s=None, counts=True)

        assert job is not None
        assert job.error is not None
        assert (JobState.FAILED, True) == (job.state, job.error.possibly_billed)

    async def test_held_job_is_not_sent_again(self, bench: Bench) -> None:
        await bench.spool.fail(await begun(bench.spool), BILLED, retry_in_s=0.0, counts=True)

        assert await bench.spool.begin("job-1") is None
        assert [] == await bench.spool.waiting()

    @pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
    @pytest.mark.parametrize("end", [JobState.FAILED, JobState.DEAD, JobState.EXPIRED])
    async def test_request_of_a_job_that_failed_is_kept_and_counted_until_its_purge(
        self,
        open_bench: OpenBench,
        end: JobState,
        kept: bool,  # noqa: FBT001
    ) -> None:
        bench = await open_bench(retention_s=100.0, keep_failed_requests=kept)
        await bench.spool.accept(new_job(request=builders.chat_request(prompt="x" * 5000), ttl_s=10.0))
        attempt = await bench.spool.begin("job-1") if end is not JobState.EXPIRED else None
        if attempt is None:
            bench.clock.advance(10.001)
            await bench.spool.sweep()
        else:
            error = FREE if end is JobState.DEAD else Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no")
            await bench.spool.fail(attempt, error, retry_in_s=None, counts=True)

        assert end is (await read(bench.spool)).state
        assert kept == (bench.spool.stats().bytes_used > 5000)
        assert (await read(bench.spool)).request is None  # it is for operators, not for devices
        bench.clock.advance(100.001)
        await bench.spool.sweep()
        assert 0 == bench.spool.stats().bytes_used

    async def test_job_whose_time_is_over_tells_why_its_last_attempt_failed(self, bench: Bench) -> None:
        attempt = await begun(bench.spool, ttl_s=10.0)
        await bench.spool.fail(attempt, FREE, retry_in_s=60.0, counts=True)
        await bench.spool.accept(new_job("untried", ttl_s=10.0))
        bench.clock.advance(10.001)
        await bench.spool.sweep()

        tried, untried = (await read(bench.spool)).error, (await read(bench.spool, "untried")).error
        assert tried is not None
        assert untried is not None
        assert Reason.ERROR_REASON_DEADLINE == tried.reason == untried.reason
        assert "down" in tried.message
        assert "failed" not in untried.message

    async def test_request_of_a_job_that_succeeded_or_was_cancelled_is_not_kept(self, bench: Bench) -> None:
        long = builders.chat_request(prompt="x" * 5000)
        for job_id in ("waits", "runs", "uncertain"):
            await bench.spool.accept(new_job(job_id, request=long))
        await bench.spool.cancel(CALLER, "waits")
        for job_id in ("runs", "uncertain"):
            attempt = await bench.spool.begin(job_id)
            assert attempt is not None
            if job_id == "runs":
                await bench.spool.cancel(CALLER, job_id)
            await bench.spool.fail(attempt, BILLED, retry_in_s=None, counts=True)
        await bench.spool.cancel(CALLER, "uncertain")
        await bench.spool.succeed(await begun(bench.spool, "done", request=long), answer())

        assert bench.spool.stats().bytes_used < 5000


class CallContract:
    """Live calls with a key."""

    async def test_call_is_accepted_under_way_and_is_no_job(self, bench: Bench) -> None:
        accepted = await bench.spool.accept(new_job(kind=JobKind.CALL, idempotency_key="k"))

        assert JobState.SENDING is accepted.job.state
        assert accepted.attempt is not None
        assert await bench.spool.succeed(accepted.attempt, answer("No."))
        found = await bench.spool.find(CALLER, "k")
        assert found is not None
        assert found.response is not None
        assert "No." == found.response.message.content
        assert [] == await bench.spool.list_jobs(CALLER, states=[], before_seq=None, limit=10)

    async def test_forgotten_call_leaves_its_key_free(self, bench: Bench) -> None:
        attempt = (await bench.spool.accept(new_job(kind=JobKind.CALL, idempotency_key="k"))).attempt
        assert attempt is not None
        await bench.spool.forget(attempt)

        assert await bench.spool.find(CALLER, "k") is None
        assert not (await bench.spool.accept(new_job("job-2", idempotency_key="k"))).duplicate

    async def test_parked_call_becomes_a_job(self, bench: Bench) -> None:
        attempt = (await bench.spool.accept(new_job(kind=JobKind.CALL, idempotency_key="k"))).attempt
        assert attempt is not None

        job = await bench.spool.park(attempt, ttl_s=HOUR_S)

        assert job is not None
        assert (JobKind.JOB, JobState.QUEUED, 0) == (job.kind, job.state, job.attempt_count)
        assert not await bench.spool.succeed(attempt, answer())
        assert await bench.spool.begin("job-1") is not None

    async def test_attempt_is_given_with_a_new_call_alone(self, bench: Bench) -> None:
        call = await bench.spool.accept(new_job(kind=JobKind.CALL, idempotency_key="k"))
        repeat = await bench.spool.accept(new_job("job-2", kind=JobKind.CALL, idempotency_key="k"))
        job = await bench.spool.accept(new_job("job-3"))

        assert [True, False, False] == [each.attempt is not None for each in (call, repeat, job)]

    async def test_call_that_has_its_answer_is_stored_whole(self, bench: Bench) -> None:
        await bench.spool.answered(new_job(kind=JobKind.CALL, idempotency_key="k"), answer("No."))

        found = await bench.spool.find(CALLER, "k")
        assert found is not None
        assert found.response is not None
        assert (JobState.SUCCEEDED, "No.") == (found.state, found.response.message.content)
        assert 1 == bench.spool.stats().accepted_total

    async def test_answer_changes_nothing_under_a_key_that_is_known(self, bench: Bench) -> None:
        await bench.spool.accept(new_job(idempotency_key="k"))
        await bench.spool.answered(new_job("job-2", kind=JobKind.CALL, idempotency_key="k"), answer("No."))

        found = await bench.spool.find(CALLER, "k")
        assert found is not None
        assert ("job-1", JobState.QUEUED) == (found.id, found.state)


class CancelContract:
    """Cancelling and erasing."""

    async def test_waiting_job_is_cancelled(self, bench: Bench) -> None:
        await bench.spool.accept(new_job())

        job = await bench.spool.cancel(CALLER, "job-1")

        assert job is not None
        assert job.error is not None
        assert (JobState.CANCELLED, False) == (job.state, job.error.possibly_billed)
        assert await bench.spool.begin("job-1") is None

    async def test_job_of_another_caller_cannot_be_cancelled_or_read(self, bench: Bench) -> None:
        await bench.spool.accept(new_job())

        assert await bench.spool.cancel("other", "job-1") is None
        assert await bench.spool.get("other", "job-1") is None
        assert await bench.spool.cancel(CALLER, "unknown") is None
        assert JobState.QUEUED is (await read(bench.spool)).state

    async def test_running_job_is_left_to_its_attempt_and_may_still_succeed(self, bench: Bench) -> None:
        attempt = await begun(bench.spool)

        job = await bench.spool.cancel(CALLER, "job-1")

        assert job is not None
        assert JobState.SENDING is job.state
        assert await bench.spool.succeed(attempt, answer())

    @pytest.mark.parametrize("error", [FREE, BILLED, Blocked(Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "key")])
    async def test_running_job_that_was_cancelled_is_not_sent_again(self, bench: Bench, error: CallError) -> None:
        attempt = await begun(bench.spool, resend_policy=ResendPolicy.RESEND_ONCE)
        await bench.spool.cancel(CALLER, "job-1")

        job = await bench.spool.fail(attempt, error, retry_in_s=0.0, counts=True)

        assert job is not None
        assert job.error is not None
        assert (JobState.CANCELLED, error.possibly_billed) == (job.state, job.error.possibly_billed)
        assert Reason.ERROR_REASON_CANCELLED == job.error.reason

    async def test_cancelled_while_uncertain_tells_that_it_may_have_been_billed(self, bench: Bench) -> None:
        await bench.spool.fail(await begun(bench.spool), BILLED, retry_in_s=0.0, counts=True)

        job = await bench.spool.cancel(CALLER, "job-1")

        assert job is not None
        assert job.error is not None
        assert (JobState.CANCELLED, True) == (job.state, job.error.possibly_billed)

    async def test_finished_job_stays_what_it_is(self, bench: Bench) -> None:
        await bench.spool.succeed(await begun(bench.spool), answer())

        job = await bench.spool.cancel(CALLER, "job-1")

        assert job is not None
        assert JobState.SUCCEEDED is job.state

    async def test_erased_job_has_no_content_and_its_attempt_is_fenced_off(self, bench: Bench) -> None:
        attempt = await begun(bench.spool, label="private", idempotency_key="k")

        await bench.spool.erase(CALLER, "job-1")

        assert not await bench.spool.succeed(attempt, answer())
        job = await bench.spool.get(CALLER, "job-1")
        assert job is None or (JobState.ERASED, "", None) == (job.state, job.label, job.response)
        assert await bench.spool.find(CALLER, "k") is None

    async def test_unknown_job_can_be_erased(self, bench: Bench) -> None:
        await bench.spool.erase(CALLER, "unknown")

    async def test_job_of_another_caller_is_not_erased(self, bench: Bench) -> None:
        await bench.spool.accept(new_job())

        await bench.spool.erase("other", "job-1")

        assert JobState.QUEUED is (await read(bench.spool)).state

    async def test_all_of_a_caller_are_erased_and_no_others(self, bench: Bench) -> None:
        for place, caller in enumerate((CALLER, CALLER, "other")):
            await bench.spool.accept(new_job(f"job-{place}", caller=caller))

        assert 2 == await bench.spool.erase_caller(CALLER)
        assert ["job-2"] == [job.id for job in await bench.spool.waiting()]


class ReadContract:
    """Lists, changes, counts, time."""

    async def test_waiting_jobs_are_told_in_order_of_acceptance(self, bench: Bench) -> None:
        for place in (3, 1, 2):
            await bench.spool.accept(new_job(f"job-{place}", priority=chat_pb2.PRIORITY_LOW, conversation_id="c"))

        waiting = await bench.spool.waiting()

        assert ["job-3", "job-1", "job-2"] == [job.id for job in waiting]
        assert {("c", chat_pb2.PRIORITY_LOW)} == {(job.conversation_id, job.priority) for job in waiting}

    async def test_list_is_newest_first_in_pages_and_by_state(self, bench: Bench) -> None:
        for place in range(4):
            await bench.spool.accept(new_job(f"job-{place}"))
        await bench.spool.cancel(CALLER, "job-2")

        page = await bench.spool.list_jobs(CALLER, states=[], before_seq=None, limit=2)
        rest = await bench.spool.list_jobs(CALLER, states=[], before_seq=page[-1].seq, limit=9)
        queued = await bench.spool.list_jobs(CALLER, states=[JobState.QUEUED], before_seq=None, limit=9)

        assert ["job-3", "job-2"] == [job.id for job in page]
        assert ["job-1", "job-0"] == [job.id for job in rest]
        assert ["job-3", "job-1", "job-0"] == [job.id for job in queued]

    async def test_revision_grows_with_every_change(self, bench: Bench) -> None:
        first = (await bench.spool.accept(new_job())).job
        second = (await bench.spool.accept(new_job("job-2"))).job
        cancelled = await bench.spool.cancel(CALLER, "job-1")

        assert cancelled is not None
        assert first.revision < second.revision < cancelled.revision
        changed = await bench.spool.changed_since(CALLER, first.revision, job_ids=[], limit=9)
        assert ["job-2", "job-1"] == [job.id for job in changed]
        only = await bench.spool.changed_since(CALLER, first.revision, job_ids=["job-1"], limit=9)
        assert ["job-1"] == [job.id for job in only]

    async def test_change_brings_the_answer(self, bench: Bench) -> None:
        await bench.spool.succeed(await begun(bench.spool), answer("No."))

        (job,) = await bench.spool.changed_since(CALLER, 0, job_ids=[], limit=9)

        assert job.response is not None
        assert "No." == job.response.message.content

    async def test_changes_are_told_from_the_moment_they_were_asked_for(self, bench: Bench) -> None:
        await bench.spool.accept(new_job("before"))
        changes = bench.spool.changes()

        await bench.spool.accept(new_job())
        async with asyncio.timeout(5):
            job = await anext(changes)

        assert ("job-1", JobState.QUEUED, None) == (job.id, job.state, job.request)

    async def test_slow_reader_gets_the_newest_of_each_job_at_last(self, bench: Bench) -> None:
        changes = bench.spool.changes()
        await bench.spool.succeed(await begun(bench.spool), answer())
        await bench.spool.accept(new_job("job-2"))

        last: dict[str, JobState] = {}
        async with asyncio.timeout(5):
            while last != {"job-1": JobState.SUCCEEDED, "job-2": JobState.QUEUED}:
                job = await anext(changes)
                last[job.id] = job.state

    async def test_sweep_expires_what_waits_and_purges_what_was_kept(self, open_bench: OpenBench) -> None:
        bench = await open_bench(retention_s=100.0)
        await bench.spool.accept(new_job("short", ttl_s=10.0))
        await bench.spool.accept(new_job("long", ttl_s=HOUR_S))
        await begun(bench.spool, "running", ttl_s=10.0)
        bench.clock.advance(10.001)

        assert 1 == await bench.spool.sweep()
        assert JobState.EXPIRED is (await read(bench.spool, "short")).state
        assert JobState.SENDING is (await read(bench.spool, "running")).state
        bench.clock.advance(100.001)
        assert 1 == await bench.spool.sweep()
        assert await bench.spool.get(CALLER, "short") is None
        assert JobState.QUEUED is (await read(bench.spool, "long")).state

    async def test_nothing_accepted_is_missing_from_the_counts(self, bench: Bench) -> None:
        for place in range(6):
            await bench.spool.accept(new_job(f"job-{place}"))
        attempt = await bench.spool.begin("job-0")
        assert attempt is not None
        await bench.spool.succeed(attempt, answer())
        assert await bench.spool.begin("job-1") is not None
        await bench.spool.cancel(CALLER, "job-2")
        await bench.spool.erase(CALLER, "job-3")

        stats = bench.spool.stats()

        assert 6 == stats.accepted_total == sum(stats.by_state.values()) + stats.purged_total
        assert (2, 1) == (stats.pending_jobs, stats.running_jobs)


class CrashContract:
    """After a crash."""

    async def test_everything_but_the_running_is_as_it_was(self, bench: Bench) -> None:
        await bench.spool.accept(new_job("queued", idempotency_key="k"))
        await bench.spool.succeed(await begun(bench.spool, "done"), answer("No."))
        before = [await read(bench.spool, "queued"), await read(bench.spool, "done")]

        spool = await bench.crash()

        after = [await read(spool, "queued"), await read(spool, "done")]
        assert [replace(job, revision=0) for job in before] == [replace(job, revision=0) for job in after]
        assert (await spool.accept(new_job("job-9", idempotency_key="k"))).duplicate

    async def test_running_attempt_is_uncertain_and_held(self, bench: Bench) -> None:
        old = await begun(bench.spool)

        spool = await bench.crash()

        job = await read(spool)
        assert job.error is not None
        assert (JobState.UNCERTAIN, True) == (job.state, job.error.possibly_billed)
        assert await spool.begin("job-1") is None
        assert not await spool.succeed(old, answer())

    async def test_running_attempt_is_sent_once_more_if_that_is_allowed(self, bench: Bench) -> None:
        old = await begun(bench.spool, resend_policy=ResendPolicy.RESEND_ONCE)

        spool = await bench.crash()

        assert ["job-1"] == [job.id for job in await spool.waiting()]
        again = await spool.begin("job-1")
        assert again is not None
        assert not await spool.succeed(old, answer("late"))
        assert await spool.succeed(again, answer())

    async def test_wish_to_cancel_survives_it(self, bench: Bench) -> None:
        await begun(bench.spool, resend_policy=ResendPolicy.RESEND_ONCE)
        await bench.spool.cancel(CALLER, "job-1")

        spool = await bench.crash()

        job = await read(spool)
        assert job.error is not None
        assert (JobState.CANCELLED, True) == (job.state, job.error.possibly_billed)

    async def test_job_that_crashed_the_daemon_twice_is_dead(self, bench: Bench) -> None:
        await begun(bench.spool, resend_policy=ResendPolicy.RESEND_ONCE)
        spool = await bench.crash()
        assert await spool.begin("job-1") is not None

        kept_bytes = spool.stats().bytes_used
        spool = await bench.crash()

        assert JobState.DEAD is (await read(spool)).state
        assert [] == await spool.waiting()
        assert kept_bytes == spool.stats().bytes_used > 0  # its request is still there

    async def test_order_goes_on_after_it(self, bench: Bench) -> None:
        before = (await bench.spool.accept(new_job())).job

        after = (await (await bench.crash()).accept(new_job("job-2"))).job

        assert after.seq > before.seq
        assert after.revision > before.revision


class SpoolContract(AcceptContract, AttemptContract, CallContract, CancelContract, ReadContract, CrashContract):
    """All of it; wants the fixtures `bench` and `open_bench`."""
