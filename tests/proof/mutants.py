"""What the durable queue's promises rest on, each taken away by a small change of the text that has to turn a test red.

A promise that is kept by two means has a mutant for each: one that survives behind the other would be lost unseen.
"""

from dataclasses import dataclass
from pathlib import Path


class StaleMutantError(Exception):
    """A text that is to be replaced is not there exactly once: the mutant would change nothing, or something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of one file: `old` is there exactly once and becomes `new`."""

    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The changed text.

        Raises:
            StaleMutantError: `old` is not there exactly once.
        """
        count = text.count(self.old)
        if count != 1:
            raise StaleMutantError(f"{self.file} holds {count} times what should be there once: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One promise less.

    Attributes:
        name: What is taken away.
        edits: How.
        tests: What of the tests has to find it.
    """

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def apply(self, root: Path) -> dict[Path, str]:
        """Change the files below a folder; returns their texts of before.

        Raises:
            StaleMutantError: It does not fit.
        """
        before: dict[Path, str] = {}
        after: dict[Path, str] = {}
        for edit in self.edits:
            path = root / edit.file
            text = after.get(path) or before.setdefault(path, path.read_text("utf-8"))
            after[path] = edit.applied(text)
        for path, text in after.items():
            path.write_text(text, "utf-8")
        return before


_SPOOL = "edgeclient/spool"
_QUERIES = f"{_SPOOL}/sql/queries.sql"
_IO_FAULTS = "tests/integration/test_spool_io_faults.py"
_FENCE = "tests/integration/test_spool_fence.py"
_CONTRACT = "tests/integration/test_spool_contract_sqlite.py"
_CLOCK = "tests/unit/spool/test_ttl_clock.py"


def _one(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, edits=(Edit(file=file, old=old, new=new),), tests=tests)


def _told_early(what: str, condition: str, test: str) -> Mutant:
    """Some answers leave before the commit that they tell of."""
    step = "                self.outcomes.append((operation, result, None))\n"
    tell = (
        f"                if {condition} and (early := operation.future) is not None:\n"
        "                    early.get_loop().call_soon_threadsafe(\n"
        "                        lambda f=early, r=result: f.done() or f.set_result(r))\n"
    )
    return Mutant(
        name=f"{what} is told before its commit",
        edits=(
            Edit(file=f"{_SPOOL}/commits.py", old=step, new=step + tell),
            Edit(file=f"{_SPOOL}/writer.py", old="if future is None:", new="if future is None or future.done():"),
        ),
        tests=(f"tests/integration/test_spool_fsync.py::{test}",),
    )


def _unfenced(statement: str, before: str, *tests: str) -> Mutant:
    """The statement does not look at the fence; `before` is what makes its text the only one."""
    fenced = "WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state"
    return _one(
        f"no fence in the statement {statement}", _QUERIES, before + fenced, f"{before}WHERE id = :id AND state", *tests
    )


_SIZE = "    size_bytes = (SELECT coalesce(sum(length(sealed)), 0) FROM content WHERE content.seq = job.seq)\n"

