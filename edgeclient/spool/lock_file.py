"""One daemon per queue: a locked file beside the database, with the pid of who holds it.

SQLite's own lock would do, but it cannot say who; and it is taken only with the first read. The file also tells after a
crash that the end was not clean: who closes properly blanks it.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from edgeclient.config.setting import SettingError

NAME = "spool.lock"
_NOTE_BYTES = 32


class LockFile:
    """Held from construction to `close`.

    Attributes:
        was_clean: Who held it before has closed it properly, or nobody has held it before.

    Raises:
        SettingError: Another process holds it.
        OSError: The file cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder(self._descriptor)
            os.close(self._descriptor)
            raise SettingError(
                [f"spool.directory: {directory} is in use by another edgeclient (pid {pid}); give each its own folder"]
            ) from None
        try:
            self.was_clean = not _holder(self._descriptor)
            self._write(f"{os.getpid()}\n")
        except OSError:
            os.close(self._descriptor)
            raise

    def close(self, *, clean: bool) -> None:
        """Let others use the queue. A disk that does not take the note makes it an end that was not clean."""
        with contextlib.suppress(OSError):
            if clean:
                self._write("")
        os.close(self._descriptor)

    def _write(self, text: str) -> None:
        """In place, so that a full disk has room for it."""
        os.pwrite(self._descriptor, text.ljust(_NOTE_BYTES).encode("ascii"), 0)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, _NOTE_BYTES, 0).decode("ascii", "replace").strip()
