"""A commit of which nobody knows whether it happened: nobody is told that it did, or that it did not."""

import asyncio
import errno
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import builders
import pytest
from simulated_disk import SimulatedDisk, simulated_disk
from spool_bench import SpoolBench, new_job

from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, Reason, Rejected, Unavailable
from edgeclient.core.events import Uplink
from edgeclient.core.job_events import SpoolFailed, SpoolRecovered
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.jobs import JobKind, JobState
from edgeclient.stages.idempotency import Idempotency
from edgeclient.v1 import chat_pb2

ONLINE = Uplink.ONLINE
UNKNOWN = Reason.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN
UNAVAILABLE = Reason.ERROR_REASON_STORAGE_UNAVAILABLE


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[SimulatedDisk]:
    with simulated_disk(request.node.name) as disk:
        yield disk


@pytest.fixture
async def bench(tmp_path: Path, disk: SimulatedDisk) -> SpoolBench:
    bench = SpoolBench(tmp_path)
    bench.options = {"vfs": disk.name, "reopen_pause_s": 0.0}
    bench.renew()
    spool = await bench.open()
    await spool.operate(lambda session: setattr(session, "dirty", True))  # the log has begun: the next sync is a commit
    return bench


def fails(disk: SimulatedDisk, *first: str, then: bool = False) -> None:
    """Each of these calls fails once; `then`, whatever comes after them fails as well."""
    left = list(first)

    def fault(_number: int, call: str) -> int | None:
        if left and call == left[0]:
            left.pop(0)
            return errno.EIO
        return errno.EIO if then and not left else None

    disk.fault = fault


def works(disk: SimulatedDisk) -> None:
    disk.fault = lambda _number, _call: None


