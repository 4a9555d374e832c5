"""What comes back: the provider's answer as the public one."""

import json
from typing import Any

import pytest

from edgeclient.core.errors import CallError, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.answer import decode_answer
from edgeclient.v1 import chat_pb2

MODEL = ModelSpec(id="qwen-plus")


def answer(*, finish: object = "stop", usage: object = None, model: object = "qwen-plus", **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "logprobs": None, "message": {"role": "assistant", **message}}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    return json.dumps(body).encode()


def decoded(body: bytes, *, include_reasoning: bool = False) -> chat_pb2.ChatResponse:
    return decode_answer(body, model=MODEL, include_reasoning=include_reasoning).response


def refused(body: bytes) -> CallError:
    with pytest.raises(CallError) as raised:
        decoded(body)
    return raised.value


def test_answer_is_read_whole() -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 7,
        "total_tokens": 27,
        "prompt_tokens_details": {"cached_tokens": 16, "text_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }

    expected = chat_pb2.ChatResponse(
        message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content="97 °C"),
        finish_reason=chat_pb2.FINISH_REASON_STOP,
        usage=chat_pb2.Usage(
            prompt_tokens=20, completion_tokens=7, total_tokens=27, cached_tokens=16, reasoning_tokens=3
        ),
        model="qwen-plus-2026-01-01",
        source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
        upstream_id="chatcmpl-1",
    )
    assert expected == decoded(answer(content="97 °C", usage=usage, model="qwen-plus-2026-01-01"))


def test_reasoning_is_delivered_only_when_asked_for() -> None:
    body = answer(content="yes", reasoning_content="hmm")

    assert decoded(body).message.reasoning_content == ""
    assert decoded(body, include_reasoning=True).message.reasoning_content == "hmm"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("length", chat_pb2.FINISH_REASON_LENGTH),
        ("tool_calls", chat_pb2.FINISH_REASON_TOOL_CALLS),
        ("content_filter", chat_pb2.FINISH_REASON_CONTENT_FILTER),
        ("something_new", chat_pb2.FINISH_REASON_OTHER),
    ],
)
def test_finish_reason_is_translated(name: str, expected: chat_pb2.FinishReason.ValueType) -> None:
    assert expected == decoded(answer(content=None, finish=name)).finish_reason


def test_content_in_parts_is_read() -> None:
    assert decoded(answer(content=[{"type": "text", "text": "a"}, {"text": "b"}, {}])).message.content == "ab"


def test_tool_calls_are_read_in_every_known_form() -> None:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": None, "index": 1, "function": {"name": "g", "arguments": {"b": 2}}},
        {"id": "c3", "function": {"name": "h", "arguments": None}},
    ]

    response = decoded(answer(content="", tool_calls=calls))

    assert response.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS  # said "stop": a forced call does
    assert [
        chat_pb2.ToolCall(id="c1", name="f", arguments='{"a":1}'),
        chat_pb2.ToolCall(id="call_1", name="g", arguments='{"b":2}'),
        chat_pb2.ToolCall(id="c3", name="h", arguments=""),
    ] == list(response.message.tool_calls)


def test_call_that_was_cut_is_left_out() -> None:
    calls = [
        {"id": "c1", "function": {"name": "f", "arguments": "{}"}},
        {"id": "c2", "function": {"name": "f", "arguments": '{"a":'}},
    ]

    response = decoded(answer(content="", tool_calls=calls, finish="length"))

    assert [call.id for call in response.message.tool_calls] == ["c1"]
    assert response.finish_reason == chat_pb2.FINISH_REASON_LENGTH


@pytest.mark.parametrize("usage", [None, "free", {"prompt_tokens": "many"}, [1]])
def test_bill_that_cannot_be_read_does_not_cost_the_answer(usage: object) -> None:
    response = decoded(answer(content="yes", usage=usage))

    assert response.message.content == "yes"
    assert not response.HasField("usage")


def test_impossible_counts_are_bounded() -> None:
    response = decoded(answer(content="yes", usage={"prompt_tokens": 2**70, "completion_tokens": -5}))

    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (2**31 - 1, 0)


def test_model_is_the_one_asked_if_none_is_told() -> None:
    assert decoded(answer(content="yes", model=None)).model == "qwen-plus"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"torn answer",
        b'{"choices":[]}',
        b'{"choices":[{"finish_reason":"stop"}]}',
        b'{"choices":[{"message":{"content":"x"},"finish_reason":null}]}',
        b'{"choices":[{"message":{"content":5},"finish_reason":"stop"}]}',
        b'{"choices":[{"message":{"content":"x',
        b'{"choices":' + b"[" * 9000,
        b'{"choices":[{"message":{"content":"\xff"},"finish_reason":"stop"}]}',
        answer(content="", tool_calls=[{"id": "c1", "function": {"arguments": "{}"}}]),
    ],
)
def test_what_cannot_be_understood_is_perhaps_billed(body: bytes) -> None:
    error = refused(body)

    assert isinstance(error, Uncertain)
    assert error.reason == Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE
    assert "torn answer" not in error.message


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b'{"error":{"code":"insufficient_quota","message":"x"}}', Throttled, "UPSTREAM_RATE_LIMITED"),
        (b'{"code":"DataInspectionFailed","message":"x","request_id":"r"}', Rejected, "CONTENT_BLOCKED"),
        (b'{"id":7,"error":{"code":"internal_error"}}', Unavailable, "UPSTREAM_UNAVAILABLE"),
        (b'data: {"error":{"message":"busy"}}\n\n', Unavailable, "UPSTREAM_UNAVAILABLE"),
        (b"<!DOCTYPE html><html>Sign in</html>", Unavailable, "UPLINK_OFFLINE"),
        (answer(content="", finish="error_finish"), Unavailable, "UPSTREAM_UNAVAILABLE"),
    ],
)
def test_error_hidden_in_a_200_is_an_error(body: bytes, kind: type[CallError], reason: str) -> None:
    error = refused(body)

    assert (kind, reason) == (type(error), error.reason_name)
    assert not error.possibly_billed
