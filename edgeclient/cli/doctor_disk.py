"""Looks at the disk of the queue: the folder, the space, the file system, and how long an fsync takes.

An accept is a commit and a commit is an fsync, so the time of one says how many requests a second this box can
promise to keep. It is measured with a file that never has a name (`O_TMPFILE`, where the file system has it): whatever
happens, nothing is left behind.
"""

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.spool.diagnosis import nearest, obstacle
from edgeclient.spool.glance import Sizes, holder, scheme, sizes
from edgeclient.spool.offline_files import scheme_problem
from edgeclient.spool.sealing import vault_of

_MOUNTS = Path("/proc/self/mountinfo")
_PAGE = bytes(4096)
_ROUNDS = 50
_ROUNDS_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """What was found of the folder.

    Attributes:
        directory: The folder.
        exists: It is there and a folder.
        obstacle: Why this user cannot use it, or make it, and what would be right; "": nothing.
        filesystem: Type of the file system, such as ext4; "" if unknown.
        free_bytes: Free for this user.
        sizes: Of the files that are there.
    """

    directory: str
    exists: bool
    obstacle: str = ""
    filesystem: str = ""
    free_bytes: int = 0
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FsyncFacts:
    """What was measured.

    Attributes:
        times_s: Of each fsync, ordered.
        problem: Why it could not be measured; "" if it could.
    """

    times_s: tuple[float, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What was found of the queue in the folder.

    Attributes:
        holder: Pid of who has it; "": nobody; None: unknown.
        is_made: There is a queue.
        is_encrypted: The settings ask for encryption.
        key_problem: Why the node key cannot be used; "" if it can.
        fit_problem: Why it is not the key of this queue; "" if it is, None: it cannot be told.
    """

    holder: str | None
    is_made: bool
    is_encrypted: bool
    key_problem: str = ""
    fit_problem: str | None = None


def folder_facts(directory: Path) -> FolderFacts:
    """Look at the folder."""
    exists = os.path.isdir(directory)  # noqa: PTH112  Path.is_dir raises where a folder above may not be entered
    seen = nearest(directory.absolute())
    disk = os.statvfs(seen)
    return FolderFacts(
        directory=str(directory),
        exists=exists,
        obstacle=obstacle(directory.absolute()),
        filesystem=filesystem_of(seen.resolve(), _mounts_text()),
        free_bytes=disk.f_bavail * disk.f_frsize,
        sizes=sizes(directory),
    )


def filesystem_of(path: Path, mounts: str) -> str:
    """Type of the file system of a path, by the text of a mountinfo: the longest mount point decides."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        facts, _, source = line.partition(" - ")
        words = facts.split()
        if len(words) <= _POINT:
            continue
        point = Path(words[_POINT].replace("\\040", " "))
        if (path == point or point in path.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), source.split(" ")[0]
    return kind


_POINT = 4  # place of the mount point in a line of mountinfo


def fsync_facts(directory: Path) -> FsyncFacts:
    """Write a page and wait until it is on the disk, again and again; blocks for a second and a half at most."""
    times_s: list[float] = []
    ends_s = time.monotonic() + _ROUNDS_S
    try:
        with tempfile.TemporaryFile(dir=directory, prefix=".edgeclient-doctor-", buffering=0) as file:
            while len(times_s) < _ROUNDS and time.monotonic() < ends_s:
                file.write(_PAGE)
                begun_s = time.perf_counter()
                os.fsync(file.fileno())
                times_s.append(time.perf_counter() - begun_s)
    except OSError as error:
        return FsyncFacts(problem=error.strerror or type(error).__name__)
    return FsyncFacts(times_s=tuple(sorted(times_s)))


def queue_facts(config: SpoolConfig) -> QueueFacts:
    """Look at the queue without touching it."""
    directory = Path(config.directory)
    stored = scheme(directory)
    key_problem, fit_problem = "", None
    try:
        vault = vault_of(config.encryption_key_file)
    except SettingError as error:
        key_problem = "; ".join(error.problems)
    else:
        fit_problem = None if stored is None else scheme_problem(stored, vault.scheme)
    return QueueFacts(
        holder=holder(directory),
        is_made=stored is not None,
        is_encrypted=bool(config.encryption_key_file),
        key_problem=key_problem,
        fit_problem=fit_problem,
    )


def _mounts_text() -> str:
    try:
        return _MOUNTS.read_text("utf-8", "replace")
    except OSError:
        return ""
