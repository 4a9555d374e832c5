"""The delivery of a stream keeps the promises of StreamChatResponse."""

import asyncio
from typing import cast

import pytest
from builders import call
from fakes.clock import FakeClock
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.core.call import Delta, Reply
from edgeclient.core.companion import companion
from edgeclient.ingress.pieces import PIECE_LIMIT_BYTES, PieceWriter, split_text
from edgeclient.v1 import chat_pb2


class _Wire:
    def __init__(self) -> None:
        self.messages: list[chat_pb2.StreamChatResponse] = []
        self.written = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.messages.append(cast("chat_pb2.StreamChatResponse", message))
        self.written.set()


def _writer(wire: _Wire, *, clock: FakeClock, flush_interval_s: float = 0.0, heartbeat_s: float = 0.0) -> PieceWriter:
    return PieceWriter(
        wire.send,
        call=call(id="C1", target="t", attempt_count=2),
        clock=clock,
        flush_interval_s=flush_interval_s,
        heartbeat_s=heartbeat_s,
    )


def _reply(**fields: object) -> Reply:
    response = chat_pb2.ChatResponse(finish_reason=chat_pb2.FINISH_REASON_STOP, upstream_id="u1", **fields)  # type: ignore[arg-type]  # as given
    response.usage.prompt_tokens = 3
    return Reply(response=response)


async def test_first_message_tells_who_answers_and_last_one_how_it_ended() -> None:
    wire = _Wire()
    writer = _writer(wire, clock=FakeClock())

    await writer.write(Delta(content="a"))
    await writer.write(Delta(content="b"))
    await writer.finish(_reply())

    first, second, last = wire.messages
    assert ("C1", "t", 2, "a") == (first.id, first.target, first.attempt_count, first.content)
    assert chat_pb2.StreamChatResponse(content="b") == second
    assert (chat_pb2.FINISH_REASON_STOP, 3, "u1") == (last.finish_reason, last.usage.prompt_tokens, last.upstream_id)


async def test_an_answer_that_begins_anew_opens_anew_and_says_so() -> None:
    wire = _Wire()
    writer = _writer(wire, clock=FakeClock())

    await writer.write(Delta(content="Yes, it"))
    await writer.write(Delta(content="No", anew=True))
    await writer.write(Delta(content=", not hot"))
    await writer.finish(_reply(possibly_billed_count=1))

    first, anew, more, last = wire.messages
    assert (False, "C1", "Yes, it") == (first.restarted, first.id, first.content)
    assert (True, "C1", "t", 2, "No") == (anew.restarted, anew.id, anew.target, anew.attempt_count, anew.content)
    assert (False, ", not hot") == (more.restarted, more.content)
    assert (False, 1) == (last.restarted, last.possibly_billed_count)


async def test_what_was_not_delivered_yet_never_is() -> None:
    wire = _Wire()
    clock = FakeClock()
    writer = _writer(wire, clock=clock, flush_interval_s=1.0)
    await writer.write(Delta(content="Yes"))
    await writer.write(Delta(content=", it", reasoning="hm", tool_calls=(chat_pb2.ToolCall(id="1"),)))

    await writer.write(Delta(content="No", anew=True))
    await writer.finish(_reply())

    assert ["Yes", "No"] == [message.content for message in wire.messages if message.content]
    assert not any(message.tool_calls or message.reasoning_content for message in wire.messages)


async def test_what_nobody_has_seen_does_not_begin_anew() -> None:
    wire = _Wire()
    writer = _writer(wire, clock=FakeClock())

    await writer.write(Delta(content="Yes", anew=True))

    assert ["Yes"] == [message.content for message in wire.messages]
    assert not wire.messages[0].restarted


