"""A budget that cannot be kept is told at the start."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import config, model

from edgeclient.config.catalogue import model_problems
from edgeclient.config.load import load
from edgeclient.config.row_schema import CallerConfig, PriceConfig
from edgeclient.config.setting import SettingError

PRICED = [
    PriceConfig(model="sim-echo", input_per_million=1.0),
    PriceConfig(model="Sim Math", currency="CNY", input_per_million=1.0),
    PriceConfig(model="sim-usd", currency="USD"),
    PriceConfig(model="sim-short", up_to_input_tokens=1000),
    PriceConfig(model="sim-tiers", up_to_input_tokens=1000),
    PriceConfig(model="sim-tiers", up_to_input_tokens=4096),
]
MODELS = [
    model(id=f"sim-{name}", context_window_tokens=4096) for name in ("echo", "math", "usd", "short", "tiers", "free")
]


def problems(*rows: CallerConfig) -> list[str]:
    return model_problems(replace(config(models=MODELS, prices=PRICED), callers=rows))


@pytest.mark.parametrize("name", ["sim-echo", "sim-math", "SIM_ECHO", "sim-tiers"])
def test_a_budget_for_priced_models_is_kept(name: str) -> None:
    assert problems(CallerConfig(name="a", budget_per_day=1.0, models=[name])) == []


@pytest.mark.parametrize("name", ["sim-usd", "sim-short", "sim-free", "sim-echo-2026-01-01"])
def test_a_model_without_a_price_in_that_currency_for_every_size_is_named(name: str) -> None:
    told = problems(CallerConfig(name="x"), CallerConfig(name="a", budget_per_day=1.0, models=["sim-echo", name]))

    sentence = "a budget needs prices, and in CNY there is none for requests of any size to"
    assert told == [f"callers[1].budget_per_day: {sentence} {name}; add rows [[prices]]"]


def test_who_may_ask_every_model_needs_the_price_of_every_model() -> None:
    (problem,) = problems(CallerConfig(name="*", budget_per_day=1.0))

    assert " more; add rows [[prices]], or name the models of this caller in callers[0].models" in problem
    assert problem.count("sim-") <= 3


def test_without_a_budget_no_prices_are_needed() -> None:
    assert problems(CallerConfig(name="*", tokens_per_minute=5)) == []


def test_the_place_in_the_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "edgeclient.toml"
    file.write_text('[[callers]]\nname = "a"\nmodels = ["qwen-plus"]\nbudget_per_day = 3\n')
    with pytest.raises(SettingError) as caught:
        load(file=file, environ={}, overrides={})

    assert caught.value.problems[0].startswith("callers[0].budget_per_day: a budget needs prices")
    assert caught.value.problems[0].endswith(f"{file}:4)")
