"""The provider's JSON, as far as it is read.

Only fields that are used are declared; the rest is skipped by the parser without being built, which is most of the work
of a stream event. What the provider leaves out, sends as null or sends in one of its known other forms is accepted
here, so that the code behind has no second shape to think of. `usage` stays raw until it is needed: every event of a
stream carries it as null, and a bill that cannot be read must not cost an answer that was paid for.
"""

from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

UNREADABLE = (ValueError, RecursionError)
"""What a decoder raises for bytes that it cannot take: broken JSON, another shape, invalid UTF-8, nesting too deep."""


class Function(Struct, gc=False):
    """The function of a tool call. Some relays send the arguments as an object instead of as its text."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(Struct, gc=False):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Part(Struct, gc=False):
    """A piece of mixed content, of which only the text is of use."""

    text: str | None = None


class Message(Struct, gc=False):
    """A message, or a piece of one."""

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(Struct, gc=False):
    """An answer: `message` at once, `delta` in a stream."""

    index: int | None = None
    message: Message | None = None
    delta: Message | None = None
    finish_reason: str | None = None


class PromptDetails(Struct, gc=False):
    """What the input consisted of."""

    cached_tokens: int | None = None


class CompletionDetails(Struct, gc=False):
    """What the output consisted of."""

    reasoning_tokens: int | None = None


class Usage(Struct, gc=False):
    """The bill. Reasoning is counted inside `completion_tokens`, cached input inside `prompt_tokens`."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Envelope(Struct, gc=False):
    """A whole answer or an event of a stream.

    Attributes:
        error: Set if this is no answer but an error in OpenAI's form, whatever the HTTP status said.
        code: Set without `choices` if this is an error in the provider's own form.
    """

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Raw = Raw(b"null")
    error: Any = None
    code: Any = None

    @property
    def is_error(self) -> bool:
        """The provider reports a failure."""
        return bool(self.error) or (bool(self.code) and not self.choices)


ENVELOPE: Decoder[Envelope] = Decoder(Envelope)
USAGE: Decoder[Usage | None] = Decoder(Usage | None)


def text(content: str | list[Part] | None) -> str:
    """The text of a message's content, whichever form it has."""
    if isinstance(content, str):
        return content
    return "".join([part.text or "" for part in content or ()])