async def test_cached_stream_tells_its_age_and_a_pinned_one_no_model() -> None:
    opened = []
    for source, age_s in ((chat_pb2.RESPONSE_SOURCE_CACHE, 2.5), (chat_pb2.RESPONSE_SOURCE_PINNED, None)):
        wire = _Wire()
        answered = call(source=source, cache_age_s=age_s)
        writer = PieceWriter(wire.send, call=answered, clock=FakeClock(), flush_interval_s=0.0, heartbeat_s=0.0)
        await writer.write(Delta(content="a"))
        opened += wire.messages

    assert ["qwen-plus", ""] == [first.model for first in opened]
    assert 2_500_000_000 == opened[0].cache_age.ToNanoseconds()
    assert [True, False] == [first.HasField("cache_age") for first in opened]


async def test_first_message_names_the_model_that_serves() -> None:
    wire = _Wire()
    asked = call(served_as="qwen-plus-us")
    writer = PieceWriter(wire.send, call=asked, clock=FakeClock(), flush_interval_s=0.0, heartbeat_s=0.0)

    await writer.write(Delta(content="a"))

    assert ["qwen-plus-us"] == [message.model for message in wire.messages]


async def test_an_answer_without_a_piece_is_one_message_with_everything() -> None:
    wire = _Wire()
    await _writer(wire, clock=FakeClock()).finish(_reply())

    (only,) = wire.messages
    assert ("C1", chat_pb2.FINISH_REASON_STOP) == (only.id, only.finish_reason)


async def test_pieces_that_come_close_together_are_merged_and_the_first_is_not_held_back() -> None:
    wire = _Wire()
    clock = FakeClock()
    writer = _writer(wire, clock=clock, flush_interval_s=1.0)

    for piece in "abc":
        await writer.write(Delta(content=piece))
    clock.advance(1.0)
    await writer.write(Delta(content="d"))
    await writer.finish(_reply())

    assert ["a", "bcd", ""] == [message.content for message in wire.messages]


async def test_merged_pieces_go_out_when_they_are_due_even_if_no_more_come() -> None:
    wire = _Wire()
    clock = FakeClock()
    writer = _writer(wire, clock=clock, flush_interval_s=0.01)
    await writer.write(Delta(content="a"))
    await writer.write(Delta(content="b"))
    wire.written.clear()
    clock.advance(0.01)

    async with companion(writer.keep_alive(), name="keep-alive"), asyncio.timeout(5):
        await wire.written.wait()

    assert ["a", "b"] == [message.content for message in wire.messages]


async def test_long_silence_is_broken_by_an_empty_message() -> None:
    wire = _Wire()
    clock = FakeClock()
    writer = _writer(wire, clock=clock, heartbeat_s=0.01)
    clock.advance(0.01)

    async with companion(writer.keep_alive(), name="keep-alive"), asyncio.timeout(5):
        await wire.written.wait()
        await writer.write(Delta(content="late"))

    assert chat_pb2.StreamChatResponse() == wire.messages[0]
    assert ("late", "C1") == (wire.messages[1].content, wire.messages[1].id)


async def test_tool_calls_are_delivered_whole() -> None:
    wire = _Wire()
    writer = _writer(wire, clock=FakeClock())
    tool_call = chat_pb2.ToolCall(id="c1", name="read_temp", arguments='{"sensor":"boiler"}')

    await writer.write(Delta(content="x" * 2000, reasoning="r", tool_calls=(tool_call,)))

    assert ["r", "", "", ""] == [message.reasoning_content for message in wire.messages]
    assert [0, 1024, 976, 0] == [len(message.content) for message in wire.messages]
    assert [tool_call] == list(wire.messages[3].tool_calls)


@given(st.text(max_size=3000))
def test_text_is_cut_into_whole_characters_within_the_limit(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()

    pieces = split_text(text, 64)

    assert text == "".join(pieces)
    assert all(0 < len(piece.encode()) <= 64 for piece in pieces)


@pytest.mark.parametrize("letter", ["a", "é", "错", "🚀"])
def test_pieces_are_as_large_as_the_limit_allows(letter: str) -> None:
    width = len(letter.encode())

    first, *_ = split_text(letter * 2000, PIECE_LIMIT_BYTES)

    assert PIECE_LIMIT_BYTES // width * width == len(first.encode())
