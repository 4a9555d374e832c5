"""The streamed answer: chunks in the provider's order and spelling, paced like a model.

Order: one chunk with the role; reasoning; content or tool calls; the finish reason; with `include_usage` one chunk
with empty `choices` and the usage; `[DONE]`. The first piece of a tool call has id and name, later ones an empty id.
The frame of a chunk is encoded once per stream and only the changing piece per chunk. The ledger learns of every token
before it leaves, so a client that cuts the stream is billed for what it can have received, and generation stops there.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from .chat import ChatParts, usage_of
from .completion import TOKENS_PER_CALL, Call, Choice, Completion
from .disturbance import Broken, Disturbance
from .ledger import Outcome
from .pace import Pace
from .tokens import split_tokens
from .transaction import Transaction

_SSE: Final = (b"content-type", b"text/event-stream;charset=UTF-8")
_DONE: Final = b"data: [DONE]\n\n"
_YIELD_EVERY: Final = 16  # chunks; without a pace other calls still get their turn
_encode: Final = msgspec.json.Encoder().encode
Piece = tuple[dict[str, Any], int]  # a delta and its tokens


class _Frame:
    """The unchanging part of the chunks of one stream."""

    __slots__ = ("_tail",)

    def __init__(self, transaction: Transaction) -> None:
        rest = {
            "created": int(transaction.arrived),
            "system_fingerprint": None,
            "model": transaction.entry.model,
            "id": f"chatcmpl-{transaction.request_id}",
        }
        self._tail = b',"object":"chat.completion.chunk",' + _encode(rest)[1:] + b"\n\n"

    def delta(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        """A chunk with one choice."""
        choice = {"delta": delta, "finish_reason": finish_reason, "index": index, "logprobs": None}
        return b'data: {"choices":[' + _encode(choice) + b'],"usage":null' + self._tail

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk without a choice."""
        return b'data: {"choices":[],"usage":' + _encode(usage) + self._tail


def _in_chunks(tokens: list[str], size: int) -> Iterator[tuple[str, int]]:
    pieces = iter(tokens)
    while chunk := list(islice(pieces, size)):
        yield "".join(chunk), len(chunk)


def _call_pieces(index: int, call: Call, size: int, *, whole: bool) -> Iterator[Piece]:
    first = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    yield {"content": None, "tool_calls": [first]}, TOKENS_PER_CALL
    tokens = split_tokens(call.arguments)
    for text, count in _in_chunks(tokens, len(tokens) if whole else size):
        later = {"index": index, "id": "", "type": "function", "function": {"name": None, "arguments": text}}
        yield {"content": None, "tool_calls": [later]}, count


def _pieces(choice: Choice, size: int, *, whole_calls: bool) -> Iterator[Piece]:
    for text, count in _in_chunks(choice.reasoning, size):
        yield {"content": None, "reasoning_content": text}, count
    for text, count in _in_chunks(choice.content, size):
        yield ({"content": text, "reasoning_content": None} if choice.reasoning else {"content": text}), count
    for index, call in enumerate(choice.calls):
        yield from _call_pieces(index, call, size, whole=whole_calls)


def _holds_back_calls(transaction: Transaction) -> bool:
    """Arguments with arrays or objects come in one piece unless `tool_stream` is set."""
    chat = transaction.chat
    if chat is None or chat.tool_stream:
        return False
    fields = [
        field
        for tool in chat.tools or []
        for field in ((tool.function.parameters or {}).get("properties") or {}).values()
        if isinstance(field, dict)
    ]
    return any(field.get("type") in {"array", "object"} for field in fields)


class _Clock:
    """Waits for the time of each token, measured from the first one, so small delays do not add up."""

    __slots__ = ("_due", "_loop", "_random", "pace")

    def __init__(self, pace: Pace, seq: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.pace = pace
        self._random = pace.random_for(seq)
        self._due = self._loop.time()

    async def wait(self, wait_s: float) -> None:
        self._due += self.pace.spread(wait_s, self._random)
        if (left_s := self._due - self._loop.time()) > 0:
            await asyncio.sleep(left_s)


async def answer_stream(transaction: Transaction, parts: ChatParts) -> None:
    """Stream the completion of the transaction."""
    completion = transaction.completion
    assert completion is not None  # noqa: S101 - `prepare` has set it
    pace = parts.paces.of(transaction.entry.model)
    clock = _Clock(pace, transaction.entry.seq)
    await clock.wait(pace.latency_s)
    transaction.entry.status = 200
    transaction.exchange.send_head(200, transaction.headers(_SSE, finished=False))
    disturbance = Disturbance(transaction)
    try:
        await _write_choices(transaction, completion, parts, clock, disturbance)
        await _write_end(transaction, completion, disturbance)
    except Broken:
        return
    outcome = Outcome.CUT_BY_SERVER if disturbance.without_end else Outcome.ANSWERED
    billed = outcome is Outcome.ANSWERED
    transaction.ledger.settle(
        transaction.entry,
        outcome,
        prompt_billed=completion.prompt_tokens if billed else 0,
        billed=transaction.entry.tokens_generated if billed else 0,
    )
    transaction.exchange.finish()


async def _write_choices(
    transaction: Transaction, completion: Completion, parts: ChatParts, clock: _Clock, disturbance: Disturbance
) -> None:
    frame, exchange, pace = _Frame(transaction), transaction.exchange, clock.pace
    first_token_s = pace.first_token_s(completion.prompt_tokens - transaction.entry.cached_tokens)
    whole_calls = _holds_back_calls(transaction)
    chunks = 0
    for index, choice in enumerate(completion.choices):
        await disturbance.before_chunk(chunks)
        await exchange.write(frame.delta(index, {"content": "", "role": "assistant"}))
        chunks += 1
        await clock.wait(first_token_s if index == 0 else 0)
        for delta, tokens in _pieces(choice, parts.tokens_per_chunk, whole_calls=whole_calls):
            if pace.token_s:
                await clock.wait(pace.token_s * tokens)
            elif chunks % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if disturbance.active:
                await disturbance.before_chunk(chunks)
            transaction.generated(tokens)
            await exchange.write(frame.delta(index, delta))
            chunks += 1
        if not disturbance.without_end:
            reason = disturbance.finish_reason
            await exchange.write(frame.delta(index, {"content": ""}, choice.finish_reason if reason == "" else reason))
    await disturbance.at_end(chunks)


async def _write_end(transaction: Transaction, completion: Completion, disturbance: Disturbance) -> None:
    chat, exchange = transaction.chat, transaction.exchange
    options = chat.stream_options if chat is not None else None
    if options is not None and options.include_usage and not disturbance.without_end:
        await exchange.write(_Frame(transaction).usage(usage_of(transaction, completion)))
    if not disturbance.without_done:
        await exchange.write(_DONE)
