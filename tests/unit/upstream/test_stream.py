"""A streamed answer, from bytes to pieces and to the whole."""

import json
from typing import Any

import pytest

from edgeclient.core.call import Delta
from edgeclient.core.errors import CallError, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.answer import Completion
from edgeclient.upstream.stream import StreamDecoder
from edgeclient.v1 import chat_pb2

MODEL = ModelSpec(id="qwen-plus")
DONE = b"data: [DONE]\n\n"
THROTTLE = b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"request_id":"r","code":"Throttling","message":"slow down"}\n\n'
INSPECTION = b'data: {"error":{"code":"data_inspection_failed","message":"Output data may contain ..."}}\n\n'


def event(*, finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return (
        b"data: "
        + json.dumps({"id": "chatcmpl-1", "model": "m", "choices": [choice], "usage": None}).encode()
        + b"\n\n"
    )


def usage(**counts: int) -> bytes:
    return b"data: " + json.dumps({"id": "chatcmpl-1", "choices": [], "usage": counts}).encode() + b"\n\n"


def call(index: int | None = 0, *, call_id: str | None = None, name: str | None = None, text: str | None = None) -> Any:
    told: dict[str, Any] = {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
    return told if index is None else {"index": index, **told}


def decoder(*, include_reasoning: bool = False, limit_bytes: int = 100_000) -> StreamDecoder:
    return StreamDecoder(model=MODEL, include_reasoning=include_reasoning, limit_bytes=limit_bytes)


def read(*chunks: bytes, include_reasoning: bool = False) -> tuple[list[Delta | None], Completion]:
    stream = decoder(include_reasoning=include_reasoning)
    return [stream.feed(chunk) for chunk in chunks], stream.finish()


def refused(*chunks: bytes) -> CallError:
    with pytest.raises(CallError) as raised:
        read(*chunks)
    return raised.value


def test_answer_comes_in_pieces_and_whole() -> None:
    pieces, whole = read(
        event(role="assistant", content=""),
        event(content="97"),
        event(content=" °C"),
        event(content="", finish="stop"),
        usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
        DONE,
    )

    assert [None, Delta(content="97"), Delta(content=" °C"), None, None, None] == pieces
    assert whole.rest is None
    assert (
        chat_pb2.ChatResponse(
            message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content="97 °C"),
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            usage=chat_pb2.Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
            model="m",
            source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
            upstream_id="chatcmpl-1",
        )
        == whole.response
    )


def test_one_chunk_makes_one_piece() -> None:
    pieces, _ = read(event(content="a") + event(content="b") + event(content="c", finish="stop") + DONE)

    assert [Delta(content="abc")] == pieces


def test_reasoning_is_delivered_only_when_asked_for() -> None:
    chunks = (event(reasoning_content="hm", content=None), event(content="yes", finish="stop"))

    assert [None, Delta(content="yes")] == read(*chunks)[0]
    assert [Delta(reasoning="hm"), Delta(content="yes")] == read(*chunks, include_reasoning=True)[0]
    assert read(*chunks, include_reasoning=True)[1].response.message.reasoning_content == "hm"
    assert read(*chunks)[1].response.message.reasoning_content == ""


def test_reasoning_counts_as_produced_even_if_nobody_sees_it() -> None:
    stream = decoder()
    assert stream.feed(event(role="assistant", content="")) is None
    assert not stream.produced

    assert stream.feed(event(reasoning_content="hm")) is None

    assert stream.produced


def test_tool_calls_are_delivered_whole_and_once() -> None:
    pieces, whole = read(
        event(tool_calls=[call(0, call_id="c1", name="f", text="")]),
        event(tool_calls=[call(0, call_id="", name="", text='{"a"')]),
        event(tool_calls=[call(1, call_id="c2", name="g", text="{}"), call(0, text=":1}")]),
        event(tool_calls=[call(1, call_id=None)]),
        event(finish="tool_calls"),
        event(finish="tool_calls"),
        DONE,
    )

    calls = (
        chat_pb2.ToolCall(id="c1", name="f", arguments='{"a":1}'),
        chat_pb2.ToolCall(id="c2", name="g", arguments="{}"),
    )
    assert [None, None, None, None, Delta(tool_calls=calls), None, None] == pieces
    assert list(calls) == list(whole.response.message.tool_calls)
    assert whole.response.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS


def test_calls_without_index_are_told_apart_by_id() -> None:
    _, whole = read(
        event(tool_calls=[call(None, call_id="c1", name="f", text="{")]),
        event(tool_calls=[call(None, call_id="", text="}")]),
        event(tool_calls=[call(None, call_id="c2", name="g", text="{")]),
        event(tool_calls=[call(None, call_id="c2", text="}")], finish="stop"),
    )

    assert [(each.id, each.name, each.arguments) for each in whole.response.message.tool_calls] == [
        ("c1", "f", "{}"),
        ("c2", "g", "{}"),
    ]
    assert whole.response.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS


def test_call_that_was_cut_is_left_out() -> None:
    pieces, whole = read(event(tool_calls=[call(0, call_id="c1", name="f", text='{"a":')]), event(finish="length"))

    assert pieces == [None, None]
    assert list(whole.response.message.tool_calls) == []
    assert whole.response.finish_reason == chat_pb2.FINISH_REASON_LENGTH


def test_done_is_optional() -> None:
    assert read(event(content="a", finish="stop"))[1].response.message.content == "a"


def test_nothing_counts_after_done() -> None:
    pieces, _ = read(event(content="a", finish="stop"), DONE, THROTTLE, event(content="b"))

    assert pieces == [Delta(content="a"), None, None, None]


def test_done_is_told() -> None:
    stream = decoder()
    stream.feed(event(content="a", finish="stop") + DONE)

    assert stream.done


@pytest.mark.parametrize(
    "chunks",
    [
        [b""],
        [b": keep-alive\n\n"],
        [event(content="a")],
        [event(content="a"), DONE],
        [event(content="a"), event(finish="stop")[:-20]],
        [event(content="a")[:20]],
    ],
)
def test_cut_stream_is_a_failure(chunks: list[bytes]) -> None:
    error = refused(*chunks)

    assert isinstance(error, Uncertain)
    assert error.reason == Reason.ERROR_REASON_UPSTREAM_INTERRUPTED


def test_last_event_needs_no_blank_line() -> None:
    pieces, whole = read(event(content="a"), event(content="b", finish="stop").rstrip())

    assert [Delta(content="a"), None] == pieces
    assert Delta(content="b") == whole.rest
    assert whole.response.message.content == "ab"


def test_error_event_before_anything_is_what_it_says() -> None:
    error = refused(event(role="assistant", content=""), THROTTLE)

    assert isinstance(error, Throttled)
    assert not error.possibly_billed
    assert "slow down" in error.message


def test_error_event_in_mid_answer_is_a_cut() -> None:
    error = refused(event(content="a"), THROTTLE)

    assert isinstance(error, Uncertain)
    assert error.reason == Reason.ERROR_REASON_UPSTREAM_INTERRUPTED
    assert "slow down" in error.message


def test_error_event_after_the_finish_reason_counts() -> None:
    assert refused(event(content="a", finish="stop"), THROTTLE).reason == Reason.ERROR_REASON_UPSTREAM_INTERRUPTED


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":{"message":"upstream is busy"}}', Unavailable),
        (b'{"error":{"code":"1305"}}', Throttled),
        (b'{"error":{"type":"invalid_request_error","message":"Too many requests"}}', Throttled),
        (b'{"code":"InvalidParameter","message":"x"}', Rejected),
        (b'{"id":7,"error":{"code":"limit_requests"}}', Throttled),
        (b"{torn", Uncertain),
        (b"\xff", Uncertain),
        (b"[1]", Uncertain),
    ],
)
@pytest.mark.parametrize("end", [b"\n\n", b"\n\ndata: [DONE]\n\n"])
def test_error_in_a_200_stream_is_found(data: bytes, kind: type[CallError], end: bytes) -> None:
    assert kind is type(refused(b"data: " + data + end))


