from edgeclient.config.models import built_in_models
from edgeclient.core.models import Catalogue, Thinking, canonical_name

MODELS = built_in_models()
BY_ID = {spec.id: spec for spec in MODELS}


def test_every_name_means_one_model() -> None:
    names = [canonical_name(name).replace("-", "") for spec in MODELS for name in (spec.id, *spec.aliases)]
    assert sorted(set(names)) == sorted(names)


def test_every_model_is_found_by_its_id_and_its_aliases() -> None:
    catalogue = Catalogue(MODELS, default="qwen-plus")
    assert all(catalogue.resolve(name) is spec for spec in MODELS for name in (spec.id, *spec.aliases))


def test_facts_do_not_contradict_each_other() -> None:
    for spec in MODELS:
        thinks = spec.thinking is not Thinking.NEVER
        assert thinks or not (spec.max_reasoning_tokens or spec.thinking_needs_stream or spec.limits_reasoning), spec.id
        assert spec.limits_reasoning or not spec.takes_effort, spec.id
        assert not spec.context_window_tokens or spec.max_output_tokens < spec.context_window_tokens, spec.id


def test_models_that_always_think_are_streamed() -> None:
    always = {spec.id for spec in MODELS if spec.thinking is Thinking.ALWAYS}
    assert always == {spec.id for spec in MODELS if spec.stream_only and "omni" not in spec.id}
    assert {"qwq-plus", "qvq-max"} < always


def test_newer_models_think_unless_told_not_to() -> None:
    newer = [spec for spec in MODELS if spec.id.startswith(("qwen3.5-", "qwen3.6-", "qwen3.7-", "qwen3.8-"))]
    assert {Thinking.ON} == {spec.thinking for spec in newer if not spec.id.startswith("qwen3.5-omni")}
    assert {Thinking.OFF} == {BY_ID[name].thinking for name in ("qwen-plus", "qwen-flash", "qwen-turbo", "qwen3-max")}


def test_reasoning_is_bounded_from_3_5_plus_and_3_7_max_on() -> None:
    assert all(BY_ID[name].limits_reasoning for name in ("qwen3.5-plus", "qwen3.5-flash", "qwen3.7-max", "qwen3.8-max"))
    assert not any(BY_ID[name].limits_reasoning for name in ("qwen-plus", "qwen3-max", "qwen3.6-max-preview"))


def test_small_open_models_think_only_in_a_stream() -> None:
    assert all(BY_ID[name].thinking_needs_stream for name in ("qwen3-4b", "qwen3-32b", "qwen3-235b-a22b"))
    assert not any(BY_ID[name].thinking_needs_stream for name in ("qwen-plus", "qwen3.5-27b", "qwen3-max"))
