"""Each row of the table: what is refused, in exactly which words, and what just passes."""

from typing import Any

import pytest

KEY = "write 1 to 64 characters of [A-Za-z0-9_.:-]"
DEEP = '{"a":' * 40 + "1" + "}" * 40
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "m" * 129}, "model", "has 129 characters; write 1 to 128 characters"),
    ({"max_tokens": -1}, "max_tokens", "-1 is out of range; write at least 0"),
    ({"temperature": 2}, "temperature", "2 is out of range; write at least 0 and less than 2"),
    ({"temperature": -0.1}, "temperature", "-0.1 is out of range; write at least 0 and less than 2"),
    ({"temperature": "NaN"}, "temperature", "nan is out of range; write at least 0 and less than 2"),
    ({"temperature": "Infinity"}, "temperature", "inf is out of range; write at least 0 and less than 2"),
    ({"top_p": 1.5}, "top_p", "1.5 is out of range; write more than 0 and at most 1"),
    ({"top_p": -0.5}, "top_p", "-0.5 is out of range; write more than 0 and at most 1"),
    ({"top_p": "NaN"}, "top_p", "nan is out of range; write more than 0 and at most 1"),
    ({"top_p": "-Infinity"}, "top_p", "-inf is out of range; write more than 0 and at most 1"),
    ({"stop": list("abcdefghi")}, "stop", "has 9 strings; at most 8 are allowed"),
    ({"stop": ["END", ""]}, "stop[1]", "is empty; leave it out"),
    ({"seed": -1}, "seed", "-1 is out of range; write at least 0 and at most 2147483647"),
    ({"seed": -(2**31)}, "seed", "-2147483648 is out of range; write at least 0 and at most 2147483647"),
    ({"presence_penalty": 2.5}, "presence_penalty", "2.5 is out of range; write at least -2 and at most 2"),
    ({"frequency_penalty": -3}, "frequency_penalty", "-3 is out of range; write at least -2 and at most 2"),
    ({"label": "x" * 65}, "label", "has 65 characters; write 1 to 64 characters"),
    ({"conversation_id": "a b"}, "conversation_id", f"has a character that is not allowed; {KEY}"),
    ({"conversation_id": "id\n"}, "conversation_id", f"has a character that is not allowed; {KEY}"),
    ({"conversation_id": "x" * 65}, "conversation_id", f"has 65 characters; {KEY}"),
    ({"timeout": "0s"}, "timeout", "0s is out of range; write more than 0s"),
    ({"timeout": "-1s"}, "timeout", "-1s is out of range; write more than 0s"),
    ({"max_cache_age": "-0.5s"}, "max_cache_age", "-0.5s is out of range; write at least 0s"),
    (
        {"stream_flush_interval": "11s"},
        "stream_flush_interval",
        "11s is out of range; write at least 0s and at most 10s",
    ),
    ({"priority": 9}, "priority", "9 is no Priority; write PRIORITY_LOW, PRIORITY_NORMAL or PRIORITY_HIGH"),
    (
        {"cache_policy": -1},
        "cache_policy",
        "-1 is no CachePolicy; write CACHE_POLICY_USE, CACHE_POLICY_REFRESH, CACHE_POLICY_BYPASS or CACHE_POLICY_ONLY",
    ),
    (
        {"offline_policy": 77},
        "offline_policy",
        (
            "77 is no OfflinePolicy; write OFFLINE_POLICY_FAIL, OFFLINE_POLICY_WAIT, OFFLINE_POLICY_STALE or"
            " OFFLINE_POLICY_QUEUE"
        ),
    ),
    (
        {"thinking": 6},
        "thinking",
        (
            "6 is no ThinkingMode; write THINKING_MODE_OFF, THINKING_MODE_ON, THINKING_MODE_LOW, THINKING_MODE_MEDIUM"
            " or THINKING_MODE_HIGH"
        ),
    ),
    (
        {"tool_choice": {"mode": 9}},
        "tool_choice.mode",
        "9 is no ToolMode; write TOOL_MODE_AUTO, TOOL_MODE_NONE or TOOL_MODE_REQUIRED",
    ),
    (
        {"response_format": {"type": 9}},
        "response_format.type",
        (
            "9 is no ResponseFormatType; write RESPONSE_FORMAT_TYPE_TEXT, RESPONSE_FORMAT_TYPE_JSON_OBJECT or"
            " RESPONSE_FORMAT_TYPE_JSON_SCHEMA"
        ),
    ),
    (
        {"messages": [{"role": 9, "content": "hi"}]},
        "messages[0].role",
        "9 is no Role; write ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM or ROLE_TOOL",
    ),
    ({"messages": [{"content": "hi"}] * 41}, "messages", "has 41 messages; at most 40 are allowed"),
    (
        {"messages": [{"name": "n" * 65, "content": "hi"}]},
        "messages[0].name",
        "has 65 characters; write 1 to 64 characters",
    ),
    ({"extra_json": " " * 4097}, "extra_json", "has 4097 characters; write 1 to 4096 characters"),
    ({"extra_json": "{"}, "extra_json", "is no JSON object: it breaks off"),
    ({"extra_json": "[1]"}, "extra_json", "is no JSON object: expected `object`, got `array`"),
    ({"extra_json": '{"top_k": NaN}'}, "extra_json", "is no JSON object: invalid character (byte 10)"),
    (
        {"extra_json": '{"a":' * 40 + "1" + "}" * 40},
        "extra_json",
        "is nested too deeply; at most 32 levels are allowed",
    ),
    (
        {"extra_json": '{"a":' * 800 + "1"},
        "extra_json",
        "is no JSON object: it breaks off",
    ),
    (
        {"extra_json": '{"enable_serch": true}'},
        "extra_json",
        "key 'enable_serch' is not allowed at this node; the nearest allowed one is 'enable_search'",
    ),
    (
        {"extra_json": '{"zzz": true}'},
        "extra_json",
        (
            "key 'zzz' is not allowed at this node; allowed are enable_search, search_options, top_k,"
            " repetition_penalty, vl_high_resolution_images, translation_options"
        ),
    ),
    (
        {"extra_json": '{"enable_thinking": true}'},
        "extra_json",
        "key 'enable_thinking' is not for extra_json; use the field thinking",
    ),
    ({"extra_json": '{"stream": true}'}, "extra_json", "key 'stream' is decided by the node; leave it out"),
    (
        {"idempotency_key": "k-1"},
        "idempotency_key",
        "this node keeps no record of keys; leave it empty and count on a repeat being billed again",
    ),
    (
        {"offline_policy": "OFFLINE_POLICY_QUEUE"},
        "offline_policy",
        "this node has no durable queue; set OFFLINE_POLICY_FAIL and keep the request",
    ),
]
GOOD: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 1.99999},
    {"top_p": 1},
    {"top_p": 0},
    {"top_p": 0.000001},
    {"seed": 0},
    {"seed": 2**31 - 1},
    {"presence_penalty": -2, "frequency_penalty": 2},
    {"stop": list("abcdefgh")},
    {"model": "m" * 128},
    {"label": "ü" * 64},
    {"conversation_id": "Az09_.:-"},
    {"timeout": "6000s", "max_cache_age": "0s", "stream_flush_interval": "0s"},
    {"timeout": "0.000000001s", "max_cache_age": "315576000000s", "stream_flush_interval": "10s"},
    {"priority": "PRIORITY_HIGH", "cache_policy": "CACHE_POLICY_REFRESH", "offline_policy": "OFFLINE_POLICY_STALE"},
    {"offline_policy": "OFFLINE_POLICY_FAIL"},
    {"offline_policy": "OFFLINE_POLICY_WAIT"},
    {"extra_json": "{}"},
    {"extra_json": '{"enable_search": true, "search_options": {"forced_search": true}, "top_k": 20}'},
    {"tool_choice": {}, "response_format": {}},
    {"tool_choice": {"mode": "TOOL_MODE_NONE"}, "parallel_tool_calls": True},
    {"include_reasoning": True, "system": "Be brief."},
]


@pytest.mark.parametrize(("fields", "path", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_bad_field_is_refused_in_these_words(examine: Any, fields: dict[str, Any], path: str, sentence: str) -> None:
    assert [(path, sentence)] == examine({"prompt": "hi", **fields})


@pytest.mark.parametrize("fields", GOOD, ids=lambda value: str(value)[:40])
def test_bound_itself_passes(examine: Any, fields: dict[str, Any]) -> None:
    assert examine({"prompt": "hi", **fields}) == []


def test_request_without_a_question_is_refused(examine: Any) -> None:
    expected = [("messages", "is empty and so is prompt; set at least one of them")]
    assert expected == examine({})
    assert expected == examine({"system": "Be brief."})


def test_all_violations_come_at_once(examine: Any) -> None:
    found = examine(
        {
            "temperature": 3,
            "stop": [""],
            "priority": 8,
            "messages": [{"role": "ROLE_TOOL", "content": "{}"}, {"tool_call_id": "c"}],
        }
    )
    assert [path for path, _ in found] == [
        "temperature",
        "priority",
        "messages[0].tool_call_id",
        "messages[1].tool_call_id",
        "messages[1].content",
        "stop[0]",
    ]
