"""What is answered to a chat request, decided before the first byte is sent: reasoning, text or tool calls, tokens.

Pure and repeatable: the seed of the simulator, the model and the texts of the conversation decide everything, so the
same question asked with and without stream gives the same answer. A simulator that samples gives each call a variant of
its own, unless the request asks for the same answer each time (`is_repeatable`). Texts are kept as lists of tokens,
which is what streams are cut by and what is billed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import msgspec

from .chat_request import ChatRequest, ToolChoice, ToolSpec
from .models import Model
from .synthesis import synthesise
from .text_model import answer_text, is_chinese, result_text, thought_text
from .tokens import count_prompt, split_tokens
from .validation import thinks

PARALLEL_CALLS_MAX: Final = 2
TOKENS_PER_CALL: Final = 8  # name and frame of a tool call, beside its arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call of the answer."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One alternative answer."""

    reasoning: list[str]
    content: list[str]
    calls: list[Call]
    finish_reason: str

    @property
    def reasoning_tokens(self) -> int:
        """Billed as output like the rest."""
        return len(self.reasoning)

    @property
    def tokens(self) -> int:
        """All that is billed as output."""
        calls = sum(TOKENS_PER_CALL + len(split_tokens(call.arguments)) for call in self.calls)
        return len(self.reasoning) + len(self.content) + calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The whole answer."""

    prompt_tokens: int
    choices: list[Choice]

    @property
    def completion_tokens(self) -> int:
        """Output of all choices."""
        return sum(choice.tokens for choice in self.choices)

    @property
    def reasoning_tokens(self) -> int:
        """The part of it that is reasoning."""
        return sum(choice.reasoning_tokens for choice in self.choices)


def prompt_tokens_of(chat: ChatRequest) -> int:
    """Tokens of messages and tool definitions."""
    tools = msgspec.json.encode(chat.tools).decode() if chat.tools else ""
    texts: list[str] = [message.text for message in chat.messages]
    return count_prompt([*texts, tools] if tools else texts)


def prompt_pieces(chat: ChatRequest) -> list[str]:
    """The tokens of the prompt in the order in which a model reads them: tools, then the messages with their roles."""
    pieces = split_tokens(msgspec.json.encode(chat.tools).decode()) if chat.tools else []
    for message in chat.messages:
        pieces += [f"<{message.role}>", *split_tokens(message.text)]
    return pieces


def is_repeatable(chat: ChatRequest) -> bool:
    """Is the same answer to be given each time: at temperature 0 and under a seed."""
    return chat.temperature == 0 or chat.seed is not None


def complete(chat: ChatRequest, model: Model, *, seed: int, prompt_tokens: int, variant: int = 0) -> Completion:
    """Decide the answer."""
    key = f"{seed}/{chat.seed}/{model.name}/" + "\x00".join(message.text for message in chat.messages)
    key += f"/variant {variant}" if variant else ""
    choices = [_choice(chat, model, Random(f"{key}/{index}")) for index in range(chat.n or 1)]  # noqa: S311 - no secret
    return Completion(prompt_tokens=prompt_tokens, choices=choices)


def _choice(chat: ChatRequest, model: Model, random: Random) -> Choice:
    reasoning: list[str] = []
    if thinks(chat, model):
        reasoning = split_tokens(thought_text(random, chat.question))
        if chat.thinking_budget is not None:
            reasoning = reasoning[: chat.thinking_budget]
    whole = chat.max_completion_tokens
    if whole is not None and len(reasoning) >= whole:
        return Choice(reasoning=reasoning[:whole], content=[], calls=[], finish_reason="length")
    if calls := list(_calls(chat, random)):
        return Choice(reasoning=reasoning, content=[], calls=calls, finish_reason="tool_calls")
    text = _until_stop(_text(chat, model, random), chat.stops)
    content = split_tokens(text)
    limits = [chat.max_tokens, None if whole is None else whole - len(reasoning)]
    limit = min((each for each in limits if each is not None), default=len(content))
    reason = "length" if limit < len(content) else "stop"
    return Choice(reasoning=reasoning, content=content[:limit], calls=[], finish_reason=reason)


def _until_stop(text: str, stops: list[str]) -> str:
    """The text before the first stop string; the string itself is not part of the answer."""
    ends = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return text[: min(ends)] if ends else text


def _text(chat: ChatRequest, model: Model, random: Random) -> str:
    wanted = chat.response_format
    if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is not None:
        value = synthesise(wanted.json_schema.schema or {}, chat.question)
        return msgspec.json.encode(value).decode()
    if wanted is not None and wanted.type == "json_object" and not model.echo:
        language = "zh" if is_chinese(chat.question) else "en"
        return msgspec.json.encode({"answer": answer_text(random, chat.question), "language": language}).decode()
    if results := _tool_results(chat):
        return result_text(chat.question, results)
    return chat.question if model.echo else answer_text(random, chat.question)


def _tool_results(chat: ChatRequest) -> list[str]:
    """The tool messages that stand after the last question."""
    results: list[str] = []
    for message in reversed(chat.messages):
        if message.role != "tool":
            break
        results.append(message.text)
    return results[::-1]


def _calls(chat: ChatRequest, random: Random) -> Iterator[Call]:
    """The tool calls that answer a question; none after a tool has answered."""
    if not chat.tools or chat.tool_choice == "none" or chat.messages[-1].role != "user":
        return
    for tool in _chosen(chat, chat.tools):
        arguments = synthesise(tool.function.parameters or {"type": "object"}, chat.question)
        yield Call(
            id=f"call_{random.getrandbits(96):024x}",
            name=tool.function.name,
            arguments=msgspec.json.encode(arguments).decode(),
        )


def _chosen(chat: ChatRequest, tools: list[ToolSpec]) -> list[ToolSpec]:
    """The tool that is forced, otherwise those whose name or description the question touches, otherwise the first."""
    if isinstance(chat.tool_choice, ToolChoice):
        return [tool for tool in tools if tool.function.name == chat.tool_choice.function.name][:1]
    touched = [tool for tool in tools if _touches(chat.question, tool)] or tools
    return touched[: PARALLEL_CALLS_MAX if chat.parallel_tool_calls else 1]


def _touches(question: str, tool: ToolSpec) -> bool:
    """Does a telling word of the tool stand in the question; for Chinese, two characters in a row."""
    about = f"{tool.function.name} {tool.function.description}".lower().replace("_", " ")
    asked = question.lower()
    if is_chinese(about):
        return any(about[at : at + 2] in asked for at in range(len(about) - 1) if about[at : at + 2].strip())
    return any(word in asked for word in about.split() if len(word) > 3)  # noqa: PLR2004 - skips articles
