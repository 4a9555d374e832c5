"""A streamed answer, from bytes to pieces and to the whole.

Promises: however the bytes are cut, the result is the same; a stream that ends without a finish reason is a failure
and never a short answer; an error counts even after the finish reason; tool calls leave this module complete, once.
Text and reasoning are kept, because the whole answer is wanted at the end; reasoning that nobody asked for is counted
against the limit and dropped.

Billing decides about errors: before the model has written anything they mean what `failures` says, afterwards the
answer broke off and was perhaps billed. One exception: when moderation stops an answer that has begun, that is how this
answer ends.
"""

from io import StringIO

from msgspec import Raw

from edgeclient.core.call import Delta
from edgeclient.core.errors import Reason, Uncertain
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.answer import (
    FAILED,
    CallDraft,
    Completion,
    arguments,
    completion,
    decode_answer,
    finish_reason,
    not_an_answer,
    tool_calls,
)
from edgeclient.upstream.failures import ProviderError, failure, parse_error, unreadable
from edgeclient.upstream.provider_error import EVENTS
from edgeclient.upstream.sse import Frame, SseParser, too_long
from edgeclient.upstream.wire import ENVELOPE, UNREADABLE, Envelope, Message, ToolCall, text
from edgeclient.v1 import chat_pb2

_DONE = b"[DONE]"
_NO_USAGE = Raw(b"null")
_MOST_CALLS = 256
_OK = 200