MUTANTS: tuple[Mutant, ...] = (
    _one(
        "no sync with each commit (synchronous=NORMAL)",
        f"{_SPOOL}/database.py",
        'f"synchronous = {synchronous}"',
        '"synchronous = NORMAL"',
        "tests/integration/test_spool_power_cut.py",
    ),
    _told_early(
        "the intent to send",
        "operation.orphaned is not None and not operation.accepts",
        "test_nothing_is_sent_before_the_intent_is_on_the_disk",
    ),
    _one(
        "the intent to send is stored before its turn",
        f"{_SPOOL}/runner.py",
        "        run.asks(call)\n",
        "        run.asks(call)\n        await call.before_send()\n",
        "tests/integration/test_spool_turns.py",
        "tests/unit/spool/test_job_turns.py",
    ),
    _one(
        "the turn does not wait for the intent to send",
        "edgeclient/stages/dispatch/stage.py",
        "                await call.before_send()\n",
        "                len(str(call.before_send))\n",
        "tests/unit/stages/dispatch/test_before_send.py",
    ),
    _one(
        "the intent of a call with a key is stored before its turn",
        "edgeclient/stages/idempotency.py",
        "= record.begin, record.take_back, record.to_job\n",
        "= record.begin, record.take_back, record.to_job\n        await record.begin()\n",
        "tests/integration/test_keyed_crashes.py",
    ),
    _one(
        "the intent of a call with a key is not stored before it is sent",
        "edgeclient/stages/call_record.py",
        "        if self._has_ended:  # whoever",
        "        if not self._has_ended:  # whoever",
        "tests/integration/test_keyed_crashes.py",
    ),
    _one(
        "who shares a call has its own intent stored by nobody",
        "edgeclient/stages/shared_call.py",
        "asyncio.gather(*map(self._prepare, members))",
        "asyncio.gather(*map(self._prepare, members[:0]))",
        "tests/unit/stages/test_shared_turns.py",
    ),
    _told_early("an accept", "operation.accepts", "test_accept_is_not_told_before_it_is_on_the_disk"),
    _told_early("an outcome", "operation.orphaned is None", "test_outcome_is_not_told_before_it_is_on_the_disk"),
    _one(
        "no fence where the attempt is looked up",
        f"{_SPOOL}/attempts.py",
        "return row.attempt_id == attempt.attempt_id and row.epoch == attempt.epoch",
        "return True",
        _CONTRACT,
    ),
    _unfenced("end_attempt", f"    attempt_count = attempt_count - :uncounted,\n{_SIZE}", _FENCE),
    _unfenced("retry_attempt", f" resent_count = resent_count + :resent,\n{_SIZE}", _FENCE),
    _unfenced("park_attempt", "    expire_due = :expire_due, purge_due = 0\n", _FENCE),
    _unfenced("forget_attempt", "DELETE FROM job\n", _FENCE),
    _unfenced(
        "crash_attempt",
        f"    resent_count = resent_count + :resent, end_ms = :end_ms, purge_due = :purge_due,\n{_SIZE}",
        _FENCE,
    ),
    _one(
        "no unique index on the key",
        f"{_SPOOL}/sql/0003_checksums.sql",
        "CREATE UNIQUE INDEX job_key",
        "CREATE INDEX job_key",
        _FENCE,
    ),
    _one(
        "no look-up of the key",
        f"{_SPOOL}/accepting.py",
        "key=key) if key else None",
        "key=key) if not new else None",
        _CONTRACT,
    ),
    _one("no ballast", f"{_SPOOL}/room.py", "os.truncate(directory / NAME, 0)", "directory.exists()", _IO_FAULTS),
    _one(
        "no checksum of content",
        f"{_SPOOL}/contents.py",
        "if checksum(place, sealed) != stored_checksum:",
        "if not stored_checksum:",
        "tests/integration/test_spool_damage.py",
    ),
    _one(
        "no checksum of rows",
        f"{_SPOOL}/rows.py",
        "if not is_sound(found):",
        "if not found:",
        "tests/integration/test_spool_row_damage.py",
    ),
    _one(
        "lost commits are not noticed",
        f"{_SPOOL}/mark.py",
        "ledger.lost_total += missing.accepts",
        "return None",
        "tests/integration/test_spool_damage.py",
    ),
    _one(
        "erased content stays in the file",
        f"{_SPOOL}/database.py",
        '"secure_delete = ON"',
        '"secure_delete = OFF"',
        "tests/integration/test_spool_open.py",
    ),
    _one(
        "no recovery at start",
        f"{_SPOOL}/store.py",
        "while _committed(session, recovery.settle_some):",
        "while not session:",
        _CONTRACT,
    ),
    _one(
        "no recovery at start, seen from outside",
        f"{_SPOOL}/store.py",
        "while _committed(session, recovery.settle_some):",
        "while not session:",
        "tests/acceptance/test_kill_nine.py",
    ),
    _one(
        "no withdrawal of a doubtful accept",
        f"{_SPOOL}/commits.py",
        "recovery.withdraw(session, self._unwanted)",
        "len(self._unwanted)",
        "tests/integration/test_spool_fsync.py",
    ),
    _one(
        "no order within a conversation",
        "edgeclient/policy/fair_queue.py",
        "        if not job.conversation_id:\n",
        "        if job.conversation_id is not None:\n",
        "tests/unit/policy/test_fair_queue.py",
        "tests/property/test_fair_queue.py",
    ),
    _one(
        "a wall clock that nobody keeps is believed",
        f"{_SPOOL}/ttl_clock.py",
        "self._source.wall_ms() if self._source.wall_is_trusted() else 0",
        "self._source.wall_ms()",
        _CLOCK,
    ),
    _one(
        "an implausible wall clock is believed",
        f"{_SPOOL}/ttl_clock.py",
        "if 0 < passed_ms <= MAX_OFF_MS:",
        "if passed_ms:",
        _CLOCK,
    ),
    _one(
        "time is the wall clock's",
        f"{_SPOOL}/ttl_clock.py",
        "max(0, self._source.boot_ms() - self._base_boot_ms)",
        "max(0, self._source.wall_ms() - self._base_boot_ms)",
        _CLOCK,
    ),
    _one(
        "resent without end",
        f"{_SPOOL}/attempts.py",
        "row.resend_policy == ResendPolicy.RESEND_ONCE.value and row.resent_count < RESENDS",
        "row.resend_policy == ResendPolicy.RESEND_ONCE.value",
        _CONTRACT,
    ),
    _one(
        "resent although it is to be held",
        f"{_SPOOL}/attempts.py",
        "row.resend_policy == ResendPolicy.RESEND_ONCE.value and row.resent_count < RESENDS",
        "row.resent_count < RESENDS",
        "tests/acceptance/test_kill_nine.py",
    ),
)
