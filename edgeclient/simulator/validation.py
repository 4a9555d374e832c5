"""The refusals of POST /chat/completions, one rule after the other, in the order the cloud seems to check.

Only rules that the provider documents or that were seen are here: a simulator that is stricter than the cloud teaches
clients fears, one that is laxer lets their mistakes through to production.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from .chat_request import ChatRequest, ToolChoice
from .errors import ERRORS, ApiError, Shape
from .models import Model, Thinking

ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_TEMPERATURE_END: Final = 2  # 2 itself is refused
_PENALTY_MAX: Final = 2
_SEED_MAX: Final = 2**31 - 1
_TOP_LOGPROBS_MAX: Final = 5
_CHOICES_MAX: Final = 4
Rule = Callable[[ChatRequest, Model], Iterator[str]]


def thinks(chat: ChatRequest, model: Model) -> bool:
    """Does the model reason before this answer."""
    if model.thinking is Thinking.ALWAYS:
        return True
    if chat.enable_thinking is None or model.thinking is Thinking.NO:
        return model.thinking is Thinking.ON
    return chat.enable_thinking


def refuse(message: str, *, name: str = "invalid_parameter", shape: Shape = Shape.A) -> ApiError:
    """The row `name` with a message of its own."""
    row = ERRORS[name]
    return ApiError(
        name=name, status=row.status, code=row.code, native=row.native, kind=row.kind, message=message, shape=shape
    )


def _ranges(chat: ChatRequest, model: Model) -> Iterator[str]:
    """Numbers out of their range."""
    whole = model.max_output + model.max_reasoning
    budget = max(model.max_reasoning, 1)
    within: tuple[tuple[float | None, Callable[[float], bool], str], ...] = (
        (chat.temperature, lambda x: 0 <= x < _TEMPERATURE_END, "'temperature' must be Float and in [0.0, 2.0)"),
        (chat.top_p, lambda x: 0 < x <= 1, "Range of top_p should be (0.0, 1.0]"),
        (chat.presence_penalty, lambda x: abs(x) <= _PENALTY_MAX, "Range of presence_penalty should be [-2.0, 2.0]"),
        (chat.repetition_penalty, lambda x: x > 0, "Repetition_penalty should be greater than 0.0"),
        (chat.seed, lambda x: 0 <= x <= _SEED_MAX, f"Range of seed should be [0, {_SEED_MAX}]"),
        (
            chat.max_tokens,
            lambda x: 1 <= x <= model.max_output,
            f"Range of max_tokens should be [1, {model.max_output}]",
        ),
        (
            chat.max_completion_tokens,
            lambda x: 1 <= x <= whole,
            f"Range of max_completion_tokens should be [1, {whole}]",
        ),
        (chat.top_logprobs, lambda x: 0 <= x <= _TOP_LOGPROBS_MAX, "Range of top_logprobs should be [0, 5]"),
        (chat.n, lambda x: 1 <= x <= _CHOICES_MAX, "Range of n should be [1, 4]"),
        (chat.thinking_budget, lambda x: 1 <= x <= budget, f"Range of thinking_budget should be [1, {budget}]"),
    )
    for value, fits, message in within:
        if value is not None and not fits(value):
            yield message


def _streaming(chat: ChatRequest, model: Model) -> Iterator[str]:
    """Models that cannot answer this way."""
    if chat.stream:
        return
    if model.stream_only:
        yield "This model only support stream mode, please enable the stream parameter to access the model. "
    if model.thinking_needs_stream and thinks(chat, model):
        yield "parameter.enable_thinking must be set to false for non-streaming calls"
    if chat.stream_options is not None:
        yield "'stream_options' should only be set when 'stream' is true"


def _together(chat: ChatRequest, model: Model) -> Iterator[str]:
    """Fields that exclude each other."""
    thinking = thinks(chat, model)
    if (chat.n or 1) > 1 and (chat.tools or thinking):
        yield "n must be 1 when tools are used or thinking is enabled"
    if chat.reasoning_effort is not None and chat.thinking_budget is not None:
        yield "reasoning_effort and thinking_budget cannot be set at the same time"
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return
    if wanted.type not in {"json_object", "json_schema"}:
        yield "'response_format.type' should be one of 'text', 'json_object' and 'json_schema'"
    elif wanted.type == "json_object" and not any("json" in message.text.lower() for message in chat.messages):
        yield ("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
    elif wanted.type == "json_schema" and (wanted.json_schema is None or wanted.json_schema.schema is None):
        yield "'response_format.json_schema.schema' is required for the type 'json_schema'"
    if thinking:
        yield "Json mode response is not supported when enable_thinking is true"


def _messages(chat: ChatRequest, model: Model) -> Iterator[str]:
    """The conversation."""
    if not chat.messages:
        yield "[] is too short - 'messages'"
    open_calls: set[str] = set()
    for number, message in enumerate(chat.messages):
        if message.role not in ROLES:
            yield f"{message.role!r} is not one of ['system', 'assistant', 'user', 'tool'] - 'messages.{number}.role'"
        if message.role == "assistant" and message.tool_calls:
            open_calls |= {call.id for call in message.tool_calls}
        if message.role == "tool" and message.tool_call_id not in open_calls:
            yield 'messages with role "tool" must be a response to a preceding message with "tool_calls".'
        if message.content is None and not message.tool_calls:
            yield f"'content' of 'messages.{number}' is required"
    if isinstance(chat.stop, list) and len({type(each) for each in chat.stop}) > 1:
        yield "'stop' must not mix strings and token ids"
    del model


def _tools(chat: ChatRequest, model: Model) -> Iterator[str]:
    """What the model may call."""
    names = [tool.function.name for tool in chat.tools or []]
    for tool in chat.tools or []:
        name = tool.function.name
        if tool.type != "function":
            yield f"{tool.type!r} is not one of ['function'] - 'tools.type'"
        if name == "search" or not _TOOL_NAME.match(name):
            yield f"Tool names are not allowed to be [{name}]"
    if isinstance(chat.tool_choice, str) and chat.tool_choice not in {"auto", "none", "required"}:
        yield "tool_choice is one of the strings that should be ['none', 'auto', 'required']"
    if isinstance(chat.tool_choice, ToolChoice) and chat.tool_choice.function.name not in names:
        yield f"The function {chat.tool_choice.function.name!r} of tool_choice is not in tools"
    del model


_RULES: Final[tuple[Rule, ...]] = (_messages, _ranges, _tools, _streaming, _together)


def check(chat: ChatRequest, model: Model, prompt_tokens: int) -> ApiError | None:
    """The first refusal that applies."""
    if model.echo:
        rules: tuple[Rule, ...] = (_messages, _ranges, _tools)
    else:
        rules = _RULES
    for rule in rules:
        for message in rule(chat, model):
            return refuse(message)
    if not model.vision and any(isinstance(message.content, list) for message in chat.messages):
        text = "<400> InternalError.Algo.InvalidParameter: The content of a text model must be a string."
        return refuse(text, name="invalid_algo_parameter")
    if model.thinking is Thinking.NO and chat.enable_thinking:
        return ERRORS["not_support_enable_thinking"]
    if thinks(chat, model) and chat.tool_choice not in {None, "auto", "none"} and not model.echo:
        text = "The tool_choice parameter does not support being set to required or object in thinking mode"
        return refuse(text, shape=Shape.C if chat.stream else Shape.A)
    if prompt_tokens > model.context:
        text = f"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, {model.context}]"
        return refuse(text, name="invalid_algo_parameter")
    return None
