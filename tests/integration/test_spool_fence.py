"""Promises that the database keeps by itself, whatever the code above it thinks: the fence and the key."""

from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from spool_bench import SpoolBench, new_job

from edgeclient.core.jobs import Attempt, JobKind, JobState
from edgeclient.spool.session import Session
from edgeclient.spool.statements import statements

FINISHING = ("end_attempt", "retry_attempt", "park_attempt", "forget_attempt", "crash_attempt")
ANYTHING = {
    "revision": 99, "to": JobState.FAILED.value, "from": JobState.SENDING.value, "kind": JobKind.JOB.value, "end_ms": 1,
    "purge_due": 1, "expire_due": 1, "attempt_due": 0, "uncounted": 0, "resent": 0}  # fmt: skip


async def _under_way(bench: SpoolBench) -> Attempt:
    """A live call, for one of the statements is for those only."""
    spool = await bench.open()
    attempt = (await spool.accept(new_job(kind=JobKind.CALL, idempotency_key="key"))).attempt
    assert attempt is not None
    return attempt


@pytest.mark.parametrize("name", FINISHING)
async def test_only_who_began_an_attempt_can_finish_it(tmp_path: Path, name: str) -> None:
    bench = SpoolBench(tmp_path)
    attempt = await _under_way(bench)
    right = {"id": "job-1", "attempt_id": attempt.attempt_id, "epoch": attempt.epoch}

    def finish(session: Session, **over: Any) -> int:
        return len(session.rows(name, **(ANYTHING | right | over)))

    for wrong in (
        {"attempt_id": "another"},
        {"epoch": attempt.epoch + 1},
        {"epoch": attempt.epoch - 1},
        {"id": "job-2"},
    ):
        assert 0 == await bench.spool._thread.do(partial(finish, **wrong))
    assert 1 == await bench.spool._thread.do(finish)
    await bench.close()


def test_no_statement_that_ends_an_attempt_is_without_the_fence() -> None:
    ending = {name for name, text in statements().items() if "attempt_id = ''" in text.partition("WHERE")[0]}

    assert {"end_attempt", "retry_attempt", "park_attempt", "crash_attempt", "erase"} == ending


@pytest.mark.parametrize(("caller", "key", "doubled"), [("a", "k", True), ("b", "k", False), ("a", "", False)])
async def test_database_itself_takes_a_key_once(tmp_path: Path, caller: str, key: str, *, doubled: bool) -> None:
    bench = SpoolBench(tmp_path)
    spool = await bench.open()
    await spool.accept(new_job("job-1", caller="a", idempotency_key="k"))
    await spool.accept(new_job("job-2", caller="a"))

    def double(session: Session) -> str:
        try:
            with session.connection:
                session.connection.execute(
                    "UPDATE job SET caller = ?, idempotency_key = ? WHERE id = 'job-2'", (caller, key)
                )
        except apsw.ConstraintError:
            return "refused"
        return "taken"

    assert ("refused" if doubled else "taken") == await spool._thread.do(double)
    await bench.close()