async def refusal(work: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize("key", ["key", ""])
async def test_accept_that_may_be_on_the_disk_is_told_so(bench: SpoolBench, disk: SimulatedDisk, key: str) -> None:
    fails(disk, "sync", then=True)

    error = await refusal(bench.spool.accept(new_job(idempotency_key=key)))

    assert isinstance(error, Unavailable)
    assert UNKNOWN == error.reason
    assert "may have taken effect or not" in error.message
    assert bool(key) == (error.retry_after_s is not None)
    assert bool(key) != error.possibly_billed  # which keeps libraries from repeating by themselves what has no key
    works(disk)
    await bench.close()


async def test_accept_that_no_write_was_begun_for_is_certain(bench: SpoolBench, disk: SimulatedDisk) -> None:
    fails(disk, "sync", then=True)
    await refusal(bench.spool.accept(new_job("job-1", idempotency_key="key-1")))

    error = await refusal(bench.spool.accept(new_job("job-2", idempotency_key="key-2")))

    assert isinstance(error, Rejected)
    assert UNAVAILABLE == error.reason
    assert "nothing was changed" in error.message
    works(disk)
    assert await bench.spool.find("device-7", "key-2") is None
    await bench.close()


async def test_accept_that_failed_before_its_commit_is_certain(bench: SpoolBench, disk: SimulatedDisk) -> None:
    await bench.spool.operate(lambda session: session.connection.execute("PRAGMA shrink_memory").fetchall())
    fails(disk, "read", then=True)

    error = await refusal(bench.spool.accept(new_job(idempotency_key="key")))

    assert UNAVAILABLE == error.reason
    works(disk)
    assert await bench.spool.find("device-7", "key") is None
    await bench.close()


async def test_repeat_under_the_key_is_one_job_whether_it_happened_or_not(
    bench: SpoolBench, disk: SimulatedDisk
) -> None:
    fails(disk, "sync", then=True)
    await refusal(bench.spool.accept(new_job("job-1", idempotency_key="key")))
    works(disk)

    repeat = await bench.spool.accept(new_job("job-2", idempotency_key="key"))

    assert (True, "job-1") == (repeat.duplicate, repeat.job.id)  # the real disk had it: it is not withdrawn
    assert [repeat.job.id] == [job.id for job in await bench.spool.waiting()]
    await bench.close()


async def test_process_that_dies_in_doubt_leaves_what_the_repeat_finds(bench: SpoolBench, disk: SimulatedDisk) -> None:
    fails(disk, "sync", then=True)
    await refusal(bench.spool.accept(new_job("job-1", idempotency_key="key")))
    bench.options = {}

    with disk.aside():
        await bench.crash()

    assert ["job-1"] == [job.id for job in await bench.spool.waiting()]
    assert (await bench.spool.accept(new_job("job-2", idempotency_key="key"))).duplicate
    works(disk)
    await bench.close()


async def test_job_without_a_key_is_withdrawn_when_the_storage_works_again(
    bench: SpoolBench, disk: SimulatedDisk
) -> None:
    fails(disk, "sync", then=True)
    await refusal(bench.spool.accept(new_job("job-1")))
    works(disk)

    assert await bench.spool.get("device-7", "job-1") is None

    stats = bench.spool.stats()
    assert (1, 1) == (stats.accepted_total, stats.purged_total)
    await bench.close()


async def test_call_in_doubt_is_forgotten_so_that_its_repeat_is_sent(bench: SpoolBench, disk: SimulatedDisk) -> None:
    fails(disk, "sync", then=True)
    error = await refusal(bench.spool.accept(new_job("job-1", kind=JobKind.CALL, idempotency_key="key")))
    assert UNKNOWN == error.reason
    works(disk)

    repeat = await bench.spool.accept(new_job("job-2", kind=JobKind.CALL, idempotency_key="key"))

    assert not repeat.duplicate
    assert repeat.attempt is not None
    await bench.close()


async def test_call_in_doubt_that_a_crash_cut_off_is_never_sent_by_its_repeat(
    bench: SpoolBench, disk: SimulatedDisk
) -> None:
    fails(disk, "sync", then=True)
    await refusal(bench.spool.accept(new_job("job-1", kind=JobKind.CALL, idempotency_key="key")))
    bench.options = {}
    with disk.aside():
        await bench.crash()

    repeat = await bench.spool.accept(new_job("job-2", kind=JobKind.CALL, idempotency_key="key"))

    assert (True, JobState.UNCERTAIN) == (repeat.duplicate, repeat.job.state)
    works(disk)
    await bench.close()


async def test_reading_beside_a_commit_in_doubt_changes_nothing_and_says_so(
    bench: SpoolBench, disk: SimulatedDisk
) -> None:
    await bench.spool.accept(new_job("job-0"))
    fails(disk, "sync", then=True)

    errors = await asyncio.gather(
        refusal(bench.spool.accept(new_job("job-1", idempotency_key="key"))),
        refusal(bench.spool.get("device-7", "job-0")),
        refusal(bench.spool.cancel("device-7", "job-0")),
        refusal(bench.spool.cancel("device-7", "unknown")),
    )

    assert [UNKNOWN, UNAVAILABLE, UNKNOWN, UNAVAILABLE] == [error.reason for error in errors]
    works(disk)
    await bench.close()


async def test_commit_that_is_found_to_have_happened_is_told_as_such(bench: SpoolBench, disk: SimulatedDisk) -> None:
    changes = bench.spool.changes()
    fails(disk, "sync", "sync")  # the second one is that of closing, which would clear the log

    accepted = await bench.spool.accept(new_job("job-1"))

    assert JobState.QUEUED is accepted.job.state
    assert "job-1" == (await anext(changes)).id
    assert 1 == bench.spool.stats().accepted_total
    assert [SpoolFailed, SpoolRecovered] == [type(event) for event in bench.events]
    await bench.close()


async def test_attempt_whose_commit_is_found_to_have_happened_is_good(bench: SpoolBench, disk: SimulatedDisk) -> None:
    """It must not be taken back behind the back of who has it, or the job is sent twice."""
    await bench.spool.accept(new_job("job-1"))
    fails(disk, "sync", "sync")  # the second one is that of closing, which would clear the log

    attempt = await bench.spool.begin("job-1")

    assert attempt is not None
    assert [] == await bench.spool.waiting()
    assert await bench.spool.begin("job-1") is None
    assert await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="paid"))
    job = await bench.spool.get("device-7", "job-1")
    assert job is not None
    assert JobState.SUCCEEDED is job.state
    await bench.close()


