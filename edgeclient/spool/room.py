"""How much room there is: the caps, the disk, and the ballast that is thrown off when there is none.

New work is refused long before the disk is full; accepted work is never dropped. In WAL mode even a DELETE needs space,
so on a full disk nothing could finish, be cancelled or be erased: the ballast, a file that only occupies space, is cut
then, and accepts are refused until there is room for it again. What stands in SQLite's log alone needs its room once
more when it goes into the file: it counts as taken, and near the end of the disk so little of it is left standing that
the ballast has room for it.

An eighth of the byte cap, at most 64 MiB, is kept for answers. Should that not do, an answer that is paid for outranks
the cap: the file may grow to twice the cap then, and shrinks again as jobs are purged.
"""

import contextlib
import os
import time
from pathlib import Path

import apsw

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import Reason, Throttled
from edgeclient.spool.database import LOG_PAGES, PAGE_BYTES, set_most_bytes
from edgeclient.spool.database import NAME as DATABASE
from edgeclient.spool.ledger import Tally

NAME = "ballast"
RETRY_AFTER_S = 10.0  # a queue drains in seconds to minutes; a device that asks each ten seconds is no burden
_RETRY_S = 5.0  # taking the ballast on writes some megabytes
_OVERDRAFT = 2
_ANSWERS_PART = 8
_ANSWERS_MOST_BYTES = 64 * 1024 * 1024
_ROW_BYTES = 1024  # a row with its index entries, and the slack of its pages
_NEAR_THE_END = 2  # logs
_FEWEST_LOG_PAGES = 16


class Room:
    """Measured once per transaction; used in the queue's thread."""

    def __init__(self, directory: Path, config: SpoolConfig) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._config = config
        self._kept_bytes = min(config.max_bytes // _ANSWERS_PART, _ANSWERS_MOST_BYTES)
        self._most_of_caller = max(1, int(config.max_jobs * config.max_caller_share))
        self._free_cap_bytes = 0
        self._free_disk_bytes = 0
        self._free_file_bytes = 0
        self._overdrawn = False
        self._log_pages = LOG_PAGES
        self._next_try_s = 0.0

    @property
    def free_bytes(self) -> int:
        """Room for new requests."""
        return max(0, min(self._free_cap_bytes, self._free_disk_bytes))

    @property
    def tight(self) -> bool:
        """The ballast is off: only finishing is permitted."""
        return self._overdrawn

    def measure(self, connection: apsw.Connection) -> None:
        """Look at the file and the disk; with the ballast off, see now and then whether it may come back."""
        if self._overdrawn and time.monotonic() >= self._next_try_s:
            self.recover(connection)
        self._look(connection)

    def _look(self, connection: apsw.Connection) -> None:
        pages, free_pages = connection.pragma("page_count"), connection.pragma("freelist_count")
        self._free_cap_bytes = self._config.max_bytes - self._kept_bytes - (pages - free_pages) * PAGE_BYTES
        self._free_file_bytes = free_pages * PAGE_BYTES
        in_log_alone = max(0, pages * PAGE_BYTES - self._file_bytes())  # the file will need that room as well
        self._free_disk_bytes = self._disk_bytes() - self._config.disk_floor_bytes - in_log_alone
        self._bound_log(connection)

    def _bound_log(self, connection: apsw.Connection) -> None:
        """Near the end of the disk no more stands in the log alone than the ballast has room for."""
        is_near = self._free_disk_bytes < _NEAR_THE_END * LOG_PAGES * PAGE_BYTES
        pages = max(_FEWEST_LOG_PAGES, self._config.ballast_bytes // 2 // PAGE_BYTES) if is_near else LOG_PAGES
        if pages != self._log_pages:
            connection.wal_autocheckpoint(pages)
            self._log_pages = pages

    def take(self, caller: str, size_bytes: int, tally: Tally) -> None:
        """Room for one more request.

        Raises:
            Throttled: There is none.
        """
        needed_bytes = size_bytes + _ROW_BYTES
        config = self._config
        if tally.rows >= config.max_jobs:
            raise full(f"the queue holds {config.max_jobs} requests, as many as it may")
        if tally.by_caller[caller] >= self._most_of_caller:
            raise full(f"the queue holds {self._most_of_caller} requests of this caller, as many as it may")
        growth_bytes = max(0, needed_bytes - self._free_file_bytes)
        if self._overdrawn or needed_bytes + growth_bytes > self._free_disk_bytes:  # in the log, and then in the file
            raise full("the disk of the queue is full")
        if needed_bytes > self._free_cap_bytes:
            raise full(f"the queue has reached its size of {config.max_bytes} bytes")
        self._free_disk_bytes -= needed_bytes + growth_bytes
        self._free_file_bytes -= needed_bytes - growth_bytes
        self._free_cap_bytes -= needed_bytes

    def give_back(self, size_bytes: int) -> None:
        """What was taken is not needed after all."""
        self._free_disk_bytes += size_bytes + _ROW_BYTES
        self._free_cap_bytes += size_bytes + _ROW_BYTES

    def give_way(self, connection: apsw.Connection) -> bool:
        """Throw the ballast off. False if it was off already."""
        if self._overdrawn:
            return False
        self._next_try_s = time.monotonic() + _RETRY_S
        self._overdraw(connection)
        throw_off(self._directory)
        return True

    def recover(self, connection: apsw.Connection) -> None:
        """Take the ballast on again, if there is room for it."""
        if not self._overdrawn and self._ballast_is_there():
            return
        self._next_try_s = time.monotonic() + _RETRY_S
        self._look(connection)
        needed_bytes = self._config.ballast_bytes
        if self._free_disk_bytes < needed_bytes or self._free_cap_bytes <= 0 or not self._fill(needed_bytes):
            self._overdraw(connection)
            return
        set_most_bytes(connection, self._config.max_bytes)
        self._overdrawn = False

    def _overdraw(self, connection: apsw.Connection) -> None:
        self._overdrawn = True
        set_most_bytes(connection, _OVERDRAFT * self._config.max_bytes)

    def _ballast_is_there(self) -> bool:
        try:
            return self._path.stat().st_size == self._config.ballast_bytes
        except OSError:
            return False

    def _fill(self, size_bytes: int) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            if size_bytes:
                os.posix_fallocate(descriptor, 0, size_bytes)
            os.ftruncate(descriptor, size_bytes)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def _file_bytes(self) -> int:
        try:
            return (self._directory / DATABASE).stat().st_size
        except OSError:
            return 0

    def _disk_bytes(self) -> int:
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize


def throw_off(directory: Path) -> None:
    """Cut the ballast, for who needs the space to finish what is under way."""
    with contextlib.suppress(OSError):
        os.truncate(directory / NAME, 0)


def full(why: str) -> Throttled:
    """Nothing was stored, and later it may be."""
    return Throttled(Reason.ERROR_REASON_QUEUE_FULL, f"{why}; nothing was stored", retry_after_s=RETRY_AFTER_S)
