"""What leaves the node: every field of a chat request in the provider's words."""

import json
from typing import Any

import pytest

from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.core.thinking import thinks
from edgeclient.upstream.request_codec import SHORT_ANSWER_TOKENS, encode_request, wants_stream
from edgeclient.v1 import chat_pb2

PLAIN = ModelSpec(id="qwen-max")
HYBRID_OFF = ModelSpec(id="qwen-plus", thinking=Thinking.OFF)
HYBRID_ON = ModelSpec(id="qwen3.5-plus", thinking=Thinking.ON, limits_reasoning=True)
EFFORT = ModelSpec(id="qwen3.8-max", thinking=Thinking.ON, limits_reasoning=True, takes_effort=True)
ALWAYS = ModelSpec(id="qwq-plus", thinking=Thinking.ALWAYS, stream_only=True)


def body(request: chat_pb2.ChatRequest, model: ModelSpec = PLAIN, *, stream: bool = False) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(encode_request(request, model, stream=stream))
    return parsed


def message(**fields: Any) -> dict[str, Any]:
    only: dict[str, Any] = body(chat_pb2.ChatRequest(messages=[chat_pb2.Message(**fields)]))["messages"][0]
    return only


def test_smallest_request_holds_nothing_that_was_not_asked() -> None:
    expected = {"model": "qwen-max", "messages": [{"role": "user", "content": "hi"}]}

    assert expected == body(chat_pb2.ChatRequest(prompt="hi"))


def test_short_forms_stand_first_and_last() -> None:
    request = chat_pb2.ChatRequest(system="s", prompt="p", messages=[chat_pb2.Message(content="m")])

    assert [(each["role"], each["content"]) for each in body(request)["messages"]] == [
        ("system", "s"),
        ("user", "m"),
        ("user", "p"),
    ]


def test_tool_chain_is_sent_whole() -> None:
    request = chat_pb2.ChatRequest(
        messages=[
            chat_pb2.Message(content="hot?", name="boiler-7"),
            chat_pb2.Message(
                role=chat_pb2.ROLE_ASSISTANT,
                reasoning_content="I should look",
                tool_calls=[
                    chat_pb2.ToolCall(id="c1", name="read", arguments='{"a":1}'),
                    chat_pb2.ToolCall(name="now"),
                ],
            ),
            chat_pb2.Message(role=chat_pb2.ROLE_TOOL, tool_call_id="c1", content="97"),
        ]
    )

    assert body(request)["messages"] == [
        {"role": "user", "content": "hot?", "name": "boiler-7"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"a":1}'}},
                {"id": "", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
            "reasoning_content": "I should look",
        },
        {"role": "tool", "content": "97", "tool_call_id": "c1"},
    ]


def test_parts_that_are_all_text_become_a_string() -> None:
    parts = [chat_pb2.ContentPart(text="a"), chat_pb2.ContentPart(text="b")]

    assert message(parts=parts)["content"] == "ab"


def test_message_without_anything_is_an_empty_string() -> None:
    assert message(parts=[chat_pb2.ContentPart()])["content"] == ""


