"""The real spool in a folder of its own, on a clock that a test moves, and crashes of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
from fakes.clock import FakeClock

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.events import Event
from edgeclient.core.jobs import JobKind, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.spool import SqliteSpool


class FakeTime:
    """The clocks of a machine; the time since the boot is that of the fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.boot = "boot-1"
        self.booted_at_s = 0.0
        self.wall_offset_s = 0.0
        self.trusted = False

    def boot_id(self) -> str:
        return self.boot

    def boot_ms(self) -> int:
        return int((self.clock.monotonic_s() - self.booted_at_s) * 1000)

    def wall_ms(self) -> int:
        return int((self.clock.wall_s() + self.wall_offset_s) * 1000)

    def wall_is_trusted(self) -> bool:
        return self.trusted

    def reboot(self, *, off_s: float = 0.0) -> None:
        """The machine was off for a while, and has been up for ten seconds."""
        self.clock.advance(off_s + 10.0)
        self.booted_at_s = self.clock.monotonic_s() - 10.0
        self.boot += "'"


class SpoolBench:
    """One folder, one clock, one spool after the other."""

    def __init__(self, root: Path, *, vault: Vault | None = None, **config: Any) -> None:
        self._root = root
        self._number = 0
        self.clock = FakeClock()
        self.time = FakeTime(self.clock)
        self.vault: Vault = vault or PlainVault()
        self.options: dict[str, Any] = {}
        self.events: list[Event] = []
        self.settings: dict[str, Any] = {
            "max_caller_share": 1.0, "disk_floor_bytes": 0, "ballast_bytes": 65536} | config  # fmt: skip
        self._spool = self._new()

    @property
    def spool(self) -> SqliteSpool:
        return self._spool

    @property
    def directory(self) -> Path:
        return self._root / f"spool-{self._number}"

    @property
    def database(self) -> Path:
        return self.directory / "spool.db"

    async def open(self) -> SqliteSpool:
        await self._spool.open()
        return self._spool

    async def close(self) -> None:
        await self._spool.close()

    @property
    def config(self) -> SpoolConfig:
        return SpoolConfig(directory=str(self.directory), **self.settings)

    async def reopen(self) -> SqliteSpool:
        """Close it properly, and open it again."""
        await self._spool.close()
        self.renew()
        return await self.open()

    async def crash(self, meanwhile: Callable[[], None] = lambda: None) -> SqliteSpool:
        """What `kill -9` leaves is what the files hold now; what happens to them before the next start is up to you."""
        await self.kill(meanwhile)
        return await self.open()

    async def kill(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """A crash that nobody has noticed yet."""
        left = self.directory
        meanwhile()
        self._number += 1
        shutil.copytree(left, self.directory)
        await self._spool.close()
        shutil.rmtree(left)
        self.renew()

    def renew(self) -> None:
        """The next process, which knows nothing; nobody has opened the queue in it."""
        self._spool = self._new()

    def _new(self) -> SqliteSpool:
        return SqliteSpool(
            self.config, vault=self.vault, observe=self.events.append, time_source=self.time, **self.options
        )


def new_job(job_id: str = "job-1", *, prompt: str = "Is 97 degrees hot?", **over: Any) -> NewJob:
    """A job of one message."""
    request = builders.chat_request(prompt=prompt)
    facts: dict[str, Any] = {"id": job_id, "caller": "device-7", "kind": JobKind.JOB}
    return NewJob(**(facts | {"request": request, "digest": content_digest(request)} | over))
