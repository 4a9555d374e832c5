"""The file of prepared answers and templates, and all that is wrong with one, each with its line.

```toml
[[pinned]]
questions = ["Who are you?", "你是谁"]
answer = "I am the node of hall 7."

[templates.diagnose]
model = "qwen-flash"
system = "You know the machines of hall 7."
prompt = "Sensor {sensor} reads {value} {unit}. What is wrong?"
max_tokens = 200
temperature = 0
variables = { unit = "°C" }
```

A template is a ChatRequest in the words of the contract, without what belongs to a single call; `variables` are the
defaults of its places.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from re import fullmatch
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from edgeclient.config.document import Document, read_document
from edgeclient.config.kind import misfit
from edgeclient.config.setting import SettingError
from edgeclient.core.models import Catalogue, UnknownModelError
from edgeclient.policy.pinned import Pinned, PinnedAnswers
from edgeclient.policy.prepared import Prepared
from edgeclient.policy.template import PLACE_NAME, Template
from edgeclient.v1 import chat_pb2

_TABLES = ("pinned", "templates")
_LISTS = ("questions", "models", "callers")
_PINNED = (*_LISTS, "answer")
_NAME = r"[A-Za-z0-9_.:-]{1,64}"
_OF_A_CALL = frozenset({"idempotency_key", "label", "conversation_id", "timeout", "stream_flush_interval", "template"})
_FIELDS = tuple(
    spec.name for spec in chat_pb2.ChatRequest.DESCRIPTOR.fields if spec.name not in {*_OF_A_CALL, "variables"}
)
_SHORT = {
    "role": "ROLE_",
    "type": "RESPONSE_FORMAT_TYPE_",
    "thinking": "THINKING_MODE_",
    "priority": "PRIORITY_",
    "cache_policy": "CACHE_POLICY_",
    "offline_policy": "OFFLINE_POLICY_",
}
"""Enumerations that may be written without their prefix: `role = "system"`."""


def read_prepared(path: Path, catalogue: Catalogue) -> Prepared:
    """Read the file.

    Args:
        path: The file.
        catalogue: The models that it may name.

    Raises:
        SettingError: With all that is wrong.
    """
    try:
        document = read_document(path)
    except FileNotFoundError:
        raise SettingError([f"{path}: cannot be read: there is no such file"]) from None
    reader = _Reader(document=document, catalogue=catalogue)
    prepared = Prepared(pinned=PinnedAnswers(reader.pinned()), templates=dict(reader.templates()))
    reader.check_tables()
    if reader.problems:
        raise SettingError(reader.problems)
    return prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    document: Document
    catalogue: Catalogue
    problems: list[str] = field(default_factory=list)

    def check_tables(self) -> None:
        for name in self.document.table:
            if name not in _TABLES:
                self._unknown(name, _TABLES, name)

    def pinned(self) -> Iterator[Pinned]:
        rows = self.document.table.get("pinned", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            self._add("wants rows, each below a line [[pinned]]", "pinned")
            return
        for index, row in enumerate(rows):
            before = len(self.problems)
            for name in sorted(row.keys() - set(_PINNED)):
                self._unknown(name, _PINNED, "pinned", index, name)
            questions, models, callers = (self._texts(row, name, "pinned", index) for name in _LISTS)
            answer = row.get("answer", "")
            if not isinstance(answer, str) or not answer.strip():
                self._add("wants a text in answer", "pinned", index, "answer")
            if questions is not None and not all(question.strip() for question in questions or [""]):
                self._add("wants at least one text in questions, none of them empty", "pinned", index, "questions")
            ids = frozenset(self._models(models or [], "pinned", index, "models"))
            if len(self.problems) == before:
                yield Pinned(
                    questions=tuple(questions or ()), answer=answer, models=ids, callers=frozenset(callers or ())
                )

    def templates(self) -> Iterator[tuple[str, Template]]:
        tables = self.document.table.get("templates", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            self._add("wants tables, each below a line such as [templates.diagnose]", "templates")
            return
        for name, table in tables.items():
            template = self._template(name, table)
            if template is not None:
                yield name, template

    def _template(self, name: str, table: Mapping[str, Any]) -> Template | None:
        before = len(self.problems)
        if not fullmatch(_NAME, name):
            self._add("wants a name of 1 to 64 characters of [A-Za-z0-9_.:-]", "templates", name)
        defaults = self._defaults(name, table.get("variables", {}))
        content = {key: value for key, value in table.items() if key != "variables"}
        for key in content:
            if key in _OF_A_CALL:
                self._add("belongs to a single call; leave it out", "templates", name, key)
            elif key not in _FIELDS:
                self._unknown(key, (*_FIELDS, "variables"), "templates", name, key)
        if content.keys() <= set(_FIELDS) and not any(content.get(key) for key in ("system", "messages", "prompt")):
            self._add("has no text; give it a prompt, a system or messages", "templates", name)
        if "model" in content and isinstance(content["model"], str):
            self._models([content["model"]], "templates", name, "model")
        if len(self.problems) > before:
            return None
        try:
            request = ParseDict(_spelled_out(content), chat_pb2.ChatRequest())
        except ParseError as error:
            self._add(_first_line(error), "templates", name)
            return None
        template = Template(name=name, request=request, defaults=defaults)
        for unused in sorted(defaults.keys() - template.places):
            self._add(f"no text has the place {{{unused}}}", "templates", name, "variables", unused)
        return template

    def _defaults(self, name: str, defaults: Any) -> dict[str, str]:
        if misfit({}, defaults):
            self._add("wants a table of texts, the defaults of places", "templates", name, "variables")
            return {}
        for key in defaults:
            if not fullmatch(PLACE_NAME, key):
                self._add("is no name of a place; write letters, digits and _", "templates", name, "variables", key)
        return dict(defaults)

    def _texts(self, row: Mapping[str, Any], name: str, *path: str | int) -> list[str] | None:
        value = row.get(name, [])
        if wrong := misfit([], value):
            self._add(f"{name} {wrong}", *path, name)
            return None
        return list(value)

    def _models(self, names: list[str], *path: str | int) -> Iterator[str]:
        ids = []
        for name in names:
            try:
                ids.append(self.catalogue.resolve(name).id)
            except UnknownModelError as error:
                near = f"; did you mean {' or '.join(error.nearest)}" if error.nearest else ""
                self._add(f"there is no model {name!r}{near}", *path)
        return iter(ids)

    def _unknown(self, name: str, known: tuple[str, ...], *path: str | int) -> None:
        near = get_close_matches(name, known, n=1)
        self._add(f"there is no {name}{f'; did you mean {near[0]}' if near else ''}", *path)

    def _add(self, sentence: str, *path: str | int) -> None:
        inside = (line for key, line in self.document.lines.items() if key[: len(path)] == path)
        line = self.document.origin(*path).line or min(inside, default=0)
        place = f"{self.document.path}:{line}" if line else str(self.document.path)
        self.problems.append(f"{place}: {_dotted(path)}: {sentence}")


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _spelled_out(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelled_out(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"{_SHORT[key]}{item.upper()}"
        if key in _SHORT and isinstance(item, str) and not item.startswith(_SHORT[key])
        else _spelled_out(item)
        for key, item in value.items()
    }


def _first_line(error: Exception) -> str:
    """What the library says, without the list of everything that would be right."""
    return str(error).partition("\n")[0].rstrip(".")
