"""The delivery of a streamed answer: pieces as they come, none too large, and a sign of life in the silence between.

Promises of `StreamChatResponse` that are kept here: the first message carries what is known of the whole answer, the
last one how it ended; a text piece is whole characters and at most 1024 bytes, so that a device can decode it into a
fixed buffer; pieces that come closer together than the caller's flush interval are merged. The first piece is never
held back.
"""

import asyncio
from collections.abc import Iterator

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.ports import Clock
from edgeclient.ingress.inbound import Send
from edgeclient.v1 import chat_pb2

PIECE_LIMIT_BYTES = 1024
_FOR_EVER_S = 86_400.0


class PieceWriter:
    """Writes the pieces of one answer.

    Args:
        send: Where messages go.
        call: The call that is answered; tells the first message who answers.
        clock: Tells how long it has been silent.
        flush_interval_s: Pieces closer together than this are merged; 0: none are.
        heartbeat_s: An empty message goes out after so much silence; 0: never.
    """

    def __init__(self, send: Send, *, call: Call, clock: Clock, flush_interval_s: float, heartbeat_s: float) -> None:
        self._send = send
        self._call = call
        self._clock = clock
        self._flush_interval_s = flush_interval_s
        self._heartbeat_s = heartbeat_s or _FOR_EVER_S
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: list[chat_pb2.ToolCall] = []
        self._opened = self._restarted = False
        self._last_s = clock.monotonic_s()
        self._turn = asyncio.Lock()  # the wire takes one message at a time
        self._wake = asyncio.Event()

    async def write(self, delta: Delta) -> None:
        """Deliver a piece, now or merged with the next ones. Returns when the connection has taken what was due."""
        if delta.anew:
            self._begin_anew()
        if delta.content:
            self._content.append(delta.content)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        self._tool_calls.extend(delta.tool_calls)
        if not self._opened or self._due_s() <= self._clock.monotonic_s():
            async with self._turn:
                await self._flush()
        else:
            self._wake.set()

    async def finish(self, reply: Reply) -> None:
        """Deliver what is left and how it ended."""
        response = reply.response
        if response.job_id:  # nothing was delivered, or it would not have been queued
            async with self._turn:
                await self._put(chat_pb2.StreamChatResponse(id=response.id, job_id=response.job_id))
            return
        last = chat_pb2.StreamChatResponse(
            finish_reason=response.finish_reason,
            upstream_id=response.upstream_id,
            possibly_billed_count=response.possibly_billed_count,
        )
        if response.HasField("usage"):
            last.usage.CopyFrom(response.usage)
        async with self._turn:
            await self._flush(last)

    async def keep_alive(self) -> None:
        """Flush merged pieces when they are due and break long silences; runs beside the call until it is cancelled."""
        while True:
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.0, self._due_s() - self._clock.monotonic_s())):
                    await self._wake.wait()
            except TimeoutError:
                async with self._turn:
                    await self._put_what_is_due()

    def _waiting(self) -> bool:
        return bool(self._content or self._reasoning or self._tool_calls)

    def _due_s(self) -> float:
        return self._last_s + (self._flush_interval_s if self._waiting() else self._heartbeat_s)

    async def _put_what_is_due(self) -> None:
        if self._due_s() > self._clock.monotonic_s():
            return  # something was written while this waited for its turn
        if self._waiting():
            await self._flush()
        else:
            await self._put(chat_pb2.StreamChatResponse())

    async def _flush(self, last: chat_pb2.StreamChatResponse | None = None) -> None:
        messages = list(self._drain())
        if last is not None:
            if messages and not messages[-1].tool_calls:
                messages[-1].MergeFrom(last)
            else:
                messages.append(last)
        if messages and not self._opened:
            messages[0].MergeFrom(_opening(self._call))
            messages[0].restarted = self._restarted
            self._opened = True
        for message in messages:
            await self._put(message)

    def _begin_anew(self) -> None:
        """What was not delivered yet never will be; what was, the caller is told to throw away."""
        self._content, self._reasoning, self._tool_calls = [], [], []
        self._restarted = self._restarted or self._opened
        self._opened = False

    def _drain(self) -> Iterator[chat_pb2.StreamChatResponse]:
        reasoning, content, tool_calls = "".join(self._reasoning), "".join(self._content), self._tool_calls
        self._reasoning, self._content, self._tool_calls = [], [], []
        for piece in split_text(reasoning, PIECE_LIMIT_BYTES):
            yield chat_pb2.StreamChatResponse(reasoning_content=piece)
        for piece in split_text(content, PIECE_LIMIT_BYTES):
            yield chat_pb2.StreamChatResponse(content=piece)
        if tool_calls:
            yield chat_pb2.StreamChatResponse(tool_calls=tool_calls)

    async def _put(self, message: chat_pb2.StreamChatResponse) -> None:
        self._last_s = self._clock.monotonic_s()
        await self._send(message)


def _opening(call: Call) -> chat_pb2.StreamChatResponse:
    answered_by = call.served_as or (call.model.id if call.model else "")
    opening = chat_pb2.StreamChatResponse(
        id=call.id,
        model=answered_by if call.source != chat_pb2.RESPONSE_SOURCE_PINNED else "",
        source=call.source,
        target=call.target,
        attempt_count=call.attempt_count,
    )
    if call.cache_age_s is not None:
        opening.cache_age.FromNanoseconds(int(call.cache_age_s * 1e9))
    return opening


def split_text(text: str, limit_bytes: int) -> list[str]:
    """Cut a text into pieces of whole characters, each at most `limit_bytes` of UTF-8 (at least 4)."""
    if len(text) * 4 <= limit_bytes:
        return [text] if text else []
    data = text.encode()
    pieces = []
    start = 0
    while start < len(data):
        end = min(start + limit_bytes, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # inside a character  # noqa: PLR2004
            end -= 1
        pieces.append(data[start:end].decode())
        start = end
    return pieces
