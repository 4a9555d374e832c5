"""Copying a damaged queue row by row: what is sound goes over, what is not ends as DEAD or is counted as lost.

A row is copied if it checks, keeps the rules of its table, and its content passes its checksum. A job whose request is
damaged ends as DEAD, one whose answer is damaged as well: its caller is told the truth, and nobody gets altered bytes.

A row that does not check is never sent, whatever its state seems to be. Its content says whose it is: each part is
bound to the caller and the id by a checksum of its own. If one vouches for it, the job ends as DEAD, perhaps billed, or
as SUCCEEDED if its answer is there; its key is that of its request, if that is there, so that a repeat does not become
a second request. If none does, nobody can say whose it was, and it is lost.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import apsw
from google.protobuf.message import DecodeError

from edgeclient.core.errors import Reason
from edgeclient.core.jobs import TERMINAL, JobKind, JobState, ResendPolicy
from edgeclient.spool.contents import Contents, DamagedError, Part
from edgeclient.spool.rows import COLUMNS, Row, is_sound
from edgeclient.spool.sealing import Vault
from edgeclient.spool.statements import statements
from edgeclient.v1 import chat_pb2, error_pb2

_RULES = (apsw.ConstraintError, apsw.MismatchError, TypeError, ValueError)  # those of the table, not of the disk
_MOST_MS = 1 << 43  # the year 2248: a time beyond is none
_MOST_ATTEMPTS = 1000  # as `spool.max_attempts`


class Copier:
    """Copies rows; what breaks a rule of the table is left out.

    Args:
        source: The damaged queue.
        target: The fresh one.
        vault: How content is sealed.
        kept_until: In queue time: when a job that ends here may be purged.

    Attributes:
        seen: Rows that could be read at all.
        saved: Rows of the fresh queue.
        spoilt: Those of them that ended because something of them is damaged.
        flaws: Reads that failed or found something else than was written.
    """

    def __init__(self, source: apsw.Connection, target: apsw.Connection, vault: Vault, *, kept_until: int) -> None:
        self._source = source
        self._target = target
        self._contents = Contents(target, vault)
        self._kept_until = kept_until
        self._unsound: list[Row] = []
        self._spoilt: list[int] = []
        self.seen = 0
        self.saved = 0
        self.flaws = 0
        self._most: dict[str, int] = {"epoch": 0, "last_seq": 0, "last_revision": 0}

    @property
    def spoilt(self) -> int:
        """See the class."""
        return len(self._spoilt)

    def flawed(self) -> None:
        """A read failed or found something else than was written."""
        self.flaws += 1

    def copy_keys(self) -> None:
        """The keys of the callers; first."""
        keys: list[tuple[Any, Any]] = []
        try:
            keys.extend(self._source.execute("SELECT caller, wrapped FROM caller_key"))
        except (apsw.Error, UnicodeDecodeError):
            self.flawed()
        for caller, wrapped in keys:
            try:
                self._target.execute(statements()["put_caller_key"], {"caller": caller, "wrapped": wrapped})
            except _RULES:
                self.flawed()

    def copy(self, found: tuple[Any, ...]) -> None:
        """One row, if it is sound."""
        self.seen += 1
        if len(found) == len(COLUMNS):  # from before there were checksums
            self._put(Row._make((*found, 0)))
        elif is_sound(found):
            self._put(Row._make(found))
        else:
            self.flawed()
            if len(found) == len(Row._fields):
                self._unsound.append(Row._make(found))

    def finish(self, ledger: Mapping[str, int | str]) -> None:
        """The rows that are not sound; last, for one of their columns may be what is another's by right.

        Args:
            ledger: The counts of the source: their numbers are given already.
        """
        for row in self._unsound:
            mended = self._mended(row)
            if mended is not None and not self._put(mended, spoils=True):
                self._put(mended._replace(idempotency_key="", key_due=0), spoils=True)
        for name, value in self._most.items():
            self._most[name] = max(int(ledger.get(name, 0)), value)
        for seq in self._spoilt:  # a change like any other: who follows the changes has to see it
            self._most["last_revision"] += 1
            self._target.execute("UPDATE job SET revision = ? WHERE seq = ?", (self._most["last_revision"], seq))

    @property
    def numbers(self) -> dict[str, int]:
        """Numbers of the ledger that are not to be given again."""
        return dict(self._most)

    def _put(self, row: Row, *, spoils: bool = False) -> bool:
        try:
            with self._target:
                self._target.execute(statements()["insert_job"], row[:-1])
                if not self._target.changes():
                    raise apsw.ConstraintError("its key is another's")
                spoilt = self._copy_content(row, spoils=spoils)
        except _RULES:
            self.flawed()
            return False
        self.saved += 1
        if spoilt:
            self._spoilt.append(row.seq)
        for name, value in (("epoch", row.epoch), ("last_seq", row.seq), ("last_revision", row.revision)):
            self._most[name] = max(self._most[name], value)
        return True

    def _copy_content(self, row: Row, *, spoils: bool) -> bool:
        """Copy what is intact of it; True: the job ends for what is not."""
        intact: dict[Part, int] = {}
        for part in Part:
            found = self._sealed(row, part)
            if found is not None:
                values = {"seq": row.seq, "part": part.value, "sealed": found[0], "checksum": found[1]}
                self._target.execute(statements()["put_content"], values)
                intact[part] = len(found[0])
        lacks = not _needed(JobState(row.state)) <= intact.keys()
        if lacks:
            self.flawed()
            self._end(row)
            what = "answer" if row.state == JobState.SUCCEEDED.value else "request"
            intact[Part.ERROR] = self._tell(row, what, possibly_billed=row.attempt_count > 0)
        elif spoils and row.state == JobState.DEAD.value:
            intact[Part.ERROR] = self._tell(row, "record", possibly_billed=True)
        size = (sum(intact.values()), row.seq)
        self._target.execute("UPDATE job SET size_bytes = ? WHERE seq = ?", size)
        return lacks or spoils

    def _sealed(self, row: Row, part: Part) -> tuple[bytes, bytes] | None:
        """A part in the form that is stored, if it is what was stored."""
        try:
            found = self._source.execute(statements()["get_content"], {"seq": row.seq, "part": part.value}).fetchone()
        except (apsw.Error, UnicodeDecodeError):
            self.flawed()
            return None
        if found is None:
            return None
        try:
            self._contents.checked(row.id, row.caller, part, found[0], found[1])
        except (DamagedError, TypeError):
            self.flawed()
            return None
        return found[0], found[1]

    def _end(self, row: Row) -> None:
        """It can go on no more: what it needs is gone."""
        self._target.execute(
            "UPDATE job SET state = ?, attempt_id = '', purge_due = max(purge_due, expire_due, ?),"
            " end_ms = max(end_ms, create_ms) WHERE seq = ?",
            (JobState.DEAD.value, self._kept_until, row.seq),
        )

    def _tell(self, row: Row, what: str, *, possibly_billed: bool) -> int:
        """Store why; returns the size."""
        error = error_pb2.Error(
            reason=Reason.ERROR_REASON_STORAGE_UNAVAILABLE,
            message=f"its stored {what} was damaged",
            possibly_billed=possibly_billed,
        )
        sealed = self._contents.seal(row.id, row.caller, Part.ERROR, error.SerializeToString())
        self._contents.store(row.seq, sealed)
        return len(sealed.sealed)

    def _mended(self, row: Row) -> Row | None:
        """What is left of a row that does not check; None: nothing vouches for it."""
        if _text(row.id) != row.id or _text(row.caller) != row.caller:  # a damaged row may hold anything
            return None
        intact = {part for part in Part if self._sealed(row, part) is not None}
        if not intact:
            return None
        request = self._request(row)
        key = request.idempotency_key
        return Row(
            seq=row.seq,
            id=row.id,
            caller=row.caller,
            kind=row.kind if row.kind == JobKind.CALL.value else JobKind.JOB.value,
            state=(JobState.SUCCEEDED if Part.RESPONSE in intact else JobState.DEAD).value,
            priority=request.priority or chat_pb2.PRIORITY_NORMAL,
            revision=0,
            idempotency_key=key,
            conversation_id=request.conversation_id,
            label=request.label,
            resend_policy=ResendPolicy.HOLD.value,
            attempt_count=_number(row.attempt_count, _MOST_ATTEMPTS),
            attempt_id="",
            epoch=0,
            resent_count=0,
            crash_count=0,
            cancel_requested=0,
            size_bytes=0,
            create_ms=_number(row.create_ms, _MOST_MS),
            end_ms=time.time_ns() // 1_000_000,
            expire_due=self._kept_until,
            attempt_due=0,
            purge_due=self._kept_until,
            key_due=self._kept_until if key else 0,
        )

    def _request(self, row: Row) -> chat_pb2.ChatRequest:
        """What it asks, or what its columns say of that."""
        sealed = self._sealed(row, Part.REQUEST)
        if sealed is not None:
            with suppress(DecodeError):
                body = self._contents.checked(row.id, row.caller, Part.REQUEST, sealed[0], sealed[1])
                return chat_pb2.ChatRequest.FromString(body)
        return chat_pb2.ChatRequest(
            idempotency_key=_text(row.idempotency_key),
            conversation_id=_text(row.conversation_id),
            label=_text(row.label),
        )


def _needed(state: JobState) -> frozenset[Part]:
    if state is JobState.SUCCEEDED:
        return frozenset({Part.RESPONSE})
    return frozenset() if state in TERMINAL else frozenset({Part.REQUEST})


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object, most: int) -> int:
    return value if isinstance(value, int) and 0 <= value <= most else 0
