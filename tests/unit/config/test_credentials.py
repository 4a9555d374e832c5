import os
from pathlib import Path

import pytest
from fakes.clock import FakeClock

from edgeclient.config.credentials import VARIABLE, EnvironmentKey, FileKey, key_source
from edgeclient.config.setting import SettingError
from edgeclient.core.events import Event, KeyChanged, KeyUnreadable


class Node:
    """A key file, its reader and what it told."""

    def __init__(self, directory: Path, content: str = "sk-first\n") -> None:
        self.path = directory / "key"
        self.path.write_text(content)
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.key = FileKey(self.path, observe=self.events.append, clock=self.clock)

    def later(self) -> str:
        self.clock.advance(1)
        return self.key.current()

    def replace(self, content: str) -> None:
        other = self.path.with_name("new")
        other.write_text(content)
        other.rename(self.path)


def _ignore(event: Event) -> None:
    del event


def test_key_of_the_environment() -> None:
    key = EnvironmentKey({VARIABLE: " sk-secret\n"})

    assert "sk-secret" == key.current()
    assert "secret" not in repr(key)


@pytest.mark.parametrize("value", ["", "  \n"])
def test_no_key_names_both_ways_to_give_one(value: str) -> None:
    with pytest.raises(SettingError, match=r"api_key_file.*DASHSCOPE_API_KEY"):
        EnvironmentKey({VARIABLE: value})


@pytest.mark.parametrize("value", ["sk-one sk-two", "sk-one\nsk-two", "sk-ключ", "sk-\x00"])
def test_what_no_key_looks_like_is_refused_without_showing_it(value: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(value)
    with pytest.raises(SettingError) as of_environment:
        EnvironmentKey({VARIABLE: value})
    with pytest.raises(SettingError) as of_file:
        FileKey(path, observe=_ignore, clock=FakeClock())

    assert "sk-" not in str(of_environment.value)
    assert "sk-" not in str(of_file.value)


def test_missing_file_at_start_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        key_source(str(tmp_path / "nothing"), {VARIABLE: "sk-x"}, observe=_ignore, clock=FakeClock())


def test_without_a_file_the_environment_is_asked() -> None:
    assert "sk-x" == key_source("", {VARIABLE: "sk-x"}, observe=_ignore, clock=FakeClock()).current()


def test_rotated_key_is_used_within_a_second(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.replace("sk-other")  # as long as the first one with its line break, as rotated keys are

    assert "sk-first" == node.key.current()
    assert "sk-other" == node.later()
    assert [KeyChanged(source=str(node.path))] == node.events
    assert "sk-" not in repr(node.key)


def test_touched_file_with_the_same_key_is_no_change(tmp_path: Path) -> None:
    node = Node(tmp_path)
    os.utime(node.path, (1, 1))

    assert "sk-first" == node.later()
    assert [] == node.events


def test_last_good_key_stays_and_the_problem_is_told_once(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.path.unlink()

    assert ["sk-first"] * 3 == [node.later() for _ in range(3)]
    (event,) = node.events
    assert isinstance(event, KeyUnreadable)
    assert "No such file" in event.problem

    node.replace("sk-back")
    assert "sk-back" == node.later()


def test_empty_file_keeps_the_last_key(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.path.write_text("")

    assert "sk-first" == node.later()
    (event,) = node.events
    assert isinstance(event, KeyUnreadable)
    assert "is empty" in event.problem


def test_a_large_file_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no key file"):
        Node(tmp_path, "x" * 10_000)


def test_key_of_a_target_is_told_by_its_row_and_its_name(tmp_path: Path) -> None:
    events: list[Event] = []
    clock = FakeClock()
    with pytest.raises(SettingError, match=rf"targets\[2\]\.api_key_file: is not set and neither is {VARIABLE}"):
        key_source("", {}, observe=events.append, clock=clock, path="targets[2]")
    file = tmp_path / "key"
    with pytest.raises(SettingError, match=r"targets\[2\]\.api_key_file: .* cannot be read"):
        key_source(str(file), {}, observe=events.append, clock=clock, path="targets[2]", target="beijing")
    file.write_text("sk-one")
    source = key_source(str(file), {}, observe=events.append, clock=clock, path="targets[2]", target="beijing")
    file.write_text("sk-another")
    clock.advance(2)
    assert source.current() == "sk-another"
    assert events == [KeyChanged(source=str(file), target="beijing")]
