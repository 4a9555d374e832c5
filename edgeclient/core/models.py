"""What a model is and can do, and how a name that people write finds its model.

The facts themselves are data (`config/models.toml`, extended by the operator's file); this module gives them a shape
and the one rule for names. An unknown name is refused with the nearest known ones rather than sent upstream: a typing
error must not cost a round trip, and what is not known cannot be validated.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum

_VENDOR = re.compile(r"^(?:qwen|dashscope|alibaba|openai)/")
_SNAPSHOT = re.compile(r"-(?:latest|preview|\d{4}-\d{2}-\d{2}|\d{4})$")
_SEPARATORS = re.compile(r"[\s_\u2010-\u2015]+")  # the last are the hyphens and dashes of word processors
_LONGEST_NAME_CHARACTERS = 128  # limit of ChatRequest.model; a longer name is compared by its beginning


class Thinking(Enum):
    """How a model reasons before it answers."""

    NEVER = "never"
    OFF = "off"
    """Hybrid: can, but does not unless told to."""
    ON = "on"
    """Hybrid: does unless told not to; reasoning is billed as output."""
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that can be asked.

    Attributes:
        id: Name that is sent upstream.
        aliases: Other names that callers may use.
        context_window_tokens: Input and output together. 0: unknown.
        max_output_tokens: Longest answer. 0: unknown.
        max_reasoning_tokens: Longest reasoning. 0: unknown or none.
        thinking: How it reasons.
        thinking_needs_stream: Reasons only when the answer is streamed.
        stream_only: Answers only as a stream.
        limits_reasoning: Knows `max_completion_tokens`, which bounds reasoning and answer together.
        takes_effort: Knows `reasoning_effort`.
        tools: Can call tools.
        json_mode: Can answer in JSON.
        modalities: What a message may hold besides text: "image", "audio", "video".
    """

    id: str
    aliases: tuple[str, ...] = ()
    context_window_tokens: int = 0
    max_output_tokens: int = 0
    max_reasoning_tokens: int = 0
    thinking: Thinking = Thinking.NEVER
    thinking_needs_stream: bool = False
    stream_only: bool = False
    limits_reasoning: bool = False
    takes_effort: bool = False
    tools: bool = True
    json_mode: bool = True
    modalities: tuple[str, ...] = ()


class UnknownModelError(LookupError):
    """No model goes by this name.

    Attributes:
        nearest: Known names that look like it, best first; may be empty.
    """

    def __init__(self, name: str, nearest: tuple[str, ...]) -> None:
        super().__init__(name)
        self.nearest = nearest


class Catalogue:
    """The models of this node and the names they go by; what the operator's names mean may change while it runs.

    Args:
        models: The models; the first use of an id or alias wins, an id over an alias.
        default: Name of the model for requests that name none.
        aliases: Further names, from the operator's configuration; they win over the models' own. Each stands for a
            model, never for another of them, so their order means nothing.

    Raises:
        UnknownModelError: `default` or the target of an alias is not among the models.
    """

    def __init__(self, models: Iterable[ModelSpec], *, default: str, aliases: Mapping[str, str] | None = None) -> None:
        self.models = tuple(models)
        names: dict[str, ModelSpec] = {}
        for spec in self.models:
            names.setdefault(canonical_name(spec.id), spec)
        for spec in self.models:
            for alias in spec.aliases:
                names.setdefault(canonical_name(alias), spec)
        self._own = self._all = _Names(names)
        self.default: ModelSpec
        self.apply(default=default, aliases=aliases or {})

    def apply(self, *, default: str, aliases: Mapping[str, str]) -> bool:
        """From now on these are the default and the operator's names; tells whether a name means something else now.

        Raises:
            UnknownModelError: `default` or the target of an alias is not among the models; nothing has changed.
        """
        targets = {canonical_name(alias): self._find(name, self._own) for alias, name in aliases.items()}
        names = _Names({**self._own.names, **targets})
        before = (self._all.names, getattr(self, "default", None))
        self._all, self.default = names, self._find(default, names)
        return before != (self._all.names, self.default)

    def resolve(self, name: str) -> ModelSpec:
        """The model that goes by `name`, however people write it; the default if the name is empty.

        Case, spaces, underscores, hyphens and a vendor prefix do not matter. A dated, `-latest` or `-preview` snapshot
        of a known model has that model's abilities and keeps its own id, because the provider serves and limits it
        separately.

        Raises:
            UnknownModelError: There is none.
        """
        if not name:
            return self.default
        names = self._all
        return names.names.get(name) or self._find(name, names)  # most programs write the name as it is

    def _find(self, name: str, names: "_Names") -> ModelSpec:
        wanted = canonical_name(name)
        found = names.find(wanted) or self._snapshot(wanted)
        if found is None:
            nearest = get_close_matches(wanted[:_LONGEST_NAME_CHARACTERS], names.names, n=3, cutoff=0.6)
            raise UnknownModelError(name, tuple(nearest))
        return found

    def _snapshot(self, wanted: str) -> ModelSpec | None:
        """A snapshot of a model by its own name: an operator's alias stands for one exact model, which has none."""
        suffix = _SNAPSHOT.search(wanted)
        spec = self._own.find(wanted[: suffix.start()]) if suffix else None
        return replace(spec, id=spec.id + suffix[0], aliases=()) if suffix and spec else None


class _Names:
    """Models by canonical name; where that leaves no doubt, the hyphens may be anywhere or nowhere."""

    __slots__ = ("_by_letters", "names")

    def __init__(self, names: Mapping[str, ModelSpec]) -> None:
        self.names = names
        by_letters: dict[str, ModelSpec | None] = {}
        for name, spec in names.items():
            first = by_letters.setdefault(_letters(name), spec)
            if first is not spec:
                by_letters[_letters(name)] = None
        self._by_letters = by_letters

    def find(self, wanted: str) -> ModelSpec | None:
        return self.names.get(wanted) or self._by_letters.get(_letters(wanted))


def canonical_name(name: str) -> str:
    """How a model name is compared: lower case, hyphens for separators, no vendor prefix."""
    return _VENDOR.sub("", _SEPARATORS.sub("-", name.strip().lower()))


def _letters(canonical: str) -> str:
    return canonical.replace("-", "")
