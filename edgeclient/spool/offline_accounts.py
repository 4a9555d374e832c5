"""The usage in the files of a queue that no daemon has. It is not sealed, so no node key is needed."""

from pathlib import Path

import apsw

from edgeclient.config.setting import SettingError
from edgeclient.core.accounts import UsageRow
from edgeclient.spool import account_rows, database
from edgeclient.spool.offline_files import QueueUnusableError, locked

_NO_CAP_BYTES = 1 << 43  # nothing is stored here


def stored_usage(directory: Path) -> list[UsageRow]:
    """All rows.

    Raises:
        QueueInUseError: A daemon has the files.
        QueueUnusableError: There is no queue, or it does not read.
    """
    lock = locked(directory)
    try:
        connection = database.connect(directory / database.NAME, max_bytes=_NO_CAP_BYTES, check=False)
        try:
            return list(account_rows.load(connection).usage)
        finally:
            connection.close(force=True)
    except (database.DamagedDatabaseError, SettingError, apsw.Error) as error:
        raise QueueUnusableError(f"the queue in {directory} cannot be read: {error}") from None
    finally:
        lock.close(clean=lock.was_clean)