def test_media_are_sent_by_reference_and_by_value() -> None:
    parts = [
        chat_pb2.ContentPart(text="what?"),
        chat_pb2.ContentPart(image=chat_pb2.Media(url="https://x/y.jpg")),
        chat_pb2.ContentPart(image=chat_pb2.Media(data=b"\xff\xd8", mime_type="image/jpeg")),
        chat_pb2.ContentPart(audio=chat_pb2.Media(data=b"RIFF", mime_type="audio/x-wav")),
        chat_pb2.ContentPart(audio=chat_pb2.Media(url="https://x/y.amr?z=1")),
        chat_pb2.ContentPart(video=chat_pb2.Media(data=b"mp", mime_type="video/mp4")),
    ]

    assert message(parts=parts)["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "https://x/y.jpg"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9g="}},
        {"type": "input_audio", "input_audio": {"data": "data:;base64,UklGRg==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "https://x/y.amr?z=1", "format": "amr"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,bXA="}},
    ]


@pytest.mark.parametrize(
    ("mime_type", "url", "expected"),
    [
        ("audio/mpeg", "", "mp3"),
        ("audio/ogg; codecs=opus", "", "ogg"),
        ("", "https://x/y", "wav"),
        ("", "https://[x/y.mp3", "wav"),
    ],
)
def test_audio_format_follows_type_then_name(mime_type: str, url: str, expected: str) -> None:
    audio = chat_pb2.ContentPart(audio=chat_pb2.Media(url=url, mime_type=mime_type))

    assert expected == message(parts=[audio])["content"][0]["input_audio"]["format"]


@pytest.mark.parametrize("value", [0.7, 0.1, 1.0, 1e-7, 1.999999, 0.0])
def test_floats_are_sent_as_typed(value: float) -> None:
    assert value == body(chat_pb2.ChatRequest(prompt="x", temperature=value))["temperature"]


def test_negative_penalty_and_top_p_are_sent_as_typed() -> None:
    request = chat_pb2.ChatRequest(prompt="x", presence_penalty=-1.3, frequency_penalty=0.3, top_p=0.95)

    sent = body(request)

    assert (sent["presence_penalty"], sent["frequency_penalty"], sent["top_p"]) == (-1.3, 0.3, 0.95)


def test_zero_is_sent_where_it_is_a_value() -> None:
    sent = body(chat_pb2.ChatRequest(prompt="x", temperature=0, seed=0, presence_penalty=0, frequency_penalty=0))

    expected = {"temperature": 0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0}
    assert expected == {key: sent[key] for key in expected}


def test_stop_strings_are_sent() -> None:
    assert body(chat_pb2.ChatRequest(prompt="x", stop=["END", "\n"]))["stop"] == ["END", "\n"]


@pytest.mark.parametrize(("model", "key"), [(PLAIN, "max_tokens"), (HYBRID_ON, "max_completion_tokens")])
def test_limit_of_tokens_goes_by_the_name_that_bounds_reasoning(model: ModelSpec, key: str) -> None:
    sent = body(chat_pb2.ChatRequest(prompt="x", max_tokens=9), model)

    assert {key: 9} == {name: value for name, value in sent.items() if name.startswith("max_")}


@pytest.mark.parametrize(
    ("model", "mode", "expected"),
    [
        (PLAIN, chat_pb2.THINKING_MODE_OFF, {}),
        (PLAIN, chat_pb2.THINKING_MODE_ON, {}),
        (ALWAYS, chat_pb2.THINKING_MODE_UNSPECIFIED, {}),
        (HYBRID_OFF, chat_pb2.THINKING_MODE_UNSPECIFIED, {"enable_thinking": False}),
        (HYBRID_OFF, chat_pb2.THINKING_MODE_ON, {"enable_thinking": True}),
        (HYBRID_OFF, chat_pb2.THINKING_MODE_HIGH, {"enable_thinking": True}),
        (HYBRID_ON, chat_pb2.THINKING_MODE_UNSPECIFIED, {"enable_thinking": True}),
        (HYBRID_ON, chat_pb2.THINKING_MODE_OFF, {"enable_thinking": False}),
        (EFFORT, chat_pb2.THINKING_MODE_ON, {"enable_thinking": True}),
        (EFFORT, chat_pb2.THINKING_MODE_LOW, {"enable_thinking": True, "reasoning_effort": "low"}),
        (EFFORT, chat_pb2.THINKING_MODE_MEDIUM, {"enable_thinking": True, "reasoning_effort": "medium"}),
        (EFFORT, chat_pb2.THINKING_MODE_HIGH, {"enable_thinking": True, "reasoning_effort": "xhigh"}),
    ],
)
def test_thinking_is_never_left_to_the_provider(
    model: ModelSpec, mode: chat_pb2.ThinkingMode.ValueType, expected: dict[str, Any]
) -> None:
    sent = body(chat_pb2.ChatRequest(prompt="x", thinking=mode), model)

    assert expected == {key: sent[key] for key in ("enable_thinking", "reasoning_effort") if key in sent}


def test_budget_is_a_limit_and_wins_over_effort() -> None:
    request = chat_pb2.ChatRequest(prompt="x", thinking=chat_pb2.THINKING_MODE_HIGH, thinking_budget_tokens=100)

    sent = body(request, EFFORT)

    assert sent["thinking_budget"] == 100
    assert "reasoning_effort" not in sent


def test_budget_is_not_sent_to_a_model_that_does_not_think() -> None:
    request = chat_pb2.ChatRequest(prompt="x", thinking_budget_tokens=100)

    assert "thinking_budget" not in body(request, PLAIN)
    assert "thinking_budget" not in body(request, HYBRID_OFF)
    assert body(request, ALWAYS)["thinking_budget"] == 100


def test_tools_are_sent_with_choice_and_parallelism() -> None:
    tools = [
        chat_pb2.Tool(function=chat_pb2.FunctionTool(name="f", description="d", parameters='{"type":"object"}')),
        chat_pb2.Tool(function=chat_pb2.FunctionTool(name="now")),
    ]
    request = chat_pb2.ChatRequest(
        prompt="x", tools=tools, tool_choice=chat_pb2.ToolChoice(function="f"), parallel_tool_calls=True
    )

    sent = body(request)

    assert sent["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert sent["parallel_tool_calls"] is True


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (chat_pb2.TOOL_MODE_UNSPECIFIED, None),
        (chat_pb2.TOOL_MODE_AUTO, "auto"),
        (chat_pb2.TOOL_MODE_NONE, "none"),
        (chat_pb2.TOOL_MODE_REQUIRED, "required"),
    ],
)
def test_tool_mode_is_named(mode: chat_pb2.ToolMode.ValueType, expected: str | None) -> None:
    tools = [chat_pb2.Tool(function=chat_pb2.FunctionTool(name="f"))]
    request = chat_pb2.ChatRequest(prompt="x", tools=tools, tool_choice=chat_pb2.ToolChoice(mode=mode))

    assert expected == body(request).get("tool_choice")


def test_rules_for_tools_are_not_sent_without_tools() -> None:
    choice = chat_pb2.ToolChoice(mode=chat_pb2.TOOL_MODE_AUTO)
    sent = body(chat_pb2.ChatRequest(prompt="x", tool_choice=choice, parallel_tool_calls=True))

    assert {"model", "messages"} == set(sent)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ('{"title":"Reading","type":"object"}', "Reading"),
        ('{"title":"no good name","type":"object"}', "answer"),
        ('{"title":7}', "answer"),
        ('{"type":"object"}', "answer"),
    ],
)
def test_schema_is_sent_strictly_under_its_title(schema: str, name: str) -> None:
    form = chat_pb2.ResponseFormat(type=chat_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA, json_schema=schema)

    assert {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": json.loads(schema)},
    } == body(chat_pb2.ChatRequest(prompt="x", response_format=form))["response_format"]


