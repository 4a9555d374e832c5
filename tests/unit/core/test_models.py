from contextlib import suppress
from dataclasses import replace

import pytest
from builders import model
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.config.models import built_in_models
from edgeclient.core.models import Catalogue, ModelSpec, UnknownModelError, canonical_name

MODELS = built_in_models()
CATALOGUE = Catalogue(MODELS, default="qwen-plus")
BY_ID = {spec.id: spec for spec in MODELS}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("qwen3-max", "qwen3-max"),
        ("Qwen3-Max", "qwen3-max"),
        ("Qwen/Qwen3-Max", "qwen3-max"),
        ("qwen3max", "qwen3-max"),
        ("Qwen 3 Max", "qwen3-max"),
        ("qwen_plus", "qwen-plus"),
        (" Qwen Plus ", "qwen-plus"),
        ("dashscope/qwen-plus", "qwen-plus"),
        ("qwen 3.8 max", "qwen3.8-max"),
        ("qwen3\u2011max", "qwen3-max"),
        ("qwq", "qwq-plus"),
    ],
)
def test_a_model_is_found_however_people_write_it(written: str, meant: str) -> None:
    assert BY_ID[meant] is CATALOGUE.resolve(written)


@given(spec=st.sampled_from(MODELS), data=st.data())
def test_case_and_separators_of_an_id_do_not_matter(spec: ModelSpec, data: st.DataObject) -> None:
    separators = st.sampled_from(["-", "_", " ", "  ", ""])
    letters = [
        data.draw(separators) if letter == "-" else data.draw(st.sampled_from([letter.lower(), letter.upper()]))
        for letter in spec.id
    ]
    prefix = data.draw(st.sampled_from(["", "qwen/", "Qwen/", "alibaba/", "openai/"]))
    assert spec is CATALOGUE.resolve(prefix + "".join(letters))


@pytest.mark.parametrize(
    ("snapshot", "base"),
    [
        ("qwen-max-latest", "qwen-max"),
        ("qwen3.8-max-0902", "qwen3.8-max"),
        ("qwen3.8-max-2026-09-02", "qwen3.8-max"),
        ("qwen3-max-2026-01-23", "qwen3-max"),
        ("qwen3-max-preview", "qwen3-max"),
        ("qwen3.7-flash-2026-07-15", "qwen3.7-flash"),
    ],
)
def test_snapshot_has_the_abilities_of_its_model_and_its_own_id(snapshot: str, base: str) -> None:
    assert replace(BY_ID[base], id=snapshot, aliases=()) == CATALOGUE.resolve(snapshot)


def test_snapshot_of_an_alias_is_asked_by_the_name_of_the_model() -> None:
    assert CATALOGUE.resolve("Qwen3Max-2026-01-23").id == "qwen3-max-2026-01-23"
    assert CATALOGUE.resolve("qwq-latest").id == "qwq-plus-latest"


def test_snapshot_with_a_row_of_its_own_keeps_its_own_facts() -> None:
    assert BY_ID["qwen3-max-2025-09-23"] is CATALOGUE.resolve("Qwen3-Max-2025-09-23")


def test_snapshot_of_an_operators_alias_is_no_model() -> None:
    catalogue = Catalogue(MODELS, default="qwen-plus", aliases={"fast": "qwen-flash"})
    with pytest.raises(UnknownModelError):
        catalogue.resolve("fast-latest")


def test_snapshot_is_not_moved_by_an_alias_over_its_model() -> None:
    catalogue = Catalogue(MODELS, default="qwen-plus", aliases={"qwen-plus": "qwen3.7-plus"})
    assert catalogue.resolve("qwen-plus").id == "qwen3.7-plus"
    assert catalogue.resolve("qwen-plus-2025-12-01").id == "qwen-plus-2025-12-01"


def test_unknown_name_gives_the_nearest_names() -> None:
    with pytest.raises(UnknownModelError) as caught:
        CATALOGUE.resolve("qwen-plsu")
    assert caught.value.nearest[0] == "qwen-plus"


@pytest.mark.parametrize("name", ["gpt-4o", "   ", "-", "/", "latest", "-latest", "-0902", "x" * 100_000])
def test_name_of_no_model_is_refused(name: str) -> None:
    with pytest.raises(UnknownModelError):
        CATALOGUE.resolve(name)


@given(st.text(max_size=150))
def test_any_text_is_a_model_or_an_unknown_model(name: str) -> None:
    with suppress(UnknownModelError):
        assert CATALOGUE.resolve(name).id


def test_empty_name_is_the_default() -> None:
    assert CATALOGUE.default is CATALOGUE.resolve("")


def test_default_may_be_an_alias() -> None:
    assert Catalogue(MODELS, default="fast", aliases={"Fast": "qwen-flash"}).default is BY_ID["qwen-flash"]


@pytest.mark.parametrize("order", [1, -1])
def test_alias_stands_for_a_model_whatever_the_order_of_aliases(order: int) -> None:
    aliases = dict([("qwen-plus", "qwen-flash"), ("mine", "qwen-plus")][::order])
    catalogue = Catalogue(MODELS, default="qwen-max", aliases=aliases)
    assert catalogue.resolve("mine") is BY_ID["qwen-plus"]
    assert catalogue.resolve("qwen-plus") is BY_ID["qwen-flash"]


@pytest.mark.parametrize("aliases", [{"a": "b", "b": "a"}, {"a": "a"}, {"a": ""}, {"a": "nothing-like-it"}])
def test_alias_of_no_model_is_refused(aliases: dict[str, str]) -> None:
    with pytest.raises(UnknownModelError):
        Catalogue(MODELS, default="qwen-plus", aliases=aliases)


def test_empty_default_is_refused() -> None:
    with pytest.raises(UnknownModelError):
        Catalogue(MODELS, default="")


def test_id_wins_over_alias_and_the_first_alias_over_later_ones() -> None:
    first, second = model(id="one", aliases=("two", "both")), model(id="two", aliases=("both",))
    catalogue = Catalogue([first, second], default="one")
    assert catalogue.resolve("two") is second
    assert catalogue.resolve("both") is first


def test_hyphens_matter_where_only_they_tell_two_models_apart() -> None:
    one, other = model(id="echo-11"), model(id="echo-1-1")
    catalogue = Catalogue([one, other], default="echo-11")
    assert catalogue.resolve("Echo_11") is one
    assert catalogue.resolve("Echo 1 1") is other
    with pytest.raises(UnknownModelError):
        catalogue.resolve("echo11")


def test_canonical_name_is_its_own_canonical_name() -> None:
    assert all(canonical_name(spec.id) == spec.id for spec in MODELS)
