"""A template is text with places, and nothing that a device sends can be more than text in a place."""

from typing import Any

import pytest

from edgeclient.policy.template import Template, expand, misuse
from edgeclient.v1 import chat_pb2


def template(**fields: Any) -> Template:
    defaults = fields.pop("defaults", {})
    return Template(name="diagnose", request=chat_pb2.ChatRequest(**fields), defaults=defaults)


def asked(**fields: Any) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(template="diagnose", **fields)


def texts(request: chat_pb2.ChatRequest) -> list[str]:
    return [
        *filter(None, [request.system]),
        *(each.content for each in request.messages),
        *filter(None, [request.prompt]),
    ]


def test_places_are_filled_in_all_texts() -> None:
    made = template(
        system="You know {site}.",
        messages=[{"content": "At {site}"}, {"parts": [{"text": "see {sensor}"}]}],
        prompt="{sensor} reads {value}",
        defaults={"site": "hall 7"},
    )

    request = expand(made, asked(variables={"sensor": "boiler", "value": "97"})).request

    assert ["You know hall 7.", "At hall 7", "", "boiler reads 97"] == texts(request)
    assert "see boiler" == request.messages[1].parts[0].text
    assert frozenset({"site", "sensor", "value"}) == made.places


def test_given_value_wins_over_the_default() -> None:
    made = template(prompt="{unit}", defaults={"unit": "C"})

    assert ["F"] == texts(expand(made, asked(variables={"unit": "F"})).request)


@pytest.mark.parametrize("value", ["{sensor}", "{{sensor}}", "\\1", "\\g<0>", "{unit}", ""])
def test_value_brings_nothing_but_itself(value: str) -> None:
    made = template(prompt="<{sensor}> {unit}", defaults={"unit": "C"})

    assert [f"<{value}> C"] == texts(expand(made, asked(variables={"sensor": value})).request)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"celsius": 97}', '{"celsius": 97}'),
        ('{"a": {"b": {}}}', '{"a": {"b": {}}}'),
        ('{"celsius": {value}}', '{"celsius": 97}'),
        ("{{value}}", "{value}"),
        ("{ value }", "{ value }"),
        ("{9}", "{9}"),
        ("{}", "{}"),
    ],
)
def test_other_braces_stand_for_themselves(text: str, written: str) -> None:
    made = template(prompt=text + "{value}")

    assert [written + "97"] == texts(expand(made, asked(variables={"value": "97"})).request)


def test_texts_of_the_template_come_first() -> None:
    made = template(system="S", messages=[{"content": "M"}], prompt="P")

    expanded = expand(made, asked(system="s", messages=[{"content": "m"}], prompt="p"))

    assert ["S", "s", "M", "P", "m", "p"] == texts(expanded.request)
    assert 3 == expanded.ahead_count
    assert chat_pb2.ROLE_SYSTEM == expanded.request.messages[0].role
    assert chat_pb2.ROLE_USER == expanded.request.messages[2].role


def test_own_system_text_is_used_where_the_template_has_none() -> None:
    assert "s" == expand(template(prompt="P"), asked(system="s")).request.system


def test_what_the_caller_sets_wins_as_a_whole() -> None:
    made = template(
        prompt="P",
        model="qwen-max",
        max_tokens=100,
        temperature=0.0,
        stop=["a", "b"],
        thinking=chat_pb2.THINKING_MODE_OFF,
    )

    request = expand(made, asked(max_tokens=5, stop=["c"], temperature=1.0, label="l", idempotency_key="k")).request

    assert ("qwen-max", 5, 1.0, ["c"]) == (request.model, request.max_tokens, request.temperature, list(request.stop))
    assert ("l", "k", chat_pb2.THINKING_MODE_OFF) == (request.label, request.idempotency_key, request.thinking)


def test_zero_of_the_template_is_a_value() -> None:
    assert expand(template(prompt="P", temperature=0.0), asked()).request.HasField("temperature")


def test_nothing_of_the_template_is_left_to_name_it() -> None:
    request = expand(template(prompt="{a}"), asked(variables={"a": "b"})).request

    assert ("", {}) == (request.template, dict(request.variables))


def test_template_itself_is_never_changed() -> None:
    made = template(messages=[{"content": "{a}"}])

    for value in "xy":
        assert [value] == texts(expand(made, asked(variables={"a": value})).request)


def test_missing_and_unknown_variables_are_named_with_what_would_be_right() -> None:
    made = template(prompt="{sensor} {value} {unit}", defaults={"unit": "C"})

    problems = misuse(made, asked(variables={"sensr": "boiler", "value": "97"}))

    assert ["variables.sensr", "variables.sensor"] == [problem.field for problem in problems]
    assert "the places sensor, unit, value" in problems[0].description
    assert [] == misuse(made, asked(variables={"sensor": "b", "value": "97"}))


def test_template_without_places_takes_no_variables() -> None:
    (problem,) = misuse(template(prompt="P"), asked(variables={"a": "b"}))

    assert "has no places" in problem.description