def test_json_object_is_sent_and_text_is_not() -> None:
    for kind, expected in (
        (chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT, {"type": "json_object"}),
        (chat_pb2.RESPONSE_FORMAT_TYPE_TEXT, None),
    ):
        form = chat_pb2.ResponseFormat(type=kind)
        assert expected == body(chat_pb2.ChatRequest(prompt="x", response_format=form)).get("response_format")


def test_stream_asks_for_usage() -> None:
    sent = body(chat_pb2.ChatRequest(prompt="x"), stream=True)

    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})
    assert "tool_stream" not in sent


def test_extra_is_merged_and_typed_fields_win() -> None:
    extra = '{"top_k":3,"temperature":1.5,"search_options":{"a":[1,1e400]}}'

    encoded = encode_request(chat_pb2.ChatRequest(prompt="x", temperature=0.5, extra_json=extra), PLAIN, stream=False)

    assert b'"search_options":{"a":[1,1e400]}' in encoded  # as it was written
    assert (json.loads(encoded)["top_k"], json.loads(encoded)["temperature"]) == (3, 0.5)


def test_extra_can_change_neither_the_stream_nor_the_number_of_answers() -> None:
    extra = '{"n":4,"stream":true,"stream_options":{}}'

    assert {"model", "messages"} == set(body(chat_pb2.ChatRequest(prompt="x", extra_json=extra)))


