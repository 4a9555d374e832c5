"""What an operator sees and does with the files of a stopped node."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import Reason, Rejected, Unavailable, Uncertain
from edgeclient.core.jobs import Job, JobKind, JobState, NewJob, ResendPolicy
from edgeclient.core.spool import content_digest
from edgeclient.spool.database import add_functions
from edgeclient.spool.desk import NotRetryableError
from edgeclient.spool.offline_files import QueueInUseError, QueueUnusableError
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.spool import SqliteSpool
from edgeclient.spool.vault import KeyedVault
from edgeclient.spool.verification import verified
from edgeclient.v1 import chat_pb2

VAULTS: dict[str, Vault] = {"plain": PlainVault(), "encrypted": KeyedVault(bytes(range(32)))}


@pytest.fixture(params=VAULTS)
def vault(request: pytest.FixtureRequest) -> Vault:
    return VAULTS[request.param]


def config(directory: Path) -> SpoolConfig:
    return SpoolConfig(directory=str(directory), ballast_bytes=0, max_caller_share=1.0)


def opened(directory: Path, vault: Vault) -> OperatorQueue:
    return OperatorQueue(directory, vault=vault, config=config(directory))


async def daemon(directory: Path, vault: Vault) -> SqliteSpool:
    spool = SqliteSpool(config(directory), vault=vault, observe=lambda _: None)
    await spool.open()
    return spool


def new(job_id: str, *, caller: str = "device-7", kind: JobKind = JobKind.JOB, key: str = "") -> NewJob:
    request = chat_pb2.ChatRequest(prompt=f"prompt of {job_id}")
    return NewJob(
        id=job_id, caller=caller, kind=kind, request=request, digest=content_digest(request), idempotency_key=key
    )


@pytest.fixture
async def directory(tmp_path: Path, vault: Vault) -> Path:
    """A queue with one job in each of the states that matter, its daemon stopped."""
    spool = await daemon(tmp_path, vault)
    for name in ("waits", "done", "unknown", "refused", "used-up"):
        await spool.accept(new(name, caller="device-8" if name == "done" else "device-7"))
    await spool.accept(new("live", kind=JobKind.CALL, key="k1"))
    errors = {
        "unknown": Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"),
        "refused": Rejected(Reason.ERROR_REASON_INVALID_REQUEST, "wrong"),
        "used-up": Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down"),
    }
    for name, error in errors.items():
        attempt = await spool.begin(name)
        assert attempt is not None
        await spool.fail(attempt, error, retry_in_s=None, counts=True)
    attempt = await spool.begin("done")
    assert attempt is not None
    content = "answer of done"
    await spool.succeed(attempt, chat_pb2.ChatResponse(message=chat_pb2.Message(content=content)))
    await spool.close()
    return tmp_path


def rows(directory: Path) -> dict[str, list[object]]:
    """Everything in the tables."""
    connection = apsw.Connection(str(directory / "spool.db"))
    try:
        tables = ("ledger", "job", "content", "caller_key")
        return {table: list(connection.execute(f"SELECT * FROM {table}")) for table in tables}  # noqa: S608  a constant
    finally:
        connection.close()


def prompts_in(directory: Path) -> list[str]:
    """Files in which a prompt can be read."""
    return [file.name for file in directory.iterdir() if b"prompt of" in file.read_bytes()]


def states(queue: OperatorQueue) -> dict[str, JobState]:
    return {job.id: job.state for job in queue.jobs()}


def test_all_jobs_of_all_callers_are_listed_newest_first(directory: Path, vault: Vault) -> None:
    with opened(directory, vault) as queue:
        assert {
            "live": JobState.SENDING,
            "used-up": JobState.DEAD,
            "refused": JobState.FAILED,
            "unknown": JobState.UNCERTAIN,
            "done": JobState.SUCCEEDED,
            "waits": JobState.QUEUED,
        } == states(queue)
        assert ["live", "used-up"] == [job.id for job in queue.jobs(limit=2)]
        assert ["done"] == [job.id for job in queue.jobs(caller="device-8")]
        assert ["waits"] == [job.id for job in queue.jobs(states=["queued"])]


def test_content_is_told_where_it_is_asked_for(directory: Path, vault: Vault) -> None:
    with opened(directory, vault) as queue:
        waits, done = queue.job("waits", content=True), queue.job("done", content=True)
        assert waits is not None
        assert waits.request is not None
        assert "prompt of waits" == waits.request.prompt
        assert done is not None
        assert done.response is not None
        assert "answer of done" == done.response.message.content
        bare = queue.job("done")
        assert bare is not None
        assert bare.response is None
        assert queue.job("nobody") is None


def test_looking_changes_nothing(directory: Path, vault: Vault) -> None:
    before = rows(directory)

    with opened(directory, vault) as queue:
        list(queue.jobs(content=True))
        queue.stats()
        verified(queue.desk)

    assert before == rows(directory)


def test_a_sound_queue_verifies(directory: Path, vault: Vault) -> None:
    with opened(directory, vault) as queue:
        found = verified(queue.desk)

    assert [] == found.problems
    assert 6 == found.counts["rows"]
    assert 6 == found.counts["accepted_total"]
    assert found.counts["contents_checked"]["request"] > 0


async def test_an_uncertain_job_is_retried_and_sent_by_the_next_daemon(directory: Path, vault: Vault) -> None:
    with opened(directory, vault) as queue:
        retried = queue.retry("unknown")
        assert retried is not None
        assert ("unknown", JobState.UNCERTAIN, "unknown") == (retried.job_id, retried.was, retried.job.id)
        assert JobState.QUEUED is retried.job.state
        assert 0 == retried.job.attempt_count
        assert 0 == retried.job.end_ms == retried.job.purge_ms
        assert [] == verified(queue.desk).problems

    spool = await daemon(directory, vault)
    try:
        assert "unknown" in [waiting.id for waiting in await spool.waiting()]
        attempt = await spool.begin("unknown")
        assert attempt is not None
        assert attempt.job.request is not None
        assert "prompt of unknown" == attempt.job.request.prompt
    finally:
        await spool.close()


@pytest.mark.parametrize("name", ["waits", "done", "live"])
def test_what_is_not_over_or_went_well_is_not_retried(directory: Path, vault: Vault, name: str) -> None:
    with opened(directory, vault) as queue:
        before = states(queue)
        with pytest.raises(NotRetryableError, match=f"job {name} is"):
            queue.retry(name)
        assert before == states(queue)
        assert queue.retry("nobody") is None


def test_a_job_without_its_request_is_not_retried(directory: Path, vault: Vault) -> None:
    connection = apsw.Connection(str(directory / "spool.db"))
    connection.execute("DELETE FROM content WHERE part = 1 AND seq = (SELECT seq FROM job WHERE id = 'refused')")
    connection.close()

    with opened(directory, vault) as queue, pytest.raises(NotRetryableError, match="its request is not kept"):
        queue.retry("refused")


async def ended(directory: Path, vault: Vault, **over: Any) -> dict[str, str]:
    """A queue with a job of each end, by state; `over` are settings."""
    spool = SqliteSpool(replace(config(directory), **over), vault=vault, observe=lambda _: None)
    await spool.open()
    names = {"failed": REFUSED, "dead": DOWN, "expired": None, "succeeded": None, "cancelled": None}
    for name, error in names.items():
        request = chat_pb2.ChatRequest(prompt=f"prompt of {name}", idempotency_key=f"key of {name}")
        await spool.accept(
            NewJob(
                id=name,
                caller="device-7",
                kind=JobKind.JOB,
                request=request,
                digest=content_digest(request),
                idempotency_key=request.idempotency_key,
                conversation_id="pump 7",
                priority=chat_pb2.PRIORITY_HIGH,
                label="泵",
                resend_policy=ResendPolicy.RESEND_ONCE,
                ttl_s=0.0 if name == "expired" else 30 * 86_400.0,
            )
        )
        if name == "cancelled":
            await spool.cancel("device-7", name)
            continue
        attempt = await spool.begin(name)
        if error is not None:
            assert attempt is not None
            await spool.fail(attempt, error, retry_in_s=None, counts=True)
        elif attempt is not None:
            await spool.succeed(attempt, chat_pb2.ChatResponse(message=chat_pb2.Message(content="answer")))
    await spool.close()
    return {name: f"prompt of {name}" for name in names}


REFUSED = Rejected(Reason.ERROR_REASON_INVALID_REQUEST, "wrong")
DOWN = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")


async def test_request_is_kept_where_a_retry_makes_sense_and_nowhere_else(tmp_path: Path, vault: Vault) -> None:
    prompts = await ended(tmp_path, vault)

    with opened(tmp_path, vault) as queue:
        kept = {job.id: job.request.prompt for job in queue.jobs(content=True) if job.request is not None}
        assert [] == verified(queue.desk).problems
    assert bool(prompts_in(tmp_path)) == isinstance(vault, PlainVault)

    assert {name: prompts[name] for name in ("failed", "dead", "expired")} == kept


async def test_no_request_is_kept_if_the_operator_does_not_want_it(tmp_path: Path, vault: Vault) -> None:
    await ended(tmp_path, vault, keep_failed_requests=False)

    with opened(tmp_path, vault) as queue:
        assert [None] * 5 == [job.request for job in queue.jobs(content=True)]
        assert ([], 3) == queue.retryable(["failed", "dead", "expired"])
        assert [] == verified(queue.desk).problems
    assert [] == prompts_in(tmp_path)


@pytest.mark.parametrize("name", ["failed", "dead", "expired"])
async def test_what_an_ended_job_asked_is_asked_by_a_new_one(tmp_path: Path, vault: Vault, name: str) -> None:
    prompts = await ended(tmp_path, vault)
    with opened(tmp_path, vault) as queue:
        before = queue.job(name)
        retried = queue.retry(name)
        after = queue.job(name, content=True)
        assert [] == verified(queue.desk).problems
        assert 6 == queue.stats().accepted_total
    assert retried is not None
    assert before is not None
    assert after is not None
    assert before.error is not None
    assert after.error is not None
    assert (before.state, before.end_ms, None) == (after.state, after.end_ms, after.request)
    assert abs(before.purge_ms - after.purge_ms) < 1000
    assert before.error.reason == after.error.reason
    assert after.error.message == f"{before.error.message}; an operator has sent it again as job {retried.job.id}"

    spool = await daemon(tmp_path, vault)
    try:
        attempt = await spool.begin(retried.job.id)
        assert attempt is not None
        job = attempt.job
        assert job.request is not None
        assert prompts[name] == job.request.prompt
        assert ("device-7", "pump 7", chat_pb2.PRIORITY_HIGH, "泵") == (
            job.caller, job.conversation_id, job.priority, job.label)  # fmt: skip
        assert (ResendPolicy.RESEND_ONCE, 1, "", "") == (
            job.resend_policy, job.attempt_count, job.idempotency_key, job.request.idempotency_key)  # fmt: skip
        least_s = 86_000 if name == "expired" else 29 * 86_400  # the old one had more left than a fresh ttl gives
        assert job.expire_ms - job.create_ms > least_s * 1000
        repeat = new("again", key=f"key of {name}")
        repeat = replace(repeat, request=job.request, digest=content_digest(job.request))
        accepted = await spool.accept(repeat)
        assert (True, name, before.state) == (accepted.duplicate, accepted.job.id, accepted.job.state)
    finally:
        await spool.close()


async def test_damaged_request_is_not_kept(directory: Path, vault: Vault) -> None:
    connection = apsw.Connection(str(directory / "spool.db"))
    connection.execute("UPDATE content SET sealed = zeroblob(length(sealed)) WHERE part = 1 AND seq = 1")
    connection.close()
    spool = await daemon(directory, vault)
    assert await spool.begin("waits") is None
    await spool.close()

    with opened(directory, vault) as queue:
        assert JobState.DEAD is states(queue)["waits"]
        assert [] == verified(queue.desk).problems


async def test_no_job_is_retried_twice_by_mistake(tmp_path: Path, vault: Vault) -> None:
    await ended(tmp_path, vault)
    with opened(tmp_path, vault) as queue:
        assert (["failed", "dead", "expired"], 0) == queue.retryable(["dead", "failed", "expired"])
        assert queue.retry("dead") is not None
        with pytest.raises(NotRetryableError, match="its request is not kept any more"):
            queue.retry("dead")
        assert (["failed", "expired"], 1) == queue.retryable(["dead", "failed", "expired"])
        assert 6 == queue.stats().accepted_total


def test_calls_of_devices_are_not_for_an_operator_to_retry(directory: Path, vault: Vault) -> None:
    connection = apsw.Connection(str(directory / "spool.db"))
    add_functions(connection)
    connection.execute("UPDATE job SET state = 5 WHERE id = 'live'")
    connection.close()

    with opened(directory, vault) as queue:
        assert (["unknown"], 0) == queue.retryable(["uncertain"])
        with pytest.raises(NotRetryableError, match="job live is a call"):
            queue.retry("live")


async def test_retry_that_finds_no_room_changes_nothing(tmp_path: Path, vault: Vault) -> None:
    await ended(tmp_path, vault)
    before = rows(tmp_path)

    full = replace(config(tmp_path), max_jobs=5)
    with OperatorQueue(tmp_path, vault=vault, config=full) as queue:
        with pytest.raises(NotRetryableError, match="job dead cannot be retried now: the queue holds 5 requests"):
            queue.retry("dead")
        assert (["dead"], 0) == queue.retryable(["dead"])

    assert before == rows(tmp_path)


async def test_kept_request_is_destroyed_with_its_job(tmp_path: Path, vault: Vault) -> None:
    await ended(tmp_path, vault)
    with opened(tmp_path, vault) as queue:
        retried = queue.retry("dead")
        assert retried is not None
        for name in ("failed", "dead", "expired", retried.job.id):
            assert queue.erase(name)
        assert [] == verified(queue.desk).problems
    assert [] == prompts_in(tmp_path)


def test_cancel_ends_what_waits_and_leaves_what_has_ended(directory: Path, vault: Vault) -> None:
    with opened(directory, vault) as queue:
        assert JobState.CANCELLED is _state(queue.cancel("waits"))
        assert JobState.SUCCEEDED is _state(queue.cancel("done"))
        assert queue.cancel("nobody") is None
        assert [] == verified(queue.desk).problems


def test_erase_leaves_tombstones(directory: Path, vault: Vault) -> None:
    with opened(directory, vault) as queue:
        assert queue.erase("waits")
        assert not queue.erase("nobody")
        assert JobState.ERASED is states(queue)["waits"]
        assert 4 == queue.erase_caller("device-7")
        assert JobState.SUCCEEDED is states(queue)["done"]
        assert 0 == queue.erase_caller("nobody")
        assert [] == verified(queue.desk).problems
    assert [] == prompts_in(directory)


async def test_a_queue_in_use_is_refused_and_left_alone(directory: Path, vault: Vault) -> None:
    spool = await daemon(directory, vault)
    try:
        with pytest.raises(QueueInUseError, match="in use"):
            opened(directory, vault)
        assert await spool.get("device-7", "waits") is not None
    finally:
        await spool.close()


async def test_a_daemon_is_refused_while_an_operator_has_the_queue(directory: Path, vault: Vault) -> None:
    with opened(directory, vault), pytest.raises(ValueError, match="in use"):
        await daemon(directory, vault)


def test_an_unclean_end_is_still_seen_by_the_next_daemon(directory: Path, vault: Vault) -> None:
    (directory / "spool.lock").write_text("12345\n")

    with opened(directory, vault) as queue:
        verified(queue.desk)

    assert (directory / "spool.lock").read_text().strip()


def test_no_queue_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(QueueUnusableError, match="there is no queue"):
        opened(tmp_path / "missing", PlainVault())
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize(
    ("stored", "given", "sentence"),
    [
        ("plain", KeyedVault(bytes(range(32))), "is not encrypted"),
        ("encrypted", PlainVault(), "is encrypted; set spool.encryption_key_file"),
        ("encrypted", KeyedVault(bytes(range(1, 33))), "was made with another node key"),
    ],
)
async def test_a_wrong_node_key_is_refused_before_anything_is_touched(
    tmp_path: Path, stored: str, given: Vault, sentence: str
) -> None:
    spool = await daemon(tmp_path, VAULTS[stored])
    await spool.accept(new("waits"))
    await spool.close()
    before = rows(tmp_path)

    with pytest.raises(QueueUnusableError, match=sentence):
        opened(tmp_path, given)
    with pytest.raises(ValueError, match=r"spool\.encryption_key_file"):
        await daemon(tmp_path, given)

    assert before == rows(tmp_path)
    with opened(tmp_path, VAULTS[stored]) as queue:
        assert [] == verified(queue.desk).problems


async def test_another_node_key_takes_over_and_the_old_one_is_refused(tmp_path: Path) -> None:
    old, successor = KeyedVault(bytes(range(32))), KeyedVault(bytes(range(1, 33)))
    spool = await daemon(tmp_path, old)
    for number in range(3):
        await spool.accept(new(f"J{number}", caller=f"device-{number}"))
    await spool.close()

    with opened(tmp_path, old) as queue:
        assert 3 == queue.rekey(successor)

    with pytest.raises(QueueUnusableError, match="another node key"):
        opened(tmp_path, old)
    with opened(tmp_path, successor) as queue:
        assert [] == verified(queue.desk).problems
        job = queue.job("J1", content=True)
    assert job is not None
    assert job.request is not None
    assert "prompt of J1" == job.request.prompt


def test_a_damaged_caller_key_stops_a_change_of_the_node_key(directory: Path, vault: Vault) -> None:
    connection = apsw.Connection(str(directory / "spool.db"))
    connection.execute("UPDATE caller_key SET wrapped = zeroblob(40) WHERE caller = 'device-8'")
    connection.close()
    before = rows(directory)

    with opened(directory, vault) as queue, pytest.raises(QueueUnusableError):
        queue.rekey(KeyedVault(bytes(range(1, 33))))

    assert before == rows(directory)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE content SET sealed = zeroblob(length(sealed)) WHERE part = 1", "is damaged"),
        ("UPDATE content SET part = 2 WHERE part = 1 AND seq = 1", "is damaged"),
        ("DELETE FROM content WHERE part = 1 AND seq = 1", "has no request"),
        ("DELETE FROM content WHERE part = 2", "has no response"),
        ("UPDATE ledger SET accepted_total = accepted_total + 1", "conservation"),
        ("DELETE FROM job WHERE seq = 1", "conservation"),
        ("UPDATE ledger SET last_seq = 1", "newer than the counts"),
        ("UPDATE job SET revision = 1", "share a revision"),
        ("UPDATE job SET size_bytes = 1", "another size"),
        ("UPDATE job SET state = 9 WHERE id = 'refused'", "and its request is still there"),
        ("UPDATE job SET state = 11 WHERE seq = 1", "was erased and has content"),
    ],
)
def test_verify_tells_what_is_wrong(directory: Path, vault: Vault, damage: str, problem: str) -> None:
    connection = apsw.Connection(str(directory / "spool.db"))
    add_functions(connection)
    connection.execute(damage)
    connection.close()

    with opened(directory, vault) as queue:
        problems = verified(queue.desk).problems

    assert any(problem in found for found in problems), problems


def _state(job: Job | None) -> JobState:
    assert job is not None
    return job.state