class _Call:
    """A tool call that is being told in pieces."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = StringIO()


class StreamDecoder:
    """Decodes one streamed answer.

    Args:
        model: The model that was asked.
        include_reasoning: The caller wants the reasoning.
        limit_bytes: Longest answer, reasoning and arguments included, and longest single event.

    Attributes:
        produced: The model has written something, be it text, reasoning or a tool call.
        done: The provider said that nothing follows.
    """

    def __init__(self, *, model: ModelSpec, include_reasoning: bool, limit_bytes: int) -> None:
        self.produced = False
        self.done = False
        self._include_reasoning = include_reasoning
        self._limit_bytes = limit_bytes
        self._frames = SseParser(limit_bytes=limit_bytes)
        self._head: bytearray | None = bytearray()  # the body as long as no event was found in it
        self._size_bytes = 0
        self._content = StringIO()
        self._new_content: list[str] = []
        self._reasoning = StringIO()
        self._new_reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._last_index = 0
        self._whole_calls: tuple[chat_pb2.ToolCall, ...] = ()
        self._new_calls: tuple[chat_pb2.ToolCall, ...] = ()
        self._finish = chat_pb2.FINISH_REASON_UNSPECIFIED
        self._failed_with = ""
        self._usage = _NO_USAGE
        self._id = ""
        self._asked = model
        self._model = ""

    @property
    def model(self) -> str:
        """Name of the model that answers: in the provider's words, else the one that was asked."""
        return self._model or self._asked.id

    def feed(self, chunk: bytes) -> Delta | None:
        """Take bytes; give what they brought for the caller, merged into one piece, or None.

        Raises:
            CallError: The stream holds an error or something that cannot be understood.
        """
        for frame in self._frames.feed(chunk):
            self._head = None
            self._take(frame)
        if self._head is not None and len(self._head) <= self._limit_bytes:
            self._head += chunk
        return self._piece()

    def finish(self) -> Completion:
        """The body has ended; give the whole answer.

        Raises:
            CallError: The answer is not complete.
        """
        for frame in self._frames.finish():
            self._take_last(frame)
        if self._finish == chat_pb2.FINISH_REASON_UNSPECIFIED:
            return self._without_finish()
        return completion(
            model=self.model,
            upstream_id=self._id,
            content=self._content.getvalue(),
            reasoning=self._reasoning.getvalue(),
            tool_calls=self._whole_calls,
            finish=self._finish,
            usage=self._usage,
            rest=self._piece(),
        )

    def _without_finish(self) -> Completion:
        head = bytes(self._head or b"").strip()
        if self._failed_with:
            raise failure(ProviderError(http_status=_OK, code=self._failed_with), sent_pieces=self.produced)
        if head.startswith(b"{"):  # the provider, or a relay, does not stream
            whole = decode_answer(head, model=self._asked, include_reasoning=self._include_reasoning)
            message = whole.response.message
            rest = Delta(
                content=message.content, reasoning=message.reasoning_content, tool_calls=tuple(message.tool_calls)
            )
            return Completion(response=whole.response, rest=rest)
        if head and not head.startswith(EVENTS):
            raise not_an_answer(head)
        raise Uncertain(
            Reason.ERROR_REASON_UPSTREAM_INTERRUPTED,
            "The provider's answer broke off: the stream ended without saying why",
            retry_after_s=1.0,
        )

    def _piece(self) -> Delta | None:
        if not (self._new_content or self._new_reasoning or self._new_calls):
            return None
        piece = Delta(
            content="".join(self._new_content), reasoning="".join(self._new_reasoning), tool_calls=self._new_calls
        )
        self._new_content.clear()
        self._new_reasoning.clear()
        self._new_calls = ()
        return piece

    def _take(self, frame: Frame) -> None:
        if self.done:
            return
        if frame.data == _DONE:
            self.done = True
            return
        if frame.is_error:
            self._fail(frame)
            return
        try:
            event = ENVELOPE.decode(frame.data)
        except UNREADABLE as error:
            raise not_an_answer(frame.data, sent_pieces=self.produced) from error
        if event.is_error:
            self._fail(frame)
        else:
            self._take_event(event)

    def _take_last(self, frame: Frame) -> None:
        """Take an event that lacks its end; if it is cut, it never came."""
        try:
            ENVELOPE.decode(frame.data)
        except UNREADABLE:
            if not frame.is_error and frame.data != _DONE:
                return
        self._head = None
        self._take(frame)

    def _take_event(self, event: Envelope) -> None:
        if event.id and not self._id:
            self._id = event.id
        if event.model and not self._model:
            self._model = event.model
        if event.usage != _NO_USAGE:
            self._usage = event.usage.copy()
        for choice in event.choices or ():
            if choice.index:  # never asked for
                continue
            message = choice.delta or choice.message
            if message is not None:
                self._take_message(message)
            if choice.finish_reason in FAILED:
                self._failed_with = choice.finish_reason or ""
            elif choice.finish_reason and not self._finish:
                self._end(finish_reason(choice.finish_reason, has_calls=bool(self._calls)))

    def _take_message(self, message: Message) -> None:
        content = text(message.content) if message.content else ""
        if content:
            self._grow(content)
            self._content.write(content)
            self._new_content.append(content)
        reasoning = message.reasoning_content
        if reasoning:
            self._grow(reasoning)
            if self._include_reasoning:
                self._reasoning.write(reasoning)
                self._new_reasoning.append(reasoning)
        if message.tool_calls and not self._finish:
            for call in message.tool_calls:
                self._take_call(call)

    def _take_call(self, piece: ToolCall) -> None:
        """Add a piece to its call, which is found by its index: later pieces have no id, or an empty one.

        Some relays leave the index out; there a new id begins a new call.
        """
        index = piece.index
        if index is None:
            index = self._last_index
            known = self._calls.get(index)
            if known is not None and piece.id and known.id and piece.id != known.id:
                index = max(self._calls) + 1
        self._last_index = index
        call = self._calls.get(index)
        if call is None:
            if len(self._calls) >= _MOST_CALLS:
                raise unreadable(f"it holds more than {_MOST_CALLS} tool calls")
            call = self._calls[index] = _Call()
        call.id = call.id or piece.id or ""
        call.name = call.name or (piece.function and piece.function.name) or ""
        added = arguments(piece.function)
        self._grow(added or call.name)
        call.arguments.write(added)

    def _grow(self, added: str) -> None:
        self.produced = True
        self._size_bytes += len(added) if added.isascii() else len(added.encode())
        if self._size_bytes > self._limit_bytes:
            raise too_long(self._limit_bytes)

    def _end(self, finish: chat_pb2.FinishReason.ValueType) -> None:
        self._finish = finish
        if self._calls:
            drafts = [CallDraft(c.id, c.name, c.arguments.getvalue()) for _, c in sorted(self._calls.items())]
            self._whole_calls = self._new_calls = tool_calls(drafts, finish)

    def _fail(self, frame: Frame) -> None:
        """End with the error that the frame reports."""
        error = parse_error(http_status=frame.http_status or _OK, content_type="", body=frame.data)
        refusal = failure(error)
        if self.produced and refusal.reason == Reason.ERROR_REASON_CONTENT_BLOCKED:
            if not self._finish:
                self._end(chat_pb2.FINISH_REASON_CONTENT_FILTER)
            self._finish = chat_pb2.FINISH_REASON_CONTENT_FILTER
            self.done = True  # nothing of value follows
            return
        raise failure(error, sent_pieces=True) if self.produced else refusal
