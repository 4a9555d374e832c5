"""The provider's answer as the public one.

Promises: an answer without a finish reason is no answer, an error hidden in a 200 is an error, a tool call is handed
out whole or not at all, and a bill that cannot be read costs the bill and not the answer. Reasoning that leaks into the
text as `<think>` tags on some models is left where it is: a text may speak of such tags, and nothing tells the two
apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Raw
from msgspec.json import decode, encode

from edgeclient.core.call import Delta
from edgeclient.core.errors import CallError
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.failures import failure, unreadable
from edgeclient.upstream.provider_error import EVENTS, ProviderError, parse_error
from edgeclient.upstream.wire import ENVELOPE, UNREADABLE, USAGE, Function, text
from edgeclient.v1 import chat_pb2

FinishReason = chat_pb2.FinishReason

FINISH_REASONS = {
    "stop": chat_pb2.FINISH_REASON_STOP,
    "length": chat_pb2.FINISH_REASON_LENGTH,
    "tool_calls": chat_pb2.FINISH_REASON_TOOL_CALLS,
    "function_call": chat_pb2.FINISH_REASON_TOOL_CALLS,
    "content_filter": chat_pb2.FINISH_REASON_CONTENT_FILTER,
}
FAILED = ("error", "error_finish")
"""Finish reasons that are failures."""

_CUT = (chat_pb2.FINISH_REASON_LENGTH, chat_pb2.FINISH_REASON_CONTENT_FILTER)
_MOST_TOKENS = 2**31 - 1  # what the public field can hold
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A complete answer.

    Attributes:
        response: The public answer; `id`, `target` and `attempt_count` are filled in by who knows them.
        rest: For a streamed answer what only the end of the body completed, as a rule nothing. It is part of
            `response`, and a caller who takes pieces has yet to get it.
    """

    response: chat_pb2.ChatResponse
    rest: Delta | None = None


class CallDraft(NamedTuple):
    """A tool call as the provider told it; any part may be missing."""

    id: str
    name: str
    arguments: str


def decode_answer(body: bytes, *, model: ModelSpec, include_reasoning: bool) -> Completion:
    """Read an answer that was not streamed.

    Raises:
        CallError: The body holds an error, or nothing that can be understood.
    """
    try:
        envelope = ENVELOPE.decode(body)
    except UNREADABLE as error:
        raise not_an_answer(body) from error
    if envelope.is_error:
        raise failure(parse_error(http_status=_OK, content_type="", body=body))
    choice = envelope.choices[0] if envelope.choices else None
    if choice is None or choice.message is None:
        raise unreadable("it holds no message")
    if choice.finish_reason in FAILED:
        raise failure(ProviderError(http_status=_OK, code=choice.finish_reason))
    if not choice.finish_reason:
        raise unreadable("it does not say why it ended")
    message = choice.message
    drafts = [
        CallDraft(call.id or "", (call.function and call.function.name) or "", arguments(call.function))
        for call in message.tool_calls or ()
    ]
    finish = finish_reason(choice.finish_reason, has_calls=bool(drafts))
    return completion(
        model=envelope.model or model.id,
        upstream_id=envelope.id or "",
        content=text(message.content),
        reasoning=(message.reasoning_content or "") if include_reasoning else "",
        tool_calls=tool_calls(drafts, finish),
        finish=finish,
        usage=envelope.usage,
    )


def not_an_answer(body: bytes, *, sent_pieces: bool = False) -> CallError:
    """The error to raise for a body, or the data of an event, under status 200 that is not an answer.

    Words alone are believed to be an error only in an event: a torn answer is text as well.
    """
    error = parse_error(http_status=_OK, content_type="", body=body)
    if (error.code and b'"choices"' not in body) or (error.message and body.startswith(EVENTS)):
        return failure(error, sent_pieces=sent_pieces)
    return unreadable("it is neither an answer nor an error in any form that is known")


def completion(
    *,
    model: str,
    upstream_id: str,
    content: str,
    reasoning: str,
    tool_calls: Iterable[chat_pb2.ToolCall],
    finish: FinishReason.ValueType,
    usage: Raw,
    rest: Delta | None = None,
) -> Completion:
    """Put the parts of an answer together."""
    message = chat_pb2.Message(
        role=chat_pb2.ROLE_ASSISTANT, content=content, reasoning_content=reasoning, tool_calls=tool_calls
    )
    response = chat_pb2.ChatResponse(
        message=message,
        finish_reason=finish,
        usage=decode_usage(usage),
        model=model,
        source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
        upstream_id=upstream_id,
    )
    return Completion(response=response, rest=rest)


def decode_usage(raw: Raw) -> chat_pb2.Usage | None:
    """The bill; None if there is none or it cannot be read."""
    try:
        usage = USAGE.decode(raw)
    except UNREADABLE:
        return None
    if usage is None:
        return None
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    return chat_pb2.Usage(
        prompt_tokens=_tokens(usage.prompt_tokens),
        completion_tokens=_tokens(usage.completion_tokens),
        total_tokens=_tokens(usage.total_tokens),
        cached_tokens=_tokens(prompt.cached_tokens if prompt else 0),
        reasoning_tokens=_tokens(output.reasoning_tokens if output else 0),
    )


def finish_reason(name: str, *, has_calls: bool) -> FinishReason.ValueType:
    """Why generation ended. A forced tool call ends with `stop`, and yet the model waits for its result."""
    reason = FINISH_REASONS.get(name, chat_pb2.FINISH_REASON_OTHER)
    return chat_pb2.FINISH_REASON_TOOL_CALLS if has_calls and reason == chat_pb2.FINISH_REASON_STOP else reason


def tool_calls(drafts: Iterable[CallDraft], finish: FinishReason.ValueType) -> tuple[chat_pb2.ToolCall, ...]:
    """The calls that are whole. Where generation was cut, a call whose arguments are no JSON was cut with it.

    Raises:
        Uncertain: A call names no function.
    """
    whole = []
    for position, draft in enumerate(drafts):
        if finish in _CUT and not (draft.name and _is_json(draft.arguments)):
            continue
        if not draft.name:
            raise unreadable("it holds a tool call without the name of the function")
        # The next request has to refer to the call, so one without an id is given one.
        call_id = draft.id or f"call_{position}"
        whole.append(chat_pb2.ToolCall(id=call_id, name=draft.name, arguments=draft.arguments))
    return tuple(whole)


def arguments(function: Function | None) -> str:
    """The arguments, or the next piece of them, as text."""
    value = function.arguments if function else None
    return value if isinstance(value, str) else encode(value).decode() if value is not None else ""


def _is_json(value: str) -> bool:
    try:
        decode(value, type=Raw)
    except UNREADABLE:
        return False
    return True


def _tokens(count: int | None) -> int:
    return min(max(0, count or 0), _MOST_TOKENS)
