"""Templates of requests: texts with places, such as `{sensor}`, and settings that go with them.

No language, on purpose: a place is a name in braces, and what is put there is not looked at again, so that no value can
bring places or anything else of its own. Every other brace stands for itself, because prompts are full of JSON; a name
in two pairs of braces stands for itself in one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edgeclient.core.errors import Violation
from edgeclient.v1 import chat_pb2

PLACE_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_PLACE = re.compile(rf"\{{\{{({PLACE_NAME})\}}\}}|\{{({PLACE_NAME})\}}")
_OURS = ("template", "variables", "system", "messages", "prompt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A prepared request.

    Attributes:
        name: What callers call it.
        request: Its texts and settings.
        defaults: Values for places that a caller may leave out.
        places: Names of all its places.
    """

    name: str
    request: chat_pb2.ChatRequest
    defaults: Mapping[str, str] = field(default_factory=dict)
    places: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Find the places."""
        found = {match[2] for text in _texts(self.request) for match in _PLACE.finditer(text) if match[2]}
        object.__setattr__(self, "places", frozenset(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A request that is written out.

    Attributes:
        request: It names no template any more.
        ahead_count: Messages that stand before the caller's own.
    """

    request: chat_pb2.ChatRequest
    ahead_count: int


def misuse(template: Template, request: chat_pb2.ChatRequest) -> list[Violation]:
    """What is wrong with the variables of a request that names this template."""
    has = f"template {template.name!r} has {_listed(template.places)}"
    problems = [
        Violation(field=f"variables.{name}", description=f"is no place of the template; {has}")
        for name in sorted(request.variables)
        if name not in template.places
    ]
    problems += [
        Violation(field=f"variables.{name}", description=f"is missing; {has}, and this one has no default")
        for name in sorted(template.places - template.defaults.keys())
        if name not in request.variables
    ]
    return problems


def expand(template: Template, request: chat_pb2.ChatRequest) -> Expanded:
    """The request that a request with this template stands for; its variables are right.

    The template's texts come first, in the order system, messages, prompt. What the caller sets besides wins over what
    the template sets, each field as a whole.
    """
    values = {**template.defaults, **request.variables}

    def written(text: str) -> str:
        return _PLACE.sub(lambda match: f"{{{match[1]}}}" if match[1] else values[match[2]], text)

    prepared = template.request
    whole = _settings(prepared, request)
    whole.system = written(prepared.system) or request.system
    if prepared.system and request.system:
        whole.messages.add(role=chat_pb2.ROLE_SYSTEM, content=request.system)
    for message in prepared.messages:
        copy = whole.messages.add()
        copy.CopyFrom(message)
        copy.content = written(copy.content)
        for part in copy.parts:
            if part.WhichOneof("part") == "text":
                part.text = written(part.text)
    if prepared.prompt:
        whole.messages.add(role=chat_pb2.ROLE_USER, content=written(prepared.prompt))
    ahead_count = len(whole.messages)
    whole.messages.extend(request.messages)
    whole.prompt = request.prompt
    return Expanded(request=whole, ahead_count=ahead_count)


def _settings(prepared: chat_pb2.ChatRequest, own: chat_pb2.ChatRequest) -> chat_pb2.ChatRequest:
    """Everything but texts; what the caller sets wins."""
    whole, over = chat_pb2.ChatRequest(), chat_pb2.ChatRequest()
    whole.CopyFrom(prepared)
    over.CopyFrom(own)
    for name in _OURS:
        whole.ClearField(name)  # type: ignore[arg-type]  # the stub wants literals
        over.ClearField(name)  # type: ignore[arg-type]  # as above
    for spec, _ in over.ListFields():
        whole.ClearField(spec.name)  # type: ignore[arg-type]  # as above
    whole.MergeFrom(over)
    return whole


def _texts(request: chat_pb2.ChatRequest) -> Iterator[str]:
    yield request.system
    yield request.prompt
    for message in request.messages:
        yield message.content
        for part in message.parts:
            yield part.text


def _listed(names: frozenset[str]) -> str:
    return f"the places {', '.join(sorted(names))}" if names else "no places"
