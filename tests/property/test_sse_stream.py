"""Streams, however they are cut and whatever they hold."""

import json
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgeclient.core.errors import CallError
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.answer import decode_answer
from edgeclient.upstream.failures import failure, parse_error
from edgeclient.upstream.stream import StreamDecoder

MODEL = ModelSpec(id="qwen-plus")
LIMIT_BYTES = 2000

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(0, 2),
        "id": st.none() | st.sampled_from(["", "c1", "c2"]),
        "function": st.none() | st.fixed_dictionaries({"name": st.sampled_from([None, "", "f"]), "arguments": TEXT}),
    },
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | TEXT,
        "reasoning_content": st.none() | TEXT,
        "tool_calls": st.none() | st.lists(CALL, max_size=2),
    },
)
FINISH = st.sampled_from([None, None, None, "", "stop", "length", "tool_calls", "content_filter", "error_finish"])
CHUNK = st.builds(
    lambda delta, finish: json.dumps({"choices": [{"delta": delta, "finish_reason": finish}]}, ensure_ascii=False),
    DELTA,
    FINISH,
)
DATA = st.one_of(
    CHUNK,
    CHUNK,
    CHUNK,
    st.sampled_from(
        [
            "[DONE]",
            "{torn",
            '{"choices":[],"usage":{"prompt_tokens":1}}',
            '{"error":{"code":"limit_requests"}}',
            '{"code":"data_inspection_failed"}',
            "",
        ]
    ),
)
FRAME = st.builds(
    lambda before, data, end: f"{before}data: {data}{end}".encode(),
    st.sampled_from(["", "", "", ": alive\n\n", "id: 1\r\n", "event: error\n", ":HTTP_STATUS/429\n", "\ufeff"]),
    DATA,
    st.sampled_from(["\n\n", "\n\n", "\r\n\r\n", "\n", ""]),
)
BODY = st.lists(FRAME | st.binary(max_size=20), max_size=8).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, bodies: st.SearchStrategy[bytes] = BODY) -> tuple[bytes, list[bytes]]:
    body = draw(bodies)
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return body, [body[start:end] for start, end in pairwise([0, *places, len(body)])]


def outcome(chunks: list[bytes]) -> tuple[str, ...]:
    """What a caller gets in the end: the failure, or the texts that came piece by piece and the whole answer."""
    stream = StreamDecoder(model=MODEL, include_reasoning=True, limit_bytes=LIMIT_BYTES)
    try:
        pieces = [stream.feed(chunk) for chunk in chunks]
        whole = stream.finish()
    except CallError as error:
        return type(error).__name__, error.message, str(stream.produced)
    told = [piece for piece in (*pieces, whole.rest) if piece is not None]
    message = whole.response.message
    assert message.content == "".join([piece.content for piece in told])
    assert message.reasoning_content == "".join([piece.reasoning for piece in told])
    assert list(message.tool_calls) == [call for piece in told for call in piece.tool_calls]
    return ("whole", str(whole.response))


@given(cut())
def test_result_does_not_depend_on_where_the_bytes_were_cut(example: tuple[bytes, list[bytes]]) -> None:
    body, chunks = example

    assert outcome([body]) == outcome(chunks)


@given(BODY)
def test_byte_by_byte_is_the_same(body: bytes) -> None:
    assert outcome([body]) == outcome([body[place : place + 1] for place in range(len(body))])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "model",
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "index",
                    "arguments",
                    "finish_reason",
                    "usage",
                    "error",
                    "code",
                    "type",
                    "metadata",
                    "raw",
                    "prompt_tokens",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
ODD = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())
PREFIX = st.sampled_from([b"", b"", b"data: ", b"event:error\ndata:", b"id:1\n:HTTP_STATUS/500\ndata:", b"<html>"])


def raises_nothing_else(read: Callable[[], object]) -> None:
    try:
        read()
    except CallError as error:
        assert error.message  # noqa: PT017  either outcome is right, a third one is not


@given(PREFIX, ODD)
def test_answer_fails_only_as_an_error_of_ours(prefix: bytes, odd: bytes) -> None:
    raises_nothing_else(lambda: decode_answer(prefix + odd, model=MODEL, include_reasoning=True))


@given(PREFIX, ODD)
def test_stream_fails_only_as_an_error_of_ours(prefix: bytes, odd: bytes) -> None:
    raises_nothing_else(lambda: outcome([prefix + odd]))


@given(PREFIX, ODD, st.integers(0, 999), st.sampled_from(["", "text/html", "application/json"]))
def test_every_error_means_something(prefix: bytes, odd: bytes, status: int, content_type: str) -> None:
    error = parse_error(http_status=status, content_type=content_type, body=prefix + odd)

    assert len(error.message) <= 300
    assert failure(error).message
