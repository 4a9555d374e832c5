"""Why a folder cannot be used. What SQLite and the kernel say of it names neither the file nor the cure.

It looks and does not guess: where nothing is found, what the storage has said stands alone.
"""

import os
import stat
from pathlib import Path

_FILES = ("spool.db", "spool.db-wal", "spool.lock", "spool.mark", "ballast")
_LEAST_BYTES = 64 * 1024


def obstacle(directory: Path) -> str:
    """What is in the way of using a folder, and what would be right, for the end of a sentence; "": nothing.

    Nothing is opened or written for it, so a queue that is not ours is left as it is.
    """
    folder = nearest(directory)
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder} is on a volume that is mounted read-only"
    if not _may(folder, os.X_OK if folder != directory else os.R_OK | os.W_OK | os.X_OK):
        return _not_ours(folder, 0o700)  # of a folder above: what is in it, nobody can tell
    if folder != directory and not _may(folder, os.W_OK):
        return f"it cannot be made in {folder}, {_whose(folder)}; make it and chown it to uid {os.geteuid()}"
    for path in (directory / name for name in _FILES):
        if path.exists() and not path.is_file():
            return f"{path} is no file; move it away"
        if path.exists() and not _may(path, os.R_OK | os.W_OK):
            return _not_ours(path, 0o600)
    return ""


def cause(directory: Path, said: str) -> str:
    """What is wrong and what would be right, for the end of a sentence.

    Args:
        directory: The folder.
        said: What the storage has said.
    """
    if problem := obstacle(directory):
        return problem
    disk = os.statvfs(nearest(directory))
    if disk.f_files and not disk.f_favail:
        return f"its disk has no inode left ({said}); delete files there, `df -i` shows how many are left"
    if disk.f_bavail * disk.f_frsize < _LEAST_BYTES:
        return f"its disk is full ({said}); free some space there, `df` shows how much is left"
    return f"{said}; the log of the kernel (`dmesg`) may tell more"


def nearest(directory: Path) -> Path:
    """The folder itself, or the lowest one above it that this user can see."""
    return next(each for each in (directory, *directory.parents) if os.path.exists(each))  # noqa: PTH110  never raises


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _whose(path: Path) -> str:
    status = path.stat()
    return f"which belongs to uid {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):04o}"


def _not_ours(path: Path, mode: int) -> str:
    uid = os.geteuid()
    if path.stat().st_uid == uid:
        return f"edgeclient may not use {path}, {_whose(path)}; chmod it to {mode:04o}"
    return f"edgeclient, as uid {uid}, may not use {path}, {_whose(path)}; chown it to uid {uid}"