def test_error_at_the_very_end_is_found() -> None:
    assert isinstance(refused(THROTTLE.rstrip()), Throttled)


def test_finish_reason_that_is_a_failure_fails() -> None:
    assert isinstance(refused(event(finish="error_finish"), DONE), Unavailable)
    assert isinstance(refused(event(content="a"), event(finish="error_finish")), Uncertain)


def test_error_explains_a_finish_reason_that_is_a_failure() -> None:
    assert isinstance(refused(event(finish="error_finish"), THROTTLE), Throttled)


def test_moderation_in_mid_answer_ends_it_normally() -> None:
    pieces, whole = read(event(content="a"), INSPECTION, DONE)

    assert [Delta(content="a"), None, None] == pieces
    assert whole.response.finish_reason == chat_pb2.FINISH_REASON_CONTENT_FILTER
    assert whole.response.message.content == "a"


def test_moderation_of_the_input_refuses_it() -> None:
    error = refused(INSPECTION)

    assert isinstance(error, Rejected)
    assert error.reason == Reason.ERROR_REASON_CONTENT_BLOCKED


def test_content_filter_is_a_normal_end() -> None:
    _, whole = read(event(content="a", finish="content_filter"))

    assert whole.response.finish_reason == chat_pb2.FINISH_REASON_CONTENT_FILTER


def test_answer_that_was_not_streamed_is_taken_all_the_same() -> None:
    body = b'{"id":"c","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'

    pieces, whole = read(body[:10], body[10:])

    assert pieces == [None, None]
    assert Delta(content="a") == whole.rest
    assert whole.response.message.content == "a"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<!doctype html><p>Sign in", "UPLINK_OFFLINE"),
        (b'{"code":"InvalidApiKey","message":"x"}', "UPSTREAM_CREDENTIALS"),
        (b"nonsense", "UPSTREAM_BAD_RESPONSE"),
    ],
)
def test_body_that_is_no_stream_is_explained(body: bytes, reason: str) -> None:
    assert reason == refused(body[:5], body[5:]).reason_name


def test_choices_that_were_not_asked_for_are_passed_over() -> None:
    other = b'data: {"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'

    assert read(other, event(content="a", finish="stop"), other)[1].response.message.content == "a"


@pytest.mark.parametrize(
    "piece",
    [
        event(content="é" * 10),
        event(reasoning_content="é" * 10),
        event(tool_calls=[call(0, call_id="c", name="f", text="é" * 10)]),
    ],
)
def test_answer_beyond_the_limit_is_refused(piece: bytes) -> None:
    stream = decoder(limit_bytes=500)

    for _ in range(25):
        stream.feed(piece)

    with pytest.raises(Uncertain, match="longer than 500 bytes"):
        stream.feed(piece)


def test_number_of_tool_calls_is_limited() -> None:
    stream = decoder()
    for index in range(256):
        stream.feed(event(tool_calls=[call(index, call_id=str(index), name="f")]))

    with pytest.raises(Uncertain, match="more than 256 tool calls"):
        stream.feed(event(tool_calls=[call(256, call_id="256", name="f")]))


def test_think_tags_are_left_alone() -> None:
    assert read(event(content="<think>a</think>b", finish="stop"))[1].response.message.content == "<think>a</think>b"
