"""The configuration of a daemon that runs, read again when its file changes or somebody asks for it.

The file is looked at every two seconds, by its times, its size and its inode: Kubernetes replaces files by renaming a
link, editors by renaming or in place. One that is being written is left alone until two looks have found the same; an
empty half of a file is a valid configuration, and a dangerous one. Whoever sends a signal means now.

A configuration that is wrong changes nothing and is told with all that is wrong; so is a file that is gone. One that is
right takes effect as far as it can, all at once, and what wants a restart is told by name. What a flag or the
environment sets wins as it did at the start.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeclient.config.load import Loaded
from edgeclient.config.reload import change, digest
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.core.companion import companion
from edgeclient.core.node_events import ConfigRejected, ConfigReloaded
from edgeclient.core.ports import Clock, Observe

LOOK_S = 2.0
MOST_TOLD = 20
"""Paths or problems in one event; a file of a thousand callers must not become a line of a thousand names."""

_Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """How the configuration of this process is read again.

    Attributes:
        file: The file; there may be none.
        load: Reads it as it was read at the start. Raises `SettingError`.
    """

    file: Path
    load: Callable[[], Loaded]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigStanding:
    """What is in force.

    Attributes:
        digest: Tells configurations apart.
        waiting_count: Settings that differ in the file and want a restart.
        looked_s: When it was last read, since the Unix epoch.
        succeeded: What was read last could be used.
    """

    digest: str
    waiting_count: int
    looked_s: float
    succeeded: bool


class ConfigSource:
    """See the module. `run` is a task of whoever wires it.

    Args:
        running: The configuration that the daemon was started with.
        reread: How it is read again; None: it is not.
        apply: Puts a configuration in force.
        observe: Takes `ConfigReloaded` and `ConfigRejected`.
        clock: Measures, and sleeps between looks.
    """

    def __init__(
        self,
        running: Config,
        *,
        reread: Reread | None,
        apply: Callable[[Config], None],
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._running = running
        self._reread = reread
        self._path = str(reread.file) if reread else ""
        self._apply = apply
        self._observe = observe
        self._clock = clock
        self._wake = asyncio.Event()
        self._asked = self._had_file = False
        self._waiting: tuple[str, ...] = ()
        self._looked_s = clock.wall_s()
        self._succeeded = True

    def ask(self) -> None:
        """Read it now, whether the file has changed or not, and tell the outcome."""
        self._asked = True
        self._wake.set()

    def standing(self) -> ConfigStanding:
        """What is in force."""
        return ConfigStanding(
            digest=digest(self._running),
            waiting_count=len(self._waiting),
            looked_s=self._looked_s,
            succeeded=self._succeeded,
        )

    async def run(self) -> None:
        """Take changes over until cancelled."""
        if self._reread is None:
            return
        file = self._reread.file
        self._had_file = file.exists()
        seen: _Stamp | None = None
        read: _Stamp | None = ()  # the first look reads: the file may have changed since the start
        while True:
            async with companion(self._alarm(), name="alarm of the configuration"):
                await self._wake.wait()
            self._wake.clear()
            asked, self._asked = self._asked, False
            before, seen = seen, _stamp(file)
            if asked or (seen == before and seen != read):
                read = seen
                await self._read(self._reread, asked=asked)

    async def _alarm(self) -> None:
        await self._clock.sleep(LOOK_S)
        self._wake.set()

    async def _read(self, reread: Reread, *, asked: bool) -> None:
        self._looked_s = self._clock.wall_s()
        try:
            loaded = await asyncio.to_thread(reread.load)
            found = change(self._running, loaded.config)
        except SettingError as error:
            self._rejected(error.problems)
            return
        if self._had_file and loaded.file is None:
            self._rejected([f"{reread.file}: is gone; put it back, or restart the daemon to run without it"])
            return
        news = found.applied or found.waiting != self._waiting or not self._succeeded
        if found.applied:
            self._apply(found.config)
        self._had_file = loaded.file is not None
        self._running, self._waiting, self._succeeded = found.config, found.waiting, True
        if asked or news:
            self._observe(
                ConfigReloaded(
                    path=self._path,
                    applied=_listed(found.applied, ", "),
                    waiting=_listed(found.waiting, ", "),
                    digest=digest(found.config),
                )
            )

    def _rejected(self, problems: list[str]) -> None:
        self._succeeded = False
        self._observe(ConfigRejected(path=self._path, problems=_listed(problems, "; ")))


def _listed(texts: list[str] | tuple[str, ...], separator: str) -> str:
    more = f"{separator}and {len(texts) - MOST_TOLD} more" if len(texts) > MOST_TOLD else ""
    return separator.join(texts[:MOST_TOLD]) + more


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
