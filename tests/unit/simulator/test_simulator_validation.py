from typing import Any

import msgspec
import pytest

from edgeclient.simulator.chat_request import ChatRequest
from edgeclient.simulator.errors import ApiError, Shape
from edgeclient.simulator.models import find_model
from edgeclient.simulator.validation import check


def verdict(prompt_tokens: int = 10, **over: Any) -> ApiError | None:
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "Hello"}]} | over
    chat = msgspec.convert(body, ChatRequest)
    model = find_model(chat.model)
    assert model is not None
    return check(chat, model, prompt_tokens)


TOOL = {"type": "function", "function": {"name": "lookup"}}


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"temperature": 0, "top_p": 1, "presence_penalty": -2, "repetition_penalty": 1.1, "seed": 0},
        {"temperature": 1.99, "max_tokens": 1, "n": 4, "stop": ["a", "b"]},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"tools": [TOOL], "tool_choice": "required"},
        {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "as JSON"}]},
        {"model": "qwq-plus", "stream": True},
        {"model": "qwen3-8b", "enable_thinking": False},
        {"model": "qwen3.8-max", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
    ],
)
def test_what_the_cloud_accepts_is_accepted(over: dict[str, Any]) -> None:
    assert verdict(**over) is None


@pytest.mark.parametrize(
    ("over", "part"),
    [
        ({"temperature": 2}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"repetition_penalty": 0}, "Repetition_penalty"),
        ({"seed": 2**31}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 5}, "Range of n"),
        ({"n": 2, "tools": [TOOL]}, "n must be 1"),
        ({"n": 2, "enable_thinking": True}, "n must be 1"),
        ({"top_logprobs": 6}, "top_logprobs"),
        ({"thinking_budget": 0}, "thinking_budget"),
        ({"reasoning_effort": "low", "thinking_budget": 5}, "reasoning_effort"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "json_object"}}, "'json'"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"model": "qwq-plus"}, "only support stream mode"),
        ({"model": "qwen3-8b"}, "enable_thinking must be set to false for non-streaming calls"),
        ({"messages": []}, "too short"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "tool_calls"),
        ({"messages": [{"role": "user"}]}, "content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "must be a string"),
        ({"tools": [{"type": "function", "function": {"name": "search"}}]}, "search"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "a b"),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
        ({"model": "qwen-max", "enable_thinking": True}, "enable_thinking"),
        ({"stop": ["a", 5]}, "stop"),
    ],
)
def test_what_the_cloud_refuses_is_refused(over: dict[str, Any], part: str) -> None:
    error = verdict(**over)

    assert error is not None
    assert error.status == 400
    assert part in error.message


def test_forced_tool_while_thinking_is_refused_as_an_sse_line_in_a_stream() -> None:
    over: dict[str, Any] = {"model": "qwen3.8-flash", "tools": [TOOL], "tool_choice": "required"}
    streamed, unary = verdict(stream=True, **over), verdict(**over)

    assert streamed is not None
    assert unary is not None
    assert (streamed.shape, unary.shape) == (Shape.C, Shape.A)


def test_prompt_longer_than_the_context_is_refused() -> None:
    error = verdict(model="qwen-max", prompt_tokens=40_000)

    assert error is not None
    assert "Range of input length" in error.message
