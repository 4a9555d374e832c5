"""Opening the queue: the file, its counts, its clock; and what has to be mended before anybody uses it."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import apsw

from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.spool import database, recovery
from edgeclient.spool.contents import Contents
from edgeclient.spool.database import DamagedDatabaseError
from edgeclient.spool.ledger import Ledger, Tally
from edgeclient.spool.room import Room
from edgeclient.spool.salvage import Salvaged, finish_interrupted, salvage
from edgeclient.spool.sealing import Vault
from edgeclient.spool.session import Session
from edgeclient.spool.statements import statements
from edgeclient.spool.ttl_clock import QueueClock, TimeSource


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

    def open(self, *, live: set[str], again: bool, check: bool) -> tuple[Session, Salvaged | None]:
        """Open the queue.

        Args:
            live: Attempts that somebody of this process holds.
            again: This process has had it open before; its attempts go on.
            check: The last end was not clean.

        Returns:
            The session, and what was salvaged if it was damaged.

        Raises:
            SettingError: It is of a newer version, or sealed with another key.
            apsw.Error, OSError: The storage cannot be used.
        """
        path = self.directory / database.NAME
        finish_interrupted(path)
        salvaged = None
        try:
            session = self._session(self._connect(path, check=check), live)
            session = self._usable(session, again=again)
        except (DamagedDatabaseError, *database.DAMAGE):
            salvaged = salvage(path, connect=lambda fresh: self._connect(fresh, check=False), vault=self.vault)
            session = self._usable(self._session(self._connect(path, check=True), live), again=again)
        return session, salvaged

    def _connect(self, path: Path, *, check: bool) -> apsw.Connection:
        return database.connect(
            path, max_bytes=self.config.max_bytes, vfs=self.vfs, synchronous=self.synchronous, check=check
        )

    def _session(self, connection: apsw.Connection, live: set[str]) -> Session:
        try:
            ledger = load_ledger(connection, self.vault.scheme)
            self._check_scheme(ledger)
            tally = Tally()
            for caller, kind, state, count, size_bytes in connection.execute(statements()["count_rows"]):
                tally.by_caller[caller] += count
                tally.by_kind[kind, state] += count
                tally.content_bytes += size_bytes
            return Session(
                connection=connection,
                config=self.config,
                ledger=ledger,
                tally=tally,
                clock=QueueClock(self.time_source, ledger.anchor()),
                contents=Contents(connection, self.vault),
                room=Room(self.directory, self.config),
                live=live,
            )
        except BaseException:
            connection.close(force=True)
            raise

    def _usable(self, session: Session, *, again: bool) -> Session:
        try:
            session.room.recover(session.connection)
            if again:
                session.room.measure(session.connection)
                _committed(session, recovery.release_unheld)
            else:
                _committed(session, recovery.start_epoch)
                while _committed(session, recovery.settle_some):
                    pass
            session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except BaseException:
            session.connection.close(force=True)
            raise
        return session

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
    """The stored counts; of a new queue, all zero."""
    found = connection.execute(statements()["load_ledger"]).fetchone()
    if found is None:
        connection.execute(statements()["create_ledger"], {"scheme": scheme})
        return Ledger(scheme=scheme)
    return Ledger(**dict(zip((each.name for each in fields(Ledger)), found, strict=True)))


def _committed(session: Session, step: Callable[[Session], int | None]) -> int | None:
    session.begin()
    try:
        done = step(session)
        session.commit()
    except BaseException:
        session.rollback()
        raise
    return done
