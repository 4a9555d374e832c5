"""The files of a queue that no daemon has: locked, checked and opened, and nothing recovered."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

import apsw

from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.spool import database
from edgeclient.spool.contents import Contents
from edgeclient.spool.ledger import Ledger, counted, ledger_of
from edgeclient.spool.lock_file import LockFile
from edgeclient.spool.mark import Mark
from edgeclient.spool.room import Room
from edgeclient.spool.rows import Row, is_sound
from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.session import Session
from edgeclient.spool.statements import statements
from edgeclient.spool.ttl_clock import QueueClock, TimeSource

_NAME = re.compile(r"^-- name: (operator_[a-z_]+)$", re.MULTILINE)
_NO_CAP_BYTES = 1 << 43  # the cap is there to refuse new requests; of those, `Room` refuses what a retry would add


class QueueInUseError(Exception):
    """A daemon, or another operator, has the files."""


class QueueUnusableError(Exception):
    """The files cannot be read as a queue."""


def locked(directory: Path) -> LockFile:
    """The lock of the queue in a folder.

    Raises:
        QueueInUseError: Somebody else has it.
        QueueUnusableError: There is no queue.
    """
    if not (directory / database.NAME).is_file():
        raise QueueUnusableError(f"there is no queue in {directory}")
    try:
        return LockFile(directory)
    except SettingError:
        raise QueueInUseError(f"the queue in {directory} is in use by a daemon") from None
    except OSError as error:
        raise QueueUnusableError(f"the queue in {directory} cannot be locked: {error.strerror}") from None


def offline_session(directory: Path, vault: Vault, config: SpoolConfig, time_source: TimeSource) -> Session:
    """What operations work with. Wants the lock.

    Raises:
        QueueUnusableError: The file is damaged, or of a newer version, or not what the vault is for.
    """
    try:
        connection = database.connect(directory / database.NAME, max_bytes=_NO_CAP_BYTES, check=False)
    except database.DamagedDatabaseError as error:
        raise QueueUnusableError(damaged(directory, error)) from None
    except (SettingError, apsw.Error) as error:
        raise QueueUnusableError(f"the queue in {directory} cannot be opened: {error}") from None
    try:
        ledger = _ledger(connection, directory, vault)
        mark = Mark(directory)
        return Session(
            connection=connection,
            config=config,
            tally=counted(_sound_rows(connection)),
            clock=QueueClock(time_source, ledger.anchor()),
            contents=Contents(connection, vault),
            room=Room(directory, config),
            live=set(),
            mark=mark,
            missing=mark.settle(ledger),
            ledger=ledger,
        )
    except (*database.DAMAGE, UnicodeDecodeError) as error:
        connection.close(force=True)
        raise QueueUnusableError(damaged(directory, error)) from None
    except BaseException:
        connection.close(force=True)
        raise


def scheme_problem(stored: str, given: str) -> str:
    """Why a vault is not the one that the queue was made with; "" if it is."""
    if stored == given:
        return ""
    if given == PlainVault.scheme:
        return "is encrypted; set spool.encryption_key_file to the file with its node key"
    if stored == PlainVault.scheme:
        return "is not encrypted; leave spool.encryption_key_file empty, or give an empty folder"
    if stored.partition(":")[0] == given.partition(":")[0]:
        return "was made with another node key than the one in spool.encryption_key_file"
    return f"is sealed with {stored.partition(':')[0]}, which this version does not know"


@cache
def operator_statements() -> dict[str, str]:
    """The statements of `sql/operator.sql` by name."""
    text = (resources.files("edgeclient.spool") / "sql" / "operator.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], (part.strip().removesuffix(";") for part in parts[1::2]), strict=True))


def _ledger(connection: apsw.Connection, directory: Path, vault: Vault) -> Ledger:
    found = connection.execute(statements()["load_ledger"]).fetchone()
    if found is None:
        raise QueueUnusableError(f"the queue in {directory} was never used")
    ledger = ledger_of(found)
    if problem := scheme_problem(ledger.scheme, vault.scheme):
        raise QueueUnusableError(f"the queue in {directory} {problem}")
    return ledger


def _sound_rows(connection: apsw.Connection) -> Iterator[Row]:
    """Those that check; `verified` tells of the others."""
    return (Row._make(each) for each in connection.execute(statements()["every_row"]) if is_sound(each))


def damaged(directory: Path, error: Exception) -> str:
    """What is told of a queue that is not what was written."""
    return f"the queue in {directory} is damaged ({error}); start the daemon, it saves what can be saved"
