"""One life of a queue, with everything in it that a queue does, over a disk that may fail at any moment of it."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
from simulated_disk import SimulatedDisk, simulated_disk
from spool_bench import SpoolBench
from spool_witness import Known, Witness

from edgeclient.core.errors import Reason, Rejected, Unavailable, Uncertain
from edgeclient.core.job_events import SpoolDamaged, SpoolFailed, SpoolRecovered
from edgeclient.core.jobs import JobKind, JobState, ResendPolicy
from edgeclient.spool.sealing import Vault

KEPT_S = 1000.0
GUARD_S = 10.0
FREE = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
REFUSED = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no")
BILLED = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut")


class PowerCutError(Exception):
    """A life has ended before its end."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a disk held at a moment, and what was known then; for `what_is_wrong`."""

    of: str
    root: Path
    known: list[Known]


class Life:
    """A queue over a simulated disk.

    Attributes:
        bench: The queue.
        witness: Who asks it.
        pictures: Of the disk after the first refusal, and whenever one was taken.
        salvages: How many starts made a new file of a damaged one.
    """

    def __init__(self, root: Path, disk: SimulatedDisk, *, vault: Vault | None = None) -> None:
        self._root = root
        self._disk = disk
        self._is_open = False
        self.bench = SpoolBench(root / "life", vault=vault, retention_s=KEPT_S, idempotency_window_s=KEPT_S)
        self.bench.options = {"reopen_pause_s": 0.0}
        self.bench.renew()
        self.pictures: list[Picture] = []
        self.salvages = 0
        self.witness = Witness(self.bench, refused=self._refused, hears=lambda: disk.has_power)

    async def run(self) -> None:
        """All of it. A daemon that cannot start leaves its day to the next one."""
        days = [self._first_day, self._second_day, self._third_day]
        async with asyncio.timeout(GUARD_S):
            for end in (self.kill, self.close, None):
                await self.open()
                if self._is_open:
                    await days.pop(0)()
                if end is not None:
                    await end()

    async def goes_on(self) -> None:
        """The disk works again: so does the queue, without a restart, and every job comes to its end."""
        async with asyncio.timeout(GUARD_S):
            if not self._is_open:
                await self.open()
            assert self._is_open, f"it does not start: {self.witness.refusals[-1]}"
            await self._accept_again()
            before = len(self.witness.refusals)
            for job_id in self.witness.known:
                await self._finish(job_id)
            assert [] == self.witness.refusals[before:]
            assert [] == await self.bench.spool.waiting()
        told = [event for event in self.bench.events if isinstance(event, SpoolFailed | SpoolRecovered)]
        assert [SpoolFailed, SpoolRecovered] * (len(told) // 2) == [type(event) for event in told]

    async def open(self) -> None:
        self.bench.events.clear()
        self._is_open = await self.witness.opened()
        self.salvages += any(isinstance(event, SpoolDamaged) for event in self.bench.events)

    async def close(self) -> None:
        await self.bench.close()
        self.bench.renew()
        self._gone()

    def _gone(self) -> None:
        """The process is."""
        self._is_open = False
        self.witness.crashed()

    async def kill(self) -> None:
        """`kill -9`; and an index of the file is damaged, with which no job is lost."""
        left = self.bench.directory
        if left.exists():
            with self._disk.aside():
                await self.bench.kill()
                self._disk.copied(left, self.bench.directory)
                damage_index(self.bench.database)
                (self.bench.directory / "spool.lock").write_text("12345\n".ljust(32))  # also if none had started
        self._gone()

    async def power_cut(self, rng: random.Random) -> None:
        """What was promised has to be what the disk really has."""
        self._disk.power_ends_at = self._disk.calls
        await self.bench.close()
        root = self._root / "power cut"
        root.mkdir()
        self._disk.leave(root / "spool-0", rng, of=self.bench.directory)
        for name in ("spool.mark", "spool.lock"):  # nobody waits for them: they are there, or they are not
            if (file := self.bench.directory / name).exists():
                shutil.copy(file, root / "spool-0")
        self.pictures.append(Picture(of="power cut", root=root, known=self.witness.remembered()))

    def picture(self, of: str) -> None:
        """What `kill -9` would leave now."""
        root = self._root / f"picture-{len(self.pictures)}"
        with self._disk.aside():
            root.mkdir()
            if self.bench.directory.is_dir():
                shutil.copytree(self.bench.directory, root / "spool-0")
        self.pictures.append(Picture(of=of, root=root, known=self.witness.remembered()))

    def _refused(self) -> None:
        if not self._disk.has_power:
            raise PowerCutError
        if not self.pictures:
            self.picture(f"after {self.witness.refusals[-1]}")

    async def _first_day(self) -> None:
        witness = self.witness
        await witness.accept("paid")
        await witness.succeed("paid")
        await witness.together(*(witness.accept(f"many-{number}") for number in range(4)))
        await witness.together(*(self._served(f"served-{number}") for number in range(3)))
        await witness.accept("refused")
        await witness.fail("refused", FREE, JobState.RETRY_WAIT)
        await witness.fail("refused", REFUSED, JobState.FAILED)
        await witness.accept("held")
        await witness.fail("held", BILLED, JobState.UNCERTAIN)
        await witness.cancel("held")
        await witness.accept("resent", resend=ResendPolicy.RESEND_ONCE)
        await witness.fail("resent", BILLED, JobState.RETRY_WAIT)
        await witness.accept("erased")
        await witness.erase("erased")
        await witness.accept("leaver-1", caller="leaver")
        await witness.accept("leaver-2", caller="leaver")
        await witness.erase_caller("leaver")
        await witness.accept("call", kind=JobKind.CALL)
        await witness.succeed("call")
        await witness.accept("forgotten", kind=JobKind.CALL)
        await witness.forget("forgotten")
        await witness.accept("parked", kind=JobKind.CALL)
        await witness.park("parked")
        self.bench.clock.advance(KEPT_S + 1)
        await witness.sweep(due=lambda _: True)
        await witness.accept("cut")
        await witness.begin("cut")
        await witness.accept("unwanted")
        await witness.begin("unwanted")
        await witness.cancel("unwanted")

    async def _served(self, job_id: str) -> None:
        await self.witness.accept(job_id)
        await self.witness.succeed(job_id)

    async def _second_day(self) -> None:
        for job_id in self.witness.known:
            await self.witness.read(job_id)
        await self.witness.accept("late")
        await self.witness.succeed("many-0")
        await self.witness.cancel("cut")
        await self.witness.erase("many-1")

    async def _third_day(self) -> None:
        await self.witness.succeed("resent")
        await self.witness.cancel("many-2")
        await self.witness.sweep(due=lambda _: True)

    async def _accept_again(self) -> None:
        number, refusals = 0, -1
        while refusals != len(self.witness.refusals):
            refusals, number = len(self.witness.refusals), number + 1
            await self.witness.sweep(due=lambda _: True)  # the daemon does so each minute
            await self.witness.accept(f"after-{number}")

    async def _finish(self, job_id: str) -> None:
        known = self.witness.known[job_id]
        await self.witness.read(job_id)
        await self.witness.succeed(job_id)
        (state,) = known.states
        if state is JobState.UNCERTAIN and known.kind is JobKind.JOB:
            await self.witness.cancel(job_id)
        assert not known.states & {JobState.QUEUED, JobState.RETRY_WAIT, JobState.SENDING}, f"{job_id} is stuck"


def damage_index(path: Path) -> None:
    """Zero a page that no row is in."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'job_revision'").get
    connection.close()
    if page is not None:
        with path.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(bytes(4096))


@asynccontextmanager
async def life(root: Path, *, vault: Vault | None = None) -> AsyncIterator[tuple[Life, SimulatedDisk]]:
    """A disk that all connections use and that `os` uses, and a queue on it."""
    root.mkdir(parents=True)  # noqa: ASYNC240  a test may wait for a disk
    with simulated_disk(f"life {root}", everywhere=True) as disk, disk.mounted(root / "life"):
        queue = Life(root, disk, vault=vault)
        try:
            yield queue, disk
        finally:
            with disk.aside():
                await queue.bench.close()
