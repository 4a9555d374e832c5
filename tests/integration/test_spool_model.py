"""Whatever is done in whatever order, with crashes, reboots and clock jumps between: the spool is what the model says.

More of it: `SPOOL_ROUNDS=2000 pytest tests/integration/test_spool_model.py` (half an hour). A failure prints the steps
that lead to it, as a program.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import apsw
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from spool_bench import SpoolBench, new_job
from spool_life import damage_index
from spool_model import ERRORS, KEPT_S, TTL_S, Model, Row

from edgeclient.core.job_events import SpoolDamaged
from edgeclient.core.jobs import RUNNABLE, TERMINAL, Attempt, Job, JobKind, JobState, ResendPolicy
from edgeclient.spool.desk import NotRetryableError
from edgeclient.spool.operator import OperatorQueue
from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.vault import KeyedVault
from edgeclient.spool.verification import verified
from edgeclient.v1 import chat_pb2

T = TypeVar("T")
ROUNDS = int(os.environ.get("SPOOL_ROUNDS", "45"))
CALLER = "device-7"
YEARS_S = 3.2e8
TO_1970_S = -1.8e9
# Of a clock that nobody keeps, anything may be true; one that is kept is right, or so wrong that nobody believes it.
WALLS = [(True, 0.0), (True, YEARS_S), (True, TO_1970_S), (False, -3600.0), (False, 3600.0)]


Pick = tuple[bool, int]
PICKS = st.tuples(st.sampled_from([True, True, True, False]), st.integers(0, 31))
"""Mostly one of those that it makes a difference to, else any: what must change nothing is tried as well."""


class SpoolMachine(RuleBasedStateMachine):
    vault: ClassVar[Vault] = PlainVault()

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        limits = {"retention_s": KEPT_S, "idempotency_window_s": KEPT_S, "default_ttl_s": TTL_S}
        self.bench = SpoolBench(self.root, vault=self.vault, **limits)
        self.bench.options = {"synchronous": "OFF"}  # the power stays on: a crash here is one of the process
        self.bench.renew()
        self.bench.time.trusted = True
        self.do(self.bench.open())
        self.model = Model()
        self.attempts: list[Attempt] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def job(self, job_id: str) -> Job | None:
        return self.do(self.bench.spool.get(CALLER, job_id))

    def picked(self, pick: Pick, suits: Callable[[Row], bool]) -> str:
        suited = [job_id for job_id, row in self.model.rows.items() if row is not None and suits(row)]
        among = suited if suited and pick[0] else list(self.model.rows)
        return among[pick[1] % len(among)]

    def taken(self, pick: Pick, suits: Callable[[Attempt], Any]) -> tuple[Attempt, Row | None]:
        """An attempt that somebody holds, and the row if it is that of the row still."""
        suited = [each for each in self.attempts if suits(each)]
        among = suited if suited and pick[0] else self.attempts
        attempt = among[pick[1] % len(among)]
        return attempt, self.held(attempt)

    def held(self, attempt: Attempt) -> Row | None:
        return self.model.held(attempt, JobState.SENDING)

    # what devices and the drainer do

    @rule(kind=st.sampled_from(JobKind), resend=st.sampled_from(ResendPolicy), begins=st.booleans())
    def accept(self, kind: JobKind, resend: ResendPolicy, begins: bool) -> None:  # noqa: FBT001
        number = self.model.accepted
        job_id, prompt, key = f"job-{number}", f"prompt {number}", f"key {number}"
        new = new_job(job_id, prompt=prompt, kind=kind, resend_policy=resend, ttl_s=TTL_S, idempotency_key=key)
        accepted = self.do(self.bench.spool.accept(new))
        assert not accepted.duplicate
        row = self.model.accept(job_id, kind, resend, prompt=prompt, key=key)
        assert (kind is JobKind.CALL) == (accepted.attempt is not None)
        if (attempt := accepted.attempt) is not None:
            row.holder = (attempt.attempt_id, attempt.epoch)
            self.attempts.append(attempt)
        elif begins:
            self._begin(job_id)

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS)
    def repeat(self, pick: Pick) -> None:
        row = self.model.rows[job_id := self.picked(pick, lambda row: bool(row.key))]
        if row is None or not row.key or self.model.is_over(row.born, KEPT_S) is not False:
            return
        new = new_job("never", prompt=row.prompt, idempotency_key=row.key)
        accepted = self.do(self.bench.spool.accept(new))
        assert (True, job_id) == (accepted.duplicate, accepted.job.id)

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS)
    def begin(self, pick: Pick) -> None:
        self._begin(self.picked(pick, lambda row: row.state in RUNNABLE))

    def _begin(self, job_id: str) -> None:
        attempt = self.do(self.bench.spool.begin(job_id))
        row = self.model.rows[job_id]
        if row is None or row.state not in RUNNABLE:
            assert attempt is None
            return
        is_over = self.model.is_over(row.ttl_from, TTL_S)
        assert attempt is None if is_over else attempt is not None or is_over is None
        if attempt is None:
            row.ends(JobState.EXPIRED, self.model.now)
            return
        assert attempt.job.request is not None
        assert row.prompt == attempt.job.request.prompt
        row.state, row.holder = JobState.SENDING, (attempt.attempt_id, attempt.epoch)
        self.attempts.append(attempt)

    @rule()
    def answered(self) -> None:
        """A call that has its answer without having been sent."""
        number = self.model.accepted
        job_id, prompt, key, answer = f"job-{number}", f"prompt {number}", f"key {number}", f"answer to {number}"
        new = new_job(job_id, prompt=prompt, kind=JobKind.CALL, ttl_s=TTL_S, idempotency_key=key)
        self.do(self.bench.spool.answered(new, chat_pb2.ChatResponse(model=answer)))
        row = self.model.accept(job_id, JobKind.CALL, ResendPolicy.HOLD, prompt=prompt, key=key)
        row.ends(JobState.SUCCEEDED, self.model.now)
        row.answer = answer

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS)
    def answered_before(self, pick: Pick) -> None:
        """An answer under a key that is known changes nothing."""
        row = self.model.rows[self.picked(pick, lambda row: bool(row.key))]
        if row is None or not row.key or self.model.is_over(row.born, KEPT_S) is not False:
            return
        new = new_job("never", prompt=row.prompt, kind=JobKind.CALL, idempotency_key=row.key)
        self.do(self.bench.spool.answered(new, chat_pb2.ChatResponse(model="another")))

    @precondition(lambda self: self.attempts)
    @rule(pick=PICKS)
    def succeed(self, pick: Pick) -> None:
        attempt, row = self.taken(pick, self.held)
        answer = f"answer to {attempt.attempt_id}"
        done = self.do(self.bench.spool.succeed(attempt, chat_pb2.ChatResponse(model=answer)))
        assert (row is not None) == done
        if row is not None:
            row.ends(JobState.SUCCEEDED, self.model.now)
            row.answer = answer

    @precondition(lambda self: self.attempts)
    @rule(pick=PICKS, to=st.sampled_from(list(ERRORS)), left=st.booleans(), counts=st.booleans())
    def fail(self, pick: Pick, to: JobState, left: bool, counts: bool) -> None:  # noqa: FBT001
        attempt, row = self.taken(pick, self.held)
        if attempt.job.kind is JobKind.CALL:  # all that is recorded of the failure of a call
            to, left, counts = JobState.UNCERTAIN, False, True
        retry_in_s = 0.0 if left else None
        job = self.do(self.bench.spool.fail(attempt, ERRORS[to], retry_in_s=retry_in_s, counts=counts))
        assert (row is not None) == (job is not None)
        if row is not None and job is not None:
            self.model.fail(row, to, left=left)
            assert row.state is job.state

    @precondition(lambda self: self.attempts)
    @rule(pick=PICKS)
    def forget(self, pick: Pick) -> None:
        attempt, _ = self.taken(pick, self._is_open_call)
        row = self.model.held(attempt, JobState.SENDING, JobState.UNCERTAIN)
        self.do(self.bench.spool.forget(attempt))
        if row is not None and row.kind is JobKind.CALL:
            self.model.rows[attempt.job.id] = None

    def _is_open_call(self, attempt: Attempt) -> bool:
        row = self.model.rows[attempt.job.id]
        is_open = row is not None and row.state in (JobState.SENDING, JobState.UNCERTAIN)
        return is_open and attempt.job.kind is JobKind.CALL

    @precondition(lambda self: self.attempts)
    @rule(pick=PICKS)
    def park(self, pick: Pick) -> None:
        attempt, row = self.taken(pick, self._is_open_call)
        is_call = row is not None and row.kind is JobKind.CALL
        job = self.do(self.bench.spool.park(attempt, ttl_s=TTL_S))
        assert is_call == (job is not None)
        if row is not None and is_call:
            self.model.park(row)

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS)
    def cancel(self, pick: Pick) -> None:
        job_id = self.picked(pick, lambda row: row.state is JobState.SENDING and row.kind is JobKind.JOB)
        assert self.do(self.bench.spool.cancel("another", job_id)) is None
        job = self.do(self.bench.spool.cancel(CALLER, job_id))
        row = self.model.rows[job_id]
        assert (row is not None) == (job is not None)
        if row is not None and job is not None:
            self.model.cancel(row)
            assert self.model.shown(row) is job.state

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS)
    def erase(self, pick: Pick) -> None:
        job_id = self.picked(pick, lambda row: row.state is not JobState.ERASED)
        self.do(self.bench.spool.erase(CALLER, job_id))
        row = self.model.rows[job_id]
        if row is not None:
            self.model.erase(row)

    # time, and ends of processes and machines

    @rule(duration_s=st.sampled_from([1.0, 30.0, TTL_S, KEPT_S]), wall_freezes=st.booleans())
    def time_passes(self, duration_s: float, wall_freezes: bool) -> None:  # noqa: FBT001
        self.bench.clock.advance(duration_s)
        self.model.time_passes(duration_s, certain_s=duration_s)
        if wall_freezes:
            self.bench.time.trusted = False
            self.bench.time.wall_offset_s -= duration_s
        self.do(self.bench.spool.sweep())
        for job_id, row in self.model.rows.items():
            if row is not None:
                self._swept(job_id, row)

    def _swept(self, job_id: str, row: Row) -> None:
        if row.state in RUNNABLE:
            is_over, job = self.model.is_over(row.ttl_from, TTL_S), self.job(job_id)
            assert job is not None
            if is_over or (is_over is None and job.state is JobState.EXPIRED):
                row.ends(JobState.EXPIRED, self.model.now)
        is_purged = self.model.is_purged(row)
        if is_purged or (is_purged is None and self.job(job_id) is None):
            self.model.rows[job_id] = None

    @rule(meanwhile_s=st.sampled_from([0.0, 60.0]), wall=st.sampled_from(WALLS))
    def crash(self, meanwhile_s: float, wall: tuple[bool, float]) -> None:
        self.bench.clock.advance(meanwhile_s)
        self.model.time_passes(meanwhile_s, certain_s=meanwhile_s)
        self._starts_again(wall)

    @rule(
        unseen_s=st.sampled_from([0.0, 60.0]), off_s=st.sampled_from([0.0, 60.0, KEPT_S]), wall=st.sampled_from(WALLS)
    )
    def reboot(self, unseen_s: float, off_s: float, wall: tuple[bool, float]) -> None:
        """Of the time since the last commit nothing remembers; of that since the boot, ten seconds, the kernel does."""
        self.bench.clock.advance(unseen_s)
        self.bench.time.reboot(off_s=off_s)
        self.model.time_passes(unseen_s + off_s + 10.0, certain_s=10.0)
        self._starts_again(wall)

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS, loses_request=st.booleans())
    def crash_with_damage(self, pick: Pick, loses_request: bool) -> None:  # noqa: FBT001
        """A salvage loses no row, and no content but what was hit."""
        job_id, before = self.picked(pick, lambda row: row.has_request), len(self.bench.events)
        row = self.model.rows[job_id]
        if loses_request and row is not None:
            self.model.loses_request(row)
        self._starts_again((False, 0.0), lambda: self._damage(job_id if loses_request else ""))
        assert [0] == [event.lost for event in self.bench.events[before:] if isinstance(event, SpoolDamaged)]

    def _damage(self, job_id: str) -> None:
        connection = apsw.Connection(str(self.bench.database))
        connection.execute(
            "UPDATE content SET sealed = zeroblob(length(sealed)) "
            "WHERE part = 1 AND seq = (SELECT seq FROM job WHERE id = ?)", (job_id,))  # fmt: skip
        connection.close()
        damage_index(self.bench.database)

    @precondition(lambda self: self.model.rows)
    @rule(pick=PICKS)
    def operator_retries(self, pick: Pick) -> None:
        """The daemon is stopped for it."""
        row = self.model.rows[job_id := self.picked(pick, self.model.may_retry)]
        self.do(self.bench.close())
        with self._operator() as queue:
            try:
                retried = queue.retry(job_id)
            except NotRetryableError:
                assert row is not None
                assert not self.model.may_retry(row)
            else:
                assert (row is None) == (retried is None)
                if row is not None and retried is not None:
                    assert self.model.may_retry(row)
                    self.model.retry(row, retried.job.id)
        self.bench.renew()
        self.do(self.bench.open())
        self.model.starts_again()

    def _starts_again(self, wall: tuple[bool, float], meanwhile: Callable[[], None] = lambda: None) -> None:
        self.do(self.bench.kill())
        self.bench.time.trusted, self.bench.time.wall_offset_s = wall
        meanwhile()
        self.do(self.bench.open())
        self.model.starts_again()

    def _operator(self) -> OperatorQueue:
        return OperatorQueue(
            self.bench.directory, vault=self.vault, config=self.bench.config, time_source=self.bench.time
        )

    # what is always so

    @invariant()
    def model_is_system(self) -> None:
        for job_id, row in self.model.rows.items():
            job = self.job(job_id)
            assert (row is None) == (job is None), job_id
            if row is None or job is None:
                continue
            assert (job_id, self.model.shown(row)) == (job_id, job.state)
            assert (row.answer if job.state is JobState.SUCCEEDED else "") == (
                job.response.model if job.response else ""
            )
            assert (row.state in TERMINAL or row.state is JobState.UNCERTAIN) == (job.end_ms > 0)

    @invariant()
    def nothing_appears_or_vanishes(self) -> None:
        rows, stats = self.model.rows.values(), self.bench.spool.stats()
        assert self.model.accepted == stats.accepted_total
        assert sum(row is not None for row in rows) == sum(stats.by_state.values())
        assert sum(row is None for row in rows) == stats.purged_total
        assert 0 == stats.lost_total
        assert {job_id for job_id, row in self.model.rows.items() if row and row.state in RUNNABLE} == {
            job.id for job in self.do(self.bench.spool.waiting())
        }

    def teardown(self) -> None:
        self.do(self.bench.close())
        with self._operator() as queue:
            assert [] == verified(queue.desk).problems
        self.runner.close()
        shutil.rmtree(self.root)


class EncryptedMachine(SpoolMachine):
    vault = KeyedVault(bytes(range(32)))


_SETTINGS = settings(
    max_examples=ROUNDS,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSpoolModel = SpoolMachine.TestCase
TestSpoolModel.settings = _SETTINGS
TestEncryptedSpoolModel = EncryptedMachine.TestCase
TestEncryptedSpoolModel.settings = settings(_SETTINGS, max_examples=max(1, ROUNDS // 3))
