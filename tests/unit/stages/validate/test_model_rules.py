"""What the chosen model cannot do, and the cure that the sentence names."""

from typing import Any

import pytest

TOOLS = {"tools": [{"function": {"name": "f"}}]}
REQUIRED = TOOLS | {"tool_choice": {"mode": "TOOL_MODE_REQUIRED"}}
ONE = TOOLS | {"tool_choice": {"function": "f"}}
JSON = {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_OBJECT"}}
SCHEMA = {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA", "json_schema": "{}"}}


def mode(name: str) -> dict[str, Any]:
    return {"thinking": f"THINKING_MODE_{name}"}


CURE = "set thinking to THINKING_MODE_OFF"
BUDGET_CURE = "set thinking to THINKING_MODE_ON or leave the budget unset"
BAD: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "on",
        REQUIRED,
        "tool_choice.mode",
        f"a call cannot be forced while thinking, and on thinks unless told otherwise; {CURE}",
    ),
    (
        "on",
        ONE,
        "tool_choice.function",
        f"a call cannot be forced while thinking, and on thinks unless told otherwise; {CURE}",
    ),
    ("off", ONE | mode("ON"), "tool_choice.function", f"a call cannot be forced while off thinks; {CURE}"),
    (
        "always",
        REQUIRED,
        "tool_choice.mode",
        "a call cannot be forced while thinking, and always always thinks; choose another model",
    ),
    (
        "on",
        JSON,
        "response_format.type",
        f"RESPONSE_FORMAT_TYPE_JSON_OBJECT is not possible while thinking, and on thinks unless told otherwise; {CURE}",
    ),
    (
        "off",
        JSON | mode("LOW"),
        "response_format.type",
        f"RESPONSE_FORMAT_TYPE_JSON_OBJECT is not possible while off thinks; {CURE}",
    ),
    *(
        (
            "never",
            form,
            "response_format.type",
            "never cannot be held to JSON; set RESPONSE_FORMAT_TYPE_TEXT or choose another model",
        )
        for form in (JSON, SCHEMA)
    ),
    *(
        ("never", mode(name), "thinking", f"never cannot think; {CURE} or choose another model")
        for name in ("ON", "LOW", "MEDIUM", "HIGH")
    ),
    ("always", mode("OFF"), "thinking", "always always thinks; leave thinking unset or choose another model"),
    (
        "on",
        mode("HIGH") | {"thinking_budget_tokens": 100},
        "thinking",
        (
            "on takes either an effort or thinking_budget_tokens; set thinking to THINKING_MODE_ON or leave the budget"
            " unset"
        ),
    ),
    ("never", {"thinking_budget_tokens": 9}, "thinking_budget_tokens", "never cannot think; leave it unset"),
    (
        "off",
        {"thinking_budget_tokens": 9},
        "thinking_budget_tokens",
        f"off will not think for this request; {BUDGET_CURE}",
    ),
    (
        "on",
        {"thinking_budget_tokens": 9} | mode("OFF"),
        "thinking_budget_tokens",
        f"on will not think for this request; {BUDGET_CURE}",
    ),
    (
        "on",
        {"thinking_budget_tokens": 256_001},
        "thinking_budget_tokens",
        "256001 is too many; on thinks for at most 256000 tokens",
    ),
    ("never", TOOLS, "tools", "never cannot call tools; leave them out or choose another model"),
    ("off", {"max_tokens": 32_001}, "max_tokens", "32001 is too many; off generates at most 32000 tokens"),
    (
        "off",
        {"max_tokens": 32_001} | mode("ON"),
        "max_tokens",
        "32001 is too many; off generates at most 32000 tokens",
    ),
    (
        "on",
        {"max_tokens": 64_001} | mode("OFF"),
        "max_tokens",
        "64001 is too many; on generates at most 64000 tokens",
    ),
    (
        "on",
        {"max_tokens": 320_001},
        "max_tokens",
        "320001 is too many; on generates at most 320000 tokens, reasoning included",
    ),
]
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("on", REQUIRED | mode("OFF")),
    ("on", JSON | mode("OFF")),
    ("on", SCHEMA),
    ("off", REQUIRED),
    ("off", JSON),
    ("on", TOOLS | {"tool_choice": {"mode": "TOOL_MODE_AUTO"}}),
    ("always", TOOLS | {"tool_choice": {"mode": "TOOL_MODE_NONE"}}),
    ("always", mode("HIGH") | {"thinking_budget_tokens": 10**9, "max_tokens": 10**9}),
    ("never", mode("OFF") | {"max_tokens": 10**9}),
    ("off", mode("LOW") | {"thinking_budget_tokens": 80_000, "max_tokens": 32_000}),
    ("on", mode("ON") | {"thinking_budget_tokens": 256_000, "max_tokens": 320_000}),
]


@pytest.mark.parametrize(("model", "fields", "path", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_what_the_model_cannot_do_is_refused_with_the_cure(
    examine: Any, model: str, fields: dict[str, Any], path: str, sentence: str
) -> None:
    assert [(path, sentence)] == examine({"prompt": "JSON, please", **fields}, model)


@pytest.mark.parametrize(("model", "fields"), GOOD, ids=lambda value: str(value)[:40])
def test_what_the_model_can_do_passes(examine: Any, model: str, fields: dict[str, Any]) -> None:
    assert examine({"prompt": "JSON, please", **fields}, model) == []