async def test_attempt_in_doubt_is_taken_back_for_nobody_has_it(bench: SpoolBench, disk: SimulatedDisk) -> None:
    await bench.spool.accept(new_job("job-1"))
    fails(disk, "sync", then=True)
    error = await refusal(bench.spool.begin("job-1"))
    works(disk)

    assert UNKNOWN == error.reason
    attempt = await bench.spool.begin("job-1")
    assert attempt is not None
    assert 1 == attempt.job.attempt_count
    await bench.close()


async def test_answer_in_doubt_is_kept_by_doing_it_again(bench: SpoolBench, disk: SimulatedDisk) -> None:
    await bench.spool.accept(new_job("job-1"))
    attempt = await bench.spool.begin("job-1")
    assert attempt is not None
    fails(disk, "sync", then=True)
    error = await refusal(bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="paid")))
    works(disk)

    await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="paid"))

    assert UNKNOWN == error.reason
    job = await bench.spool.get("device-7", "job-1")
    assert job is not None
    assert job.response is not None
    assert (JobState.SUCCEEDED, "paid") == (job.state, job.response.model)
    await bench.close()


async def test_parked_call_in_doubt_is_one_request_under_its_key(bench: SpoolBench, disk: SimulatedDisk) -> None:
    new = new_job("job-1", kind=JobKind.CALL, idempotency_key="key")
    attempt = (await bench.spool.accept(new)).attempt
    assert attempt is not None
    fails(disk, "sync", then=True)
    error = await refusal(bench.spool.park(attempt, ttl_s=9.0))
    works(disk)

    await bench.spool.forget(attempt)  # as its stage does with a failure that cost nothing
    repeat = await bench.spool.accept(new_job("job-2", kind=JobKind.CALL, idempotency_key="key"))

    assert UNKNOWN == error.reason
    assert 1 == sum(bench.spool.stats().by_state.values())
    assert repeat.duplicate == ("job-1" in {job.id for job in await bench.spool.waiting()})
    await bench.close()


async def test_chat_in_doubt_is_sent_once_under_its_key(bench: SpoolBench, disk: SimulatedDisk) -> None:
    idempotency = Idempotency(bench.spool, JobFeed(bench.spool), bench.config, uplink=lambda: ONLINE, clock=bench.clock)
    sent: list[str] = []

    async def forward(call: Call) -> Reply:
        assert call.before_send is not None
        await call.before_send()
        sent.append(call.id)
        return Reply(response=chat_pb2.ChatResponse(model="answer"))

    def chat(call_id: str) -> Coroutine[Any, Any, Reply]:
        request = builders.chat_request(idempotency_key="key")
        return idempotency(builders.call(id=call_id, caller="device-7", request=request), forward)

    fails(disk, "sync", then=True)
    error = await refusal(chat("call-1"))
    works(disk)
    answers = [await chat("call-2"), await chat("call-3")]

    assert UNKNOWN == error.reason
    assert ["call-2"] == sent
    assert ["answer"] * 2 == [answer.response.model for answer in answers]
    await bench.close()


async def test_operation_that_fails_after_it_has_written_undoes_only_itself(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    await spool.accept(new_job("job-0"))

    def half_done(session: Any) -> None:
        session.change("request_cancel", session.maybe("job_by_id", id="job-0"), id="job-0", **{"from": 1})
        session.contents.drop(1)
        raise LookupError("a defect")

    results = await asyncio.gather(
        spool.accept(new_job("job-1")), spool.operate(half_done), spool.accept(new_job("job-2")), return_exceptions=True
    )

    assert isinstance(results[1], LookupError)
    assert ["job-0", "job-1", "job-2"] == [job.id for job in await spool.waiting()]
    assert 3 == spool.stats().accepted_total
    attempt = await spool.begin("job-0")
    assert attempt is not None
    assert attempt.job.request is not None
    await bench.close()
