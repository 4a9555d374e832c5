"""The file is read again when it has changed, a wrong one changes nothing, and all of it is told."""

import asyncio
import os
from pathlib import Path

import builders
import pytest
from fakes.clock import FakeClock

from edgeclient.config.load import Loaded, load
from edgeclient.config.schema import Config
from edgeclient.config.source import LOOK_S, MOST_TOLD, ConfigSource, Reread
from edgeclient.core.companion import companion
from edgeclient.core.events import Event
from edgeclient.core.node_events import ConfigRejected, ConfigReloaded

NOTHING = "[log]\n"
DEBUG = "[log]\nlevel = 'debug'\n"


class Clock(FakeClock):
    """One that tells when somebody waits for it again."""

    def __init__(self) -> None:
        super().__init__()
        self._asleep = asyncio.Event()

    async def sleep(self, duration_s: float) -> None:
        self._asleep.set()
        await super().sleep(duration_s)

    async def asleep(self) -> None:
        async with asyncio.timeout(20):
            await self._asleep.wait()

    def advance(self, duration_s: float) -> None:
        self._asleep.clear()
        super().advance(duration_s)


class Bench:
    """A source over a file, and what came of it."""

    def __init__(self, file: Path, text: str = NOTHING) -> None:
        """Without a text there is no file."""
        self.file = file
        self.write(text) if text else file.unlink()
        self.clock = Clock()
        self.told: asyncio.Queue[Event] = asyncio.Queue()
        self.applied: list[Config] = []
        self.read_count = 0
        self.source = ConfigSource(
            self._load().config,
            reread=Reread(file=file, load=self._load),
            apply=self.applied.append,
            observe=self.told.put_nowait,
            clock=self.clock,
        )

    def _load(self) -> Loaded:
        self.read_count += 1
        return load(file=None, environ={}, overrides={}, default_file=self.file)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def remove(self) -> None:
        self.file.unlink()

    def replace(self, text: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.file)  # noqa: PTH105  as careful people replace files

    async def looks(self, count: int = 1) -> None:
        """Let so many looks at the file happen, and end."""
        for _ in range(count):
            await self.clock.asleep()
            self.clock.advance(LOOK_S)
        await self.clock.asleep()

    async def next_told(self) -> Event:
        async with asyncio.timeout(20):
            return await self.told.get()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "edgeclient.toml"
    file.write_text(NOTHING)
    return file


async def test_file_that_stays_is_read_once_and_nothing_is_told(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        read_count = bench.read_count
        await bench.looks(5)

    assert 2 == read_count == bench.read_count
    assert [] == bench.applied
    assert bench.told.empty()


async def test_change_is_taken_over_and_told(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.replace(DEBUG + "[ingress]\ndrain_s = 1\n")
        await bench.looks(2)
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert (str(file), "log.level", "ingress.drain_s") == (told.path, told.applied, told.waiting)
    assert ["debug"] == [config.log.level for config in bench.applied]
    standing = bench.source.standing()
    assert (told.digest, 1, True) == (standing.digest, standing.waiting_count, standing.succeeded)


async def test_change_between_the_start_and_the_first_look_is_seen(file: Path) -> None:
    bench = Bench(file)
    bench.replace(DEBUG)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert "log.level" == told.applied


async def test_file_that_is_being_written_is_left_alone(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        read_count = bench.read_count
        bench.write("")
        await bench.looks()
        bench.write("[log]\nlev")
        await bench.looks()
        bench.write(DEBUG)
        await bench.looks()
        assert read_count == bench.read_count
        await bench.looks()
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert 1 == len(bench.applied)


async def test_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes replaces the files of a ConfigMap."""
    for name, text in (("one", NOTHING), ("two", DEBUG)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "edgeclient.toml").write_text(text)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "edgeclient.toml").symlink_to("data/edgeclient.toml")
    bench = Bench(tmp_path / "edgeclient.toml")
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        (tmp_path / "fresh").symlink_to("two")
        (tmp_path / "fresh").rename(tmp_path / "data")
        await bench.looks(2)
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert "log.level" == told.applied


async def test_wrong_file_changes_nothing_and_is_told_once_with_all_that_is_wrong(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.replace("[log]\nlevel = 'loud'\n[chat]\nno_such_key = 1\n")
        await bench.looks(4)
        told = await bench.next_told()
        assert bench.told.empty()
        assert not bench.source.standing().succeeded
        bench.replace(NOTHING)
        await bench.looks(2)
        mended = await bench.next_told()

    assert isinstance(told, ConfigRejected)
    assert "log.level: 'loud' is none of debug, info, warning, error" in told.problems
    assert "chat.no_such_key is not a setting" in told.problems
    assert [] == bench.applied
    assert isinstance(mended, ConfigReloaded)
    assert ("", "") == (mended.applied, mended.waiting)
    assert bench.source.standing().succeeded


async def test_file_that_is_gone_takes_no_setting_away(file: Path) -> None:
    bench = Bench(file, DEBUG)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.remove()
        await bench.looks(2)
        told = await bench.next_told()

    assert isinstance(told, ConfigRejected)
    assert f"{file}: is gone; put it back" in told.problems
    assert [] == bench.applied


async def test_file_that_comes_is_a_change(file: Path) -> None:
    bench = Bench(file, "")
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.write(DEBUG)
        await bench.looks(2)
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert "log.level" == told.applied


async def test_who_asks_is_told_at_once_even_if_nothing_has_changed(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.source.ask()
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert ("", "") == (told.applied, told.waiting)
    assert [] == bench.applied


async def test_who_asks_need_not_wait_until_the_file_is_quiet(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.write(DEBUG)
        bench.source.ask()
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert "log.level" == told.applied


async def test_long_lists_are_cut(file: Path) -> None:
    bench = Bench(file)
    async with companion(bench.source.run(), name="source"):
        await bench.looks(2)
        bench.replace("".join(f"[[callers]]\nname = 'c{number}'\n" for number in range(MOST_TOLD + 5)))
        bench.source.ask()
        told = await bench.next_told()

    assert isinstance(told, ConfigReloaded)
    assert told.applied.endswith(f"callers[c{MOST_TOLD - 1}], and 5 more")
    assert MOST_TOLD + 5 == len(bench.applied[0].callers)


async def test_without_a_way_to_read_it_again_it_only_tells_what_is_in_force() -> None:
    source = ConfigSource(
        builders.config(), reread=None, apply=lambda _: None, observe=lambda _: None, clock=FakeClock()
    )
    source.ask()
    await source.run()

    assert source.standing().succeeded
