"""The request body of POST /chat/completions as the cloud reads it.

Decoding is lenient about unknown fields (OpenAI clients send many) and strict about types of known ones. The rules
between fields are in `validation`. Fields that need no behaviour here (`top_k`, `enable_search`, ...) are only
type-checked by not being looked at.
"""

from typing import Any, Literal

import msgspec


class FunctionSpec(msgspec.Struct, frozen=True):
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool; `function` is the only kind."""

    function: FunctionSpec
    type: str = "function"


class CalledFunction(msgspec.Struct, frozen=True):
    """Name and arguments of an earlier call."""

    name: str = ""
    arguments: str | None = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A call of an earlier assistant message."""

    id: str = ""
    function: CalledFunction = CalledFunction()


class Message(msgspec.Struct, frozen=True):
    """One turn."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        """The text, of a list of parts as well."""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(part.get("text", "")) for part in self.content or [])


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a stream."""

    include_usage: bool | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    """The schema of a structured answer."""

    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """`text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JsonSchema | None = None


class ChosenFunction(msgspec.Struct, frozen=True):
    """The function that must be called."""

    name: str


class ToolChoice(msgspec.Struct, frozen=True):
    """`tool_choice` in its long form."""

    function: ChosenFunction
    type: Literal["function"] = "function"


class ChatRequest(msgspec.Struct, frozen=True):
    """Everything of the body that matters."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    seed: int | None = None
    stop: str | list[str | int] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    tool_stream: bool | None = None
    response_format: ResponseFormat | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None

    @property
    def question(self) -> str:
        """The text of the last user message."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def stops(self) -> list[str]:
        """The stop strings; token ids are left out, no text model here has any."""
        if isinstance(self.stop, str):
            return [self.stop]
        return [each for each in self.stop or [] if isinstance(each, str) and each]
