import pytest
from builders import config, model

from edgeclient.config.catalogue import catalogue, model_problems
from edgeclient.config.row_schema import PriceConfig
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError


def test_catalogue_has_the_default_and_the_aliases_of_the_configuration() -> None:
    models = catalogue(config(chat={"default_model": "fast", "aliases": {"fast": "qwen-flash"}}))
    assert models.default is models.resolve("qwen-flash")
    assert models.resolve("FAST") is models.default


def test_operators_model_is_found_beside_the_built_in_ones() -> None:
    models = catalogue(config(models=[model(id="sim-echo")]))
    assert models.resolve("Sim Echo").id == "sim-echo"
    assert models.resolve("").id == "qwen-plus"


def test_every_wrong_name_is_told_with_its_path() -> None:
    wrong = config(
        chat={"default_model": "qwen-plsu", "aliases": {"a": "qwen-maxx", "b": "", "": "qwen-plus", "A": "qwen-max"}},
        prices=[PriceConfig(model="qwen-flsh")],
    )
    with pytest.raises(SettingError) as caught:
        catalogue(wrong)
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "chat.aliases.a: there is no model 'qwen-maxx'",
        "chat.aliases.b: names no model",
        "chat.aliases: an alias is empty",
        "chat.aliases.A: is the same name as a",
        "chat.default_model: there is no model 'qwen-plsu'",
        "prices[0].model: there is no model 'qwen-flsh'",
    ]


def test_node_without_models_is_refused() -> None:
    assert model_problems(Config()) == ["models: there is none; a node needs at least one"]
