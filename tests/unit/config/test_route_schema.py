"""What an operator may say about the choice among targets, and what is told of mistakes."""

import builders
import pytest

from edgeclient.config.catalogue import catalogue
from edgeclient.config.route_schema import RouteConfig
from edgeclient.config.setting import SettingError


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"fall_back_on": ["throttled", "slow"]},
            "fall_back_on: 'slow' is none of throttled, unavailable, timeout, blocked",
        ),
        ({"after_timeout": "ask"}, "after_timeout: 'ask' is none of move, stop"),
        (
            {"fallback_models": {"qwen-max": "qwen-max"}},
            "fallback_models.qwen-max: stands in for itself in the end; break the circle",
        ),
        (
            {"fallback_models": {"a": "b", "b": "c", "c": "a"}},
            "fallback_models.a: stands in for itself in the end; break the circle",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        RouteConfig(**settings)  # type: ignore[arg-type]  # as a file has it

    assert problem == caught.value.problems[0]


def test_a_way_into_a_circle_is_told_of_the_circle() -> None:
    with pytest.raises(SettingError) as caught:
        RouteConfig(fallback_models={"a": "b", "b": "c", "c": "b"})

    assert ["fallback_models.b", "fallback_models.c"] == [each.partition(":")[0] for each in caught.value.problems]


@pytest.mark.parametrize(
    "fallback_models", [{"qwen-pluss": "qwen-flash"}, {"qwen-plus": "qwen-pluss"}], ids=["model", "stand-in"]
)
def test_a_model_that_there_is_not(fallback_models: dict[str, str]) -> None:
    with pytest.raises(SettingError) as caught:
        catalogue(builders.config(route={"fallback_models": fallback_models}))

    path = f"route.fallback_models.{next(iter(fallback_models))}"
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: there is no model 'qwen-pluss'; did you mean qwen-plus")
