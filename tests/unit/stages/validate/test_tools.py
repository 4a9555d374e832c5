"""Declarations, schemas, the choice among tools, and the form of the answer."""

from typing import Any

import pytest

DEEP = '{"type":"object","properties":' + '{"a":' * 32 + "{}" + "}" * 33


def tool(name: str = "read_temp", parameters: str = "") -> dict[str, Any]:
    return {"function": {"name": name, "parameters": parameters}}


NAME = "write 1 to 64 characters of [A-Za-z0-9_-]"
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"tools": [{}]}, "tools[0]", "is empty; set function"),
    ({"tools": [tool(""), tool()]}, "tools[0].function.name", f"is empty; {NAME}"),
    ({"tools": [tool("a.b")]}, "tools[0].function.name", f"has a character that is not allowed; {NAME}"),
    ({"tools": [tool("a" * 65)]}, "tools[0].function.name", f"has 65 characters; {NAME}"),
    (
        {"tools": [tool(), tool("b"), tool()]},
        "tools[2].function.name",
        "'read_temp' is the name of tools[0] too; each name stands once",
    ),
    (
        {"tools": [tool("search")]},
        "tools[0].function.name",
        "'search' is reserved by the provider; choose another name, such as search_parts",
    ),
    ({"tools": [tool(f"t{n}") for n in range(65)]}, "tools", "has 65 tools; at most 64 are allowed"),
    *(
        ({"tools": [tool("a"), tool(parameters=schema)]}, "tools[1].function.parameters", sentence)
        for schema, sentence in (
            ("{", "is no JSON object: it breaks off"),
            ("[]", "is no JSON object: expected `object`, got `array`"),
            ('{"type":"string"}', 'has to describe an object; write {"type":"object","properties":{...}}'),
            (
                '{"name":"f","parameters":{"type":"object"}}',
                (
                    'has to describe an object; write {"type":"object","properties":{...}}; the schema seems to be what'
                    " stands under 'parameters', write that alone"
                ),
            ),
            ('{"type":"object","properties":[]}', "its properties have to be an object with one schema for each name"),
            ('{"type":"object","properties":{"a":1}}', "each of its properties has to be a schema, that is an object"),
            ('{"type":"object","required":"a"}', "required has to be a list of names"),
            ('{"type":"object","required":[1]}', "required has to be a list of names"),
            (DEEP, "is nested too deeply; at most 32 levels are allowed"),
            (" " * 65_537, "has 65537 characters; at most 65536 are allowed"),
        )
    ),
    (
        {"tool_choice": {"mode": "TOOL_MODE_REQUIRED"}},
        "tool_choice.mode",
        "TOOL_MODE_REQUIRED needs a tool; declare one in tools",
    ),
    (
        {"tools": [tool()], "tool_choice": {"function": "read"}},
        "tool_choice.function",
        "'read' is not among tools; declare it there or name one that is",
    ),
    ({"tools": [tool()], "tool_choice": {"function": ""}}, "tool_choice.function", f"is empty; {NAME}"),
    (
        {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA"}},
        "response_format.json_schema",
        "is empty; RESPONSE_FORMAT_TYPE_JSON_SCHEMA needs the schema as text",
    ),
    (
        {"response_format": {"json_schema": "{}"}},
        "response_format.json_schema",
        "goes with RESPONSE_FORMAT_TYPE_JSON_SCHEMA only; set that type or leave the schema out",
    ),
    (
        {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA", "json_schema": "true"}},
        "response_format.json_schema",
        "is no JSON object: expected `object`, got `bool`",
    ),
    (
        {
            "response_format": {
                "type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA",
                "json_schema": '{"name":"x","strict":true,"schema":{"type":"object"}}',
            }
        },
        "response_format.json_schema",
        "is no JSON Schema; the schema seems to be what stands under 'schema', write that alone",
    ),
    (
        {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_OBJECT"}},
        "response_format.type",
        (
            'RESPONSE_FORMAT_TYPE_JSON_OBJECT needs the word "JSON" in the conversation; say in a message what JSON is'
            " wanted"
        ),
    ),
]
JSON = {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_OBJECT"}}
GOOD: list[dict[str, Any]] = [
    {"tools": [tool()]},
    {"tools": [tool(parameters="{}")]},
    {"tools": [tool(parameters='{"type":"object","properties":{"a":{"type":"string"},"b":true},"required":["a"]}')]},
    {"tools": [tool("Search"), tool("search_parts")], "tool_choice": {"function": "Search"}},
    {"tools": [tool()], "tool_choice": {"mode": "TOOL_MODE_REQUIRED"}},
    {"tools": [tool(f"t{n}") for n in range(64)], "tool_choice": {"function": "t63"}},
    {"response_format": {"type": "RESPONSE_FORMAT_TYPE_TEXT"}},
    {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA", "json_schema": "{}"}},
    {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA", "json_schema": '{"type":"array"}'}},
    JSON | {"prompt": "As Json, please"},
    JSON | {"system": "Answer in JSON."},
    JSON | {"messages": [{"content": "json!"}]},
]


@pytest.mark.parametrize(("fields", "path", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_bad_declaration_is_refused_in_these_words(
    examine: Any, fields: dict[str, Any], path: str, sentence: str
) -> None:
    assert [(path, sentence)] == examine({"prompt": "hi", **fields})


@pytest.mark.parametrize("fields", GOOD, ids=lambda value: str(value)[:40])
def test_good_declaration_passes(examine: Any, fields: dict[str, Any]) -> None:
    assert examine({"prompt": "hi", **fields}) == []


def test_word_json_may_stand_in_a_part(examine: Any) -> None:
    assert examine(JSON | {"messages": [{"parts": [{"text": "As JSON"}]}]}) == []


def test_call_in_an_old_message_needs_no_declaration(examine: Any) -> None:
    messages = [
        {"content": "hi"},
        {"role": "ROLE_ASSISTANT", "tool_calls": [{"id": "c1", "name": "gone", "arguments": "{}"}]},
        {"role": "ROLE_TOOL", "tool_call_id": "c1", "content": "{}"},
    ]
    assert examine({"messages": messages, "tools": [tool()]}) == []
