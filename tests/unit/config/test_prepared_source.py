"""A change of the file is taken over while the node runs, and a wrong one changes nothing."""

import asyncio
import os
from pathlib import Path

import builders
import pytest
from fakes.clock import FakeClock

from edgeclient.config.prepared_source import PreparedSource
from edgeclient.config.setting import SettingError
from edgeclient.core.cache_events import PreparedChanged, PreparedUnusable
from edgeclient.core.companion import companion
from edgeclient.core.events import Event
from edgeclient.core.models import Catalogue

MODELS = Catalogue([builders.model()], default="qwen-plus")


def template(name: str) -> str:
    return f"[templates.{name}]\nprompt = 'p'\n"


class Bench:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = FakeClock()
        self.told: asyncio.Queue[Event] = asyncio.Queue()
        self.source = PreparedSource(file, catalogue=MODELS, observe=self.told.put_nowait, clock=self.clock)

    @property
    def names(self) -> list[str]:
        return list(self.source.current().templates)

    def replace(self, text: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.file)  # noqa: PTH105  as careful people replace files

    async def next_told(self) -> Event:
        async with asyncio.timeout(20):
            return await self.told.get()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    file = tmp_path / "prepared.toml"
    file.write_text(template("a"))
    return Bench(file)


async def test_what_is_there_at_the_start_is_told(bench: Bench) -> None:
    async with companion(bench.source.run(), name="source"):
        told = await bench.next_told()

    assert PreparedChanged(path=str(bench.file), pinned_count=0, template_count=1, names="a") == told
    assert ["a"] == bench.names


async def test_change_is_taken_over_after_a_call_has_come_upon_it(bench: Bench) -> None:
    async with companion(bench.source.run(), name="source"):
        await bench.next_told()
        bench.replace(template("b"))
        bench.clock.advance(1)
        assert ["a"] == bench.names

        told = await bench.next_told()

        assert isinstance(told, PreparedChanged)
        assert ["b"] == bench.names


async def test_file_is_looked_at_once_a_second(bench: Bench) -> None:
    async with companion(bench.source.run(), name="source"):
        await bench.next_told()
        bench.replace(template("b"))
        bench.clock.advance(0.9)
        bench.source.current()
        await asyncio.sleep(0)

        assert bench.told.empty()


async def test_file_that_has_not_changed_is_not_read_again(bench: Bench) -> None:
    for _ in range(3):
        bench.clock.advance(1)
        bench.source.current()

    assert not bench.source._changed.is_set()


@pytest.mark.parametrize("change", ["", "[templates.b]\n", None])
async def test_wrong_file_changes_nothing_and_is_told_once(bench: Bench, change: str | None) -> None:
    async with companion(bench.source.run(), name="source"):
        await bench.next_told()
        if change is None:
            bench.file.unlink()
        else:
            bench.replace(change or "[")
        for _ in range(3):
            bench.clock.advance(1)
            bench.source.current()
        told = await bench.next_told()

        assert isinstance(told, PreparedUnusable)
        assert str(bench.file) in told.problem
        assert ["a"] == bench.names
        assert bench.told.empty()

        bench.replace(template("c"))
        bench.clock.advance(1)
        bench.source.current()
        assert isinstance(await bench.next_told(), PreparedChanged)
        assert ["c"] == bench.names


async def test_at_the_start_a_wrong_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"prepare\.file: .*none\.toml"):
        Bench(tmp_path / "none.toml")


async def test_names_of_models_that_mean_something_else_have_the_file_read_again(bench: Bench) -> None:
    async with companion(bench.source.run(), name="source"):
        await bench.next_told()
        bench.source.models_changed()

        told = await bench.next_told()

    assert isinstance(told, PreparedChanged)