def test_paid_search_needs_to_be_asked_for() -> None:
    assert body(chat_pb2.ChatRequest(prompt="x"), EFFORT)["enable_search"] is False
    asked = chat_pb2.ChatRequest(prompt="x", extra_json='{"enable_search":true}')
    assert body(asked, EFFORT)["enable_search"] is True
    assert "enable_search" not in body(chat_pb2.ChatRequest(prompt="x"), HYBRID_ON)


@pytest.mark.parametrize("text", ["[1]", "{", "nonsense", '{"a":1} {"b":2}', '{"a":' + "[" * 5000, '{"a":"\\ud800"}'])
def test_field_that_is_no_json_is_refused_by_name(text: str) -> None:
    with pytest.raises(Rejected) as raised:
        encode_request(chat_pb2.ChatRequest(prompt="x", extra_json=text), PLAIN, stream=False)

    assert raised.value.reason == Reason.ERROR_REASON_INVALID_REQUEST
    assert [violation.field for violation in raised.value.violations] == ["extra_json"]


def test_schema_cannot_end_its_field_early() -> None:
    tool = chat_pb2.Tool(function=chat_pb2.FunctionTool(name="f", parameters='{}},"n":{"a":1}'))

    with pytest.raises(Rejected, match=r"tools\[0\]\.function\.parameters"):
        encode_request(chat_pb2.ChatRequest(prompt="x", tools=[tool]), PLAIN, stream=False)


@pytest.mark.parametrize(
    ("model", "mode", "caller_streams", "expected"),
    [
        (PLAIN, chat_pb2.THINKING_MODE_UNSPECIFIED, False, False),
        (PLAIN, chat_pb2.THINKING_MODE_UNSPECIFIED, True, True),
        (ALWAYS, chat_pb2.THINKING_MODE_UNSPECIFIED, False, True),
        (HYBRID_ON, chat_pb2.THINKING_MODE_UNSPECIFIED, False, True),
        (HYBRID_ON, chat_pb2.THINKING_MODE_OFF, False, False),
        (HYBRID_OFF, chat_pb2.THINKING_MODE_LOW, False, True),
    ],
)
def test_a_model_that_thinks_is_asked_to_stream(
    model: ModelSpec,
    mode: chat_pb2.ThinkingMode.ValueType,
    caller_streams: bool,  # noqa: FBT001  table
    expected: bool,  # noqa: FBT001  table
) -> None:
    request = chat_pb2.ChatRequest(prompt="x", thinking=mode, max_tokens=SHORT_ANSWER_TOKENS)

    assert expected is wants_stream(request, model, caller_streams=caller_streams)
    assert not thinks(request.thinking, PLAIN)


@pytest.mark.parametrize(("max_tokens", "expected"), [(0, True), (1, False), (256, False), (257, True)])
def test_only_an_answer_that_is_bounded_to_be_short_is_taken_as_a_whole(max_tokens: int, *, expected: bool) -> None:
    request = chat_pb2.ChatRequest(prompt="x", max_tokens=max_tokens)

    assert expected is wants_stream(request, PLAIN, caller_streams=False)
