"""What is the same for a cache is the same for the provider, and nothing else is."""

from typing import Any

import builders
import pytest

from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.policy.cache_key import content_key
from edgeclient.v1 import chat_pb2

SCHEMA = '{"type":"object"}'
TOOL = chat_pb2.Tool(function=chat_pb2.FunctionTool(name="read"))
QUESTION = chat_pb2.Message(role=chat_pb2.ROLE_USER, content="hi")


def key(request: chat_pb2.ChatRequest, **over: Any) -> bytes:
    facts: dict[str, Any] = {"model": builders.model(), "realm": b"r", "partition": "device-7"}
    facts |= over
    model: ModelSpec = facts.pop("model")
    return content_key(request, model, **facts)


def hi(**fields: Any) -> bytes:
    return key(builders.chat_request(prompt="hi", **fields))


SHAPING = {
    "prompt": "ho",
    "messages": [QUESTION],
    "system": "Be brief.",
    "max_tokens": 7,
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["."],
    "tools": [TOOL],
    "response_format": chat_pb2.ResponseFormat(type=chat_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA, json_schema=SCHEMA),
    "thinking": chat_pb2.THINKING_MODE_ON,
    "thinking_budget_tokens": 5,
    "include_reasoning": True,
    "seed": 0,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "extra_json": '{"top_k":1}',
    "template": "t",
    "variables": {"a": "b"},
}
DELIVERY = {
    "idempotency_key": "k",
    "priority": chat_pb2.PRIORITY_HIGH,
    "cache_policy": chat_pb2.CACHE_POLICY_USE,
    "offline_policy": chat_pb2.OFFLINE_POLICY_STALE,
    "label": "l",
    "conversation_id": "c",
    "timeout": {"seconds": 5},
    "max_cache_age": {"seconds": 5},
    "stream_flush_interval": {"seconds": 1},
    "restart_stream": True,
}
WITH_OTHERS = {"model", "tool_choice", "parallel_tool_calls"}  # they shape an answer together with something else


def test_every_field_of_the_contract_is_known_to_shape_the_answer_or_not_to() -> None:
    names = {field.name for field in chat_pb2.ChatRequest.DESCRIPTOR.fields}

    assert names == SHAPING.keys() | DELIVERY.keys() | WITH_OTHERS


@pytest.mark.parametrize("name", SHAPING)
def test_what_shapes_the_answer_makes_another_key(name: str) -> None:
    fields = {"prompt": "hi", name: SHAPING[name]}

    assert key(chat_pb2.ChatRequest(prompt="hi")) != key(chat_pb2.ChatRequest(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DELIVERY)
def test_how_it_is_delivered_does_not(name: str) -> None:
    assert hi() == hi(**{name: DELIVERY[name]})


def test_use_of_tools_counts_where_there_are_tools() -> None:
    required = {"tool_choice": chat_pb2.ToolChoice(mode=chat_pb2.TOOL_MODE_REQUIRED)}
    auto = {"tool_choice": chat_pb2.ToolChoice(mode=chat_pb2.TOOL_MODE_AUTO)}

    assert hi(tools=[TOOL]) != hi(tools=[TOOL], **required)
    assert hi(tools=[TOOL]) != hi(tools=[TOOL], parallel_tool_calls=True)
    assert hi(tools=[TOOL]) == hi(tools=[TOOL], **auto)
    assert hi() == hi(**required)


def test_model_counts_by_what_it_is_and_not_by_how_it_was_called() -> None:
    assert hi(model="qwen-plus") == hi(model="mine")
    assert hi() != key(builders.chat_request(prompt="hi"), model=builders.model(id="qwen-max"))


def test_caller_and_place_count() -> None:
    request = builders.chat_request(prompt="hi")

    assert 3 == len({key(request), key(request, partition="device-8"), key(request, realm=b"s")})


def test_parts_of_a_key_cannot_run_into_each_other() -> None:
    request = builders.chat_request(prompt="hi")

    assert key(request, realm=b"ab", partition="c") != key(request, realm=b"a", partition="bc")


def test_short_forms_are_the_messages_that_they_stand_for() -> None:
    short = chat_pb2.ChatRequest(system="Be brief.", messages=[chat_pb2.Message(content="hi")], prompt="and?")
    spelled_out = chat_pb2.ChatRequest(
        messages=[
            chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, content="Be brief."),
            QUESTION,
            chat_pb2.Message(role=chat_pb2.ROLE_USER, content="and?"),
        ]
    )

    assert key(short) == key(spelled_out)
    assert key(short) != key(chat_pb2.ChatRequest(messages=reversed(spelled_out.messages)))


def test_plain_text_is_no_form() -> None:
    assert hi() == hi(response_format=chat_pb2.ResponseFormat(type=chat_pb2.RESPONSE_FORMAT_TYPE_TEXT))


@pytest.mark.parametrize(
    ("thinking", "takes_effort", "one", "other", "same"),
    [
        (Thinking.OFF, False, "UNSPECIFIED", "OFF", True),
        (Thinking.ON, False, "UNSPECIFIED", "ON", True),
        (Thinking.ON, False, "UNSPECIFIED", "OFF", False),
        (Thinking.ON, False, "LOW", "HIGH", True),
        (Thinking.ON, True, "LOW", "HIGH", False),
        (Thinking.ON, True, "ON", "HIGH", False),
        (Thinking.NEVER, False, "UNSPECIFIED", "OFF", True),
    ],
)
def test_thinking_counts_by_what_the_model_makes_of_it(
    thinking: Thinking, one: str, other: str, *, takes_effort: bool, same: bool
) -> None:
    model = builders.model(thinking=thinking, takes_effort=takes_effort)

    keys = {
        key(builders.chat_request(thinking=chat_pb2.ThinkingMode.Value(f"THINKING_MODE_{mode}")), model=model)
        for mode in (one, other)
    }

    assert same is (len(keys) == 1)


def test_request_is_left_as_it_was() -> None:
    request = builders.chat_request(prompt="hi", system="Be brief.", label="l")
    before = request.SerializeToString()

    key(request)

    assert before == request.SerializeToString()
