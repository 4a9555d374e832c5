"""A chat request as the provider's JSON.

The request was validated before, so this module decides nothing about what is allowed; it only says it in the
provider's words. Three rules are worth knowing:

* Thinking is never left to the provider's default where a model can be told: newer models reason unless told not to,
  and reasoning is billed as output.
* Typed fields win over `extra_json`, and what the answer's decoder relies on (`stream`, one choice) cannot be changed
  by it.
* Numbers are written as they were typed: 0.7 travels as a float32, and its nearest double is 0.699999988.
"""

import re
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

from edgeclient.core.errors import Reason, Rejected, Violation
from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.core.thinking import thinks
from edgeclient.upstream.message_codec import encode_messages
from edgeclient.upstream.wire import UNREADABLE
from edgeclient.v1 import chat_pb2

SHORT_ANSWER_TOKENS = 256
"""About ten seconds at the speed of a large model; the provider gives up on whole answers after minutes."""

_TOOL_MODES = {
    chat_pb2.TOOL_MODE_AUTO: "auto",
    chat_pb2.TOOL_MODE_NONE: "none",
    chat_pb2.TOOL_MODE_REQUIRED: "required",
}
_EFFORTS = {
    chat_pb2.THINKING_MODE_LOW: "low",
    chat_pb2.THINKING_MODE_MEDIUM: "medium",
    chat_pb2.THINKING_MODE_HIGH: "xhigh",  # the provider's word for its greatest effort
}
_OURS = ("n", "stream", "stream_options")
_NO_ARGUMENTS = {"type": "object", "properties": {}}
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEARCH_BY_DEFAULT = "qwen3.8-max"
"""Alibaba's own command line searches the web with this model unless told not to, at a price for each search, and
nothing says that the server does otherwise. So it is told."""


class _Titled(Struct):
    title: str = ""


_ENCODER = Encoder()
_OBJECT: Decoder[dict[str, Raw]] = Decoder(dict[str, Raw])
_RAW: Decoder[Raw] = Decoder(Raw)
_TITLED: Decoder[_Titled] = Decoder(_Titled)


def wants_stream(request: chat_pb2.ChatRequest, model: ModelSpec, *, caller_streams: bool) -> bool:
    """The provider should stream, whether or not the caller does.

    A streamed call that is broken off is billed only for what was generated, silence in it means trouble, and the
    provider's short limit for whole answers does not apply. So everything is streamed but an answer that is bounded to
    be short: it has little to lose, and as a whole it costs a third of the CPU.
    """
    short = 0 < request.max_tokens <= SHORT_ANSWER_TOKENS
    return caller_streams or model.stream_only or not short or thinks(request.thinking, model)


def encode_request(request: chat_pb2.ChatRequest, model: ModelSpec, *, stream: bool, name: str = "") -> bytes:
    """The body of the upstream request.

    Args:
        request: What is asked.
        model: The model that is asked.
        stream: The answer is to be streamed.
        name: What the model is called there; "": by its id.

    Raises:
        Rejected: A field that holds JSON text does not.
    """
    body: dict[str, Any] = {"model": name or model.id, "messages": encode_messages(request)}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    _add_sampling(body, request)
    _add_thinking(body, request, model)
    if request.max_tokens:
        body["max_completion_tokens" if model.limits_reasoning else "max_tokens"] = request.max_tokens
    if request.tools:
        _add_tools(body, request)
    if request.response_format.type > chat_pb2.RESPONSE_FORMAT_TYPE_TEXT:
        _add_form(body, request.response_format)
    extra = _extra(request.extra_json) if request.extra_json else {}
    if model.id.startswith(_SEARCH_BY_DEFAULT) and "enable_search" not in extra:
        body["enable_search"] = False
    return _ENCODER.encode({**extra, **body} if extra else body)


def _add_sampling(body: dict[str, Any], request: chat_pb2.ChatRequest) -> None:
    if request.HasField("temperature"):
        body["temperature"] = _as_typed(request.temperature)
    if request.top_p:
        body["top_p"] = _as_typed(request.top_p)
    if request.HasField("seed"):
        body["seed"] = request.seed
    if request.HasField("presence_penalty"):
        body["presence_penalty"] = _as_typed(request.presence_penalty)
    if request.HasField("frequency_penalty"):
        body["frequency_penalty"] = _as_typed(request.frequency_penalty)
    if request.stop:
        body["stop"] = list(request.stop)


def _add_thinking(body: dict[str, Any], request: chat_pb2.ChatRequest, model: ModelSpec) -> None:
    if model.thinking is Thinking.NEVER:
        return
    thinking = thinks(request.thinking, model)
    if model.thinking is not Thinking.ALWAYS:
        body["enable_thinking"] = thinking
    if not thinking:
        return
    # The provider takes one of the two. A budget is a limit and an effort a wish: the limit is kept.
    if request.thinking_budget_tokens:
        body["thinking_budget"] = request.thinking_budget_tokens
    elif model.takes_effort and request.thinking in _EFFORTS:
        body["reasoning_effort"] = _EFFORTS[request.thinking]


def _add_tools(body: dict[str, Any], request: chat_pb2.ChatRequest) -> None:
    body["tools"] = [
        {"type": "function", "function": _function(tool.function, f"tools[{position}].function.parameters")}
        for position, tool in enumerate(request.tools)
    ]
    choice = request.tool_choice
    if choice.function:
        body["tool_choice"] = {"type": "function", "function": {"name": choice.function}}
    elif choice.mode in _TOOL_MODES:
        body["tool_choice"] = _TOOL_MODES[choice.mode]
    if request.parallel_tool_calls:
        body["parallel_tool_calls"] = True


def _function(function: chat_pb2.FunctionTool, field: str) -> dict[str, Any]:
    encoded: dict[str, Any] = {"name": function.name}
    if function.description:
        encoded["description"] = function.description
    encoded["parameters"] = _json(function.parameters, field) if function.parameters.strip() else _NO_ARGUMENTS
    return encoded


def _add_form(body: dict[str, Any], form: chat_pb2.ResponseFormat) -> None:
    if form.type == chat_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA and form.json_schema.strip():
        schema = _json(form.json_schema, "response_format.json_schema")
        described = {"name": _schema_name(form.json_schema), "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    else:
        body["response_format"] = {"type": "json_object"}


def _schema_name(schema: str) -> str:
    try:
        title = _TITLED.decode(schema).title
    except UNREADABLE:  # no object, or a title that is no text
        title = ""
    return title if _SCHEMA_NAME.fullmatch(title) else "answer"


def _extra(text: str) -> dict[str, Raw]:
    try:
        extra = _OBJECT.decode(text)
    except UNREADABLE as error:
        raise _not_json("extra_json", "has to be a JSON object") from error
    for key in _OURS:
        extra.pop(key, None)
    return extra


def _json(text: str, field: str) -> Raw:
    """JSON text as it was written: parsed only to be sure that it ends where its field ends."""
    try:
        return _RAW.decode(text)
    except UNREADABLE as error:
        raise _not_json(field, "has to be a JSON Schema as JSON text") from error


def _not_json(field: str, description: str) -> Rejected:
    return Rejected(
        Reason.ERROR_REASON_INVALID_REQUEST,
        f"{field} {description}",
        violations=[Violation(field=field, description=description)],
    )


def _as_typed(value: float) -> float:
    return float(f"{value:.7g}")  # a float32 has a little more than 7 significant digits
