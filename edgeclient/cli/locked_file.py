"""A JSONL file that one program at a time appends to, and that survives being cut off.

Both files that commands keep between runs, a conversation and the results of a batch, hold what was paid for. So a line
is on the disk before the command goes on; a second writer is refused, not mixed in; and a last line without its end,
from a lost power supply or a full disk, is cut off when the file is opened next.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure

_TAIL_STEP_BYTES = 65_536


class LockedFile:
    """An append-only file of lines; used as a context manager.

    Raises:
        Failure: The file cannot be used, or another program uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():  # a device would never end, a pipe never open
            raise Failure(ExitCode.CONFIG, f"{path} is not a regular file")
        try:
            self._stream = path.open("a+b")
        except OSError as error:
            raise Failure(ExitCode.CONFIG, f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._cut_torn_line()
            _sync_directory(path)
        except BlockingIOError as error:
            self._stream.close()
            raise Failure(ExitCode.TEMPORARY, f"{path} is in use by another edgeclient") from error
        except OSError as error:
            self._stream.close()
            raise Failure(ExitCode.CONFIG, f"cannot use {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Give the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Let others use the file."""
        self._stream.close()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its offset."""
        self._stream.seek(0)
        offset = 0
        for line in self._stream:
            yield offset, line
            offset += len(line)

    def append(self, lines: bytes) -> None:
        """Put whole lines on the disk; returns when they are there.

        Raises:
            Failure: They are not; what was there before is.
        """
        try:
            self._stream.write(lines)
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise Failure(ExitCode.TEMPORARY, f"cannot write {self.path}: {error.strerror}") from error

    def replace(self, lines: Iterator[bytes]) -> None:
        """Put another content in place of all lines, at once or not at all; ends the use of this object.

        Raises:
            Failure: It was not done; the file is as it was.
        """
        target = self.path.resolve()
        draft = target.with_name(f"{target.name}.new")
        try:
            with draft.open("wb") as stream:
                stream.writelines(lines)
                stream.flush()
                os.fsync(stream.fileno())
            draft.chmod(os.fstat(self._stream.fileno()).st_mode & 0o777)
            draft.replace(target)
            _sync_directory(target)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise Failure(ExitCode.TEMPORARY, f"cannot rewrite {self.path}: {error.strerror}") from error

    def _cut_torn_line(self) -> None:
        end = self._stream.seek(0, os.SEEK_END)
        keep = end
        while keep > 0:
            start = max(0, keep - _TAIL_STEP_BYTES)
            self._stream.seek(start)
            found = self._stream.read(keep - start).rfind(b"\n")
            if found >= 0:
                keep = start + found + 1
                break
            keep = start
        if keep < end:
            self._stream.truncate(keep)


def _sync_directory(path: Path) -> None:
    """A new name in a directory survives the loss of power only after this."""
    directory = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
