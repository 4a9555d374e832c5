import re
import tomllib
from dataclasses import fields
from pathlib import Path

from edgeclient.config.example import example
from edgeclient.config.layers import defaults
from edgeclient.config.load import load
from edgeclient.config.models import model_path
from edgeclient.config.row_schema import PriceConfig
from edgeclient.core.models import ModelSpec

SETTING = re.compile(r"^#(?=\S)", re.MULTILINE)
TABLE = re.compile(r"^#     (.*)$", re.MULTILINE)


def test_example_as_it_is_sets_nothing() -> None:
    assert not any(tomllib.loads(example()).values())


def test_example_with_every_line_taken_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text(SETTING.sub("", example()), encoding="utf-8")
    taken = load(file=file, environ={}, overrides={})
    default = load(file=None, environ={}, overrides={}, default_file=tmp_path / "none.toml")
    assert default.config == taken.config
    assert {path for path, origin in taken.origins.items() if origin.line} == set(defaults())


def test_tables_of_the_example_can_be_loaded_and_show_every_fact(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text("\n".join(TABLE.findall(example())), encoding="utf-8")
    loaded = load(file=file, environ={}, overrides={})
    mine = next(spec for spec in loaded.config.models if spec.id == "my-model")
    shown = {
        path.removeprefix(f"{model_path(mine.id)}.") for path in loaded.origins if path.startswith("models.my-model.")
    }
    assert {spec.name for spec in fields(ModelSpec)} - {"id"} == shown
    assert {f"prices[0].{spec.name}" for spec in fields(PriceConfig)} < set(loaded.origins)


def test_example_fits_on_a_screen() -> None:
    assert max(map(len, example().splitlines())) <= 160
