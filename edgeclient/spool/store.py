"""Opening the queue: the file, its counts, its clock; and what has to be mended before anybody uses it."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import apsw

from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.spool import database, recovery
from edgeclient.spool.contents import Contents
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.ledger import Ledger, counted, ledger_of
from edgeclient.spool.mark import Mark
from edgeclient.spool.rescue import rescue
from edgeclient.spool.room import Room, throw_off
from edgeclient.spool.rows import sound
from edgeclient.spool.salvage import Salvaged, finish_interrupted, salvage
from edgeclient.spool.sealing import Vault
from edgeclient.spool.session import Doubt, Session
from edgeclient.spool.statements import statements
from edgeclient.spool.ttl_clock import QueueClock, TimeSource

_NO_CAP_BYTES = 1 << 43


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The open queue.

    Attributes:
        session: What operations work with. What the mark missed is in it.
        happened: The commit in doubt is in the file.
        salvaged: What was saved, if the file was damaged.
    """

    session: Session
    happened: bool
    salvaged: Salvaged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where the queue is and how it is opened.

    Attributes:
        config: The section `spool`.
        vault: How content is sealed.
        time_source: What time it is.
        vfs: SQLite's way to the disk; None: the usual one. For tests of faults.
        synchronous: FULL; anything else loses what was accepted, which a test shows.
    """

    config: SpoolConfig
    vault: Vault
    time_source: TimeSource
    vfs: str | None = None
    synchronous: str = "FULL"

    @property
    def directory(self) -> Path:
        """The folder."""
        return Path(self.config.directory)

    def open(self, *, live: set[str], again: bool, check: bool, doubt: Doubt | None = None) -> Opened:
        """Open the queue; on a full disk without the ballast.

        Args:
            live: Attempts that somebody of this process holds.
            again: This process has had it open before; its attempts go on.
            check: The last end was not clean.
            doubt: A commit of which it is to be found out whether it happened. If it did, its attempts are live.

        Raises:
            SettingError: It is of a newer version that this one cannot read or save, or sealed with another key.
            DamagedDatabaseError, apsw.Error, OSError: The storage cannot be used.
        """
        try:
            return self._opened(live, doubt, again=again, check=check)
        except apsw.FullError:
            throw_off(self.directory)
            return self._opened(live, doubt, again=again, check=check)

    def _opened(self, live: set[str], doubt: Doubt | None, *, again: bool, check: bool) -> Opened:
        path = self.directory / database.NAME
        finish_interrupted(path)
        for look_through in (check, True):  # the second time because a disk may have failed for a moment only
            with contextlib.suppress(*database.DAMAGE):
                return self._usable(self._session(live, doubt, check=look_through), again=again)
        database.refuse_to_salvage(path)
        reached, retention_s = Mark(self.directory).found, self.config.retention_s
        save = partial(rescue, vault=self.vault, reached=reached, retention_s=retention_s)
        salvaged = salvage(path, connect=self._connect_uncapped, save=save)
        opened = self._usable(self._session(live, doubt, check=True), again=again)
        return replace(opened, salvaged=salvaged)

    def _connect(self, path: Path, *, check: bool) -> apsw.Connection:
        return database.connect(
            path, max_bytes=self.config.max_bytes, vfs=self.vfs, synchronous=self.synchronous, check=check
        )

    def _connect_uncapped(self, path: Path) -> apsw.Connection:
        """For what was accepted: the cap is there to refuse new requests, and answers may have outgrown it."""
        return database.connect(path, max_bytes=_NO_CAP_BYTES, vfs=self.vfs, synchronous=self.synchronous, check=False)

    def _session(self, live: set[str], doubt: Doubt | None, *, check: bool) -> Opened:
        connection = self._connect(self.directory / database.NAME, check=check)
        try:
            ledger = load_ledger(connection, self.vault.scheme)
            self._check_scheme(ledger)
            happened = doubt is not None and ledger.commit_count >= doubt.number
            mark = Mark(self.directory)
            session = Session(
                connection=connection,
                config=self.config,
                tally=counted(map(sound, connection.execute(statements()["every_row"]))),
                clock=QueueClock(self.time_source, ledger.anchor()),
                contents=Contents(connection, self.vault),
                room=Room(self.directory, self.config),
                live=live,
                mark=mark,
                missing=mark.settle(ledger),
                ledger=ledger,
            )
        except UnicodeDecodeError as error:
            connection.close(force=True)
            raise DamagedDatabaseError(f"a row holds a text that is none ({error.reason})") from None
        except BaseException:
            connection.close(force=True)
            raise
        if doubt is not None and happened:
            session.settled(doubt)
        return Opened(session=session, happened=happened)

    def _usable(self, opened: Opened, *, again: bool) -> Opened:
        session = opened.session
        try:
            session.room.recover(session.connection)
            if again:
                session.room.measure(session.connection)
                _committed(session, _release)
            else:
                _committed(session, recovery.start_epoch)
                while _committed(session, recovery.settle_some):
                    pass
            session.checkpoint()
        except BaseException:
            session.close()
            raise
        return opened

    def _check_scheme(self, ledger: Ledger) -> None:
        stored, given = ledger.scheme, self.vault.scheme
        if stored == given:
            return
        if given == "plain":
            problem = "the queue is encrypted; name the file with its node key"
        elif stored == "plain":
            problem = "the queue is not encrypted and cannot become so; leave this empty, or give another directory"
        else:
            problem = "the queue was encrypted with another node key; name the file with that key"
        raise SettingError([f"spool.encryption_key_file: {problem} ({self.directory})"])


def load_ledger(connection: apsw.Connection, scheme: str) -> Ledger:
    """The stored counts; of a new queue, all zero.

    Raises:
        DamagedDatabaseError: They are not what was written.
    """
    sql = statements()
    if not connection.execute(sql["load_ledger"]).fetchall():
        connection.execute(sql["create_ledger"], {"scheme": scheme})
    (found,) = connection.execute(sql["load_ledger"])
    return ledger_of(found)


def _release(session: Session) -> None:
    recovery.release_unheld(session)
    session.dirty = session.dirty or session.missing is not None


def _committed(session: Session, step: Callable[[Session], int | None]) -> int | None:
    session.begin()
    try:
        done = step(session)
        session.commit()
    except BaseException:
        session.rollback()
        raise
    return done
