"""What a configuration that was read anew means: what takes effect, what wants a restart, what is refused."""

from copy import copy
from dataclasses import fields, replace
from typing import Any, cast

import builders
import pytest

from edgeclient.config.reload import change, digest
from edgeclient.config.row_schema import ROWS, CallerConfig, LimitConfig, PriceConfig
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.setting import SettingError, reloads
from edgeclient.config.target_schema import TargetConfig

TOKEN = CallerConfig(name="somebody", token_sha256=["0" * 64])
BEFORE = builders.config(callers=[TOKEN])
OTHER: dict[str, Any] = {
    "auth.required": True,
    "chat.default_model": "qwen-max",
    "chat.aliases": {"cheap": "qwen-flash"},
    "chat.extra_keys": ["top_k"],
    "chat.max_messages": 5,
    "log.format": "console",
    "log.level": "debug",
}
"""Another value of each setting that can change while the daemon runs."""


def settings(*, reloading: bool) -> list[str]:
    return [
        f"{section}.{spec.name}"
        for section, cls in SECTIONS.items()
        for spec in fields(cast("Any", cls))
        if reloads(spec) is reloading
    ]


def with_setting(path: str, value: Any) -> Config:
    """What stands before, with this value in it, which nobody has checked."""
    section, name = path.split(".")
    config, part = copy(BEFORE), copy(getattr(BEFORE, section))
    object.__setattr__(part, name, value)
    object.__setattr__(config, section, part)
    return config


def with_rows(table: str, rows: tuple[Any, ...]) -> Config:
    config = copy(BEFORE)
    object.__setattr__(config, table, rows)
    return config


@pytest.mark.parametrize("path", settings(reloading=False))
def test_every_setting_without_the_mark_is_told_to_want_a_restart_and_stays(path: str) -> None:
    found = change(BEFORE, with_setting(path, "another one"))

    assert ((), (path,)) == (found.applied, found.waiting)
    assert found.config == BEFORE


@pytest.mark.parametrize("path", settings(reloading=True))
def test_every_setting_with_the_mark_takes_effect(path: str) -> None:
    read = with_setting(path, OTHER[path])

    found = change(BEFORE, read)

    assert ((path,), ()) == (found.applied, found.waiting)
    assert found.config == read


@pytest.mark.parametrize("table", ROWS)
def test_rows_of_a_table_reload_together_or_not_at_all(table: str) -> None:
    marks = {reloads(spec) for spec in fields(cast("Any", ROWS[table]))}

    assert 1 == len(marks)
    assert marks == {table != "targets"}


def test_rows_are_told_by_what_they_are_about() -> None:
    earlier = [CallerConfig(name="a"), CallerConfig(name="b", models=["qwen-max"]), CallerConfig(name="c")]
    later = [CallerConfig(name="new"), CallerConfig(name="a"), CallerConfig(name="b", models=["qwen-plus"])]

    found = change(builders.config(callers=earlier), builders.config(callers=later))

    assert ["callers[a]", "callers[b].models", "callers[c]", "callers[new]"] == sorted([*found.applied, "callers[a]"])
    assert tuple(later) == found.config.callers


def test_rows_about_the_same_are_told_apart() -> None:
    tiers = [PriceConfig(model="qwen-plus", up_to_input_tokens=128_000), PriceConfig(model="qwen-plus")]
    dearer = [tiers[0], PriceConfig(model="qwen-plus", input_per_million=2.0)]

    found = change(builders.config(prices=tiers), builders.config(prices=dearer))

    assert ("prices[qwen-plus 2].input_per_million",) == found.applied


def test_rows_of_a_table_without_the_mark_stay() -> None:
    row = TargetConfig(name="far", base_url="https://far.example/v1")

    found = change(BEFORE, with_rows("targets", (row,)))

    assert (("targets[far]",), ()) == (found.waiting, found.applied)
    assert () == found.config.targets


def test_models_want_a_restart() -> None:
    found = change(BEFORE, builders.config(callers=[TOKEN], models=[builders.model(id="mine")]))

    assert (("models.mine",), ()) == (found.waiting, found.applied)
    assert BEFORE == found.config


def test_both_kinds_are_told_apart() -> None:
    read = builders.config(
        log={"level": "debug"}, ingress={"drain_s": 1.0}, limits=[LimitConfig(model="*")], callers=[TOKEN]
    )

    found = change(BEFORE, read)

    assert {"log.level", "limits[*]"} == set(found.applied)
    assert ("ingress.drain_s",) == found.waiting
    assert "debug" == found.config.log.level
    assert BEFORE.ingress == found.config.ingress


def test_what_waits_is_told_again_until_the_restart() -> None:
    read = builders.config(ingress={"drain_s": 1.0}, callers=[TOKEN])

    assert ("ingress.drain_s",) == change(change(BEFORE, read).config, read).waiting


def test_what_would_contradict_the_part_that_waits_is_refused_with_the_cure() -> None:
    caller = CallerConfig(name="camera-7", models=["mine"])
    read = builders.config(models=[builders.model(id="mine")], callers=[caller])

    with pytest.raises(SettingError) as refused:
        change(BEFORE, read)

    (problem,) = refused.value.problems
    assert problem.startswith("callers[0].models: there is no model 'mine'")
    assert problem.endswith("; that holds until the restart that models.mine want")


def test_sections_that_contradict_each_other_are_refused() -> None:
    known = builders.config(ingress={"tls_certificate_file": "c", "tls_key_file": "k", "tls_client_ca_file": "ca"})
    read = replace(known, auth=replace(known.auth, required=True))

    with pytest.raises(SettingError, match=r"auth\.required: nobody could call"):
        change(BEFORE, read)


def test_digest_is_that_of_the_content() -> None:
    assert digest(builders.config()) == digest(builders.config())
    assert digest(builders.config()) != digest(builders.config(log={"level": "debug"}))
