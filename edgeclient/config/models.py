"""The models of a node: the built-in ones from `models.toml`, changed and extended by the operator's file.

A table whose name is a known model's name, however it is written, takes the place of that model: it keeps the facts
that the table does not mention and is sent upstream as the operator writes it. So `[models."Qwen/Qwen3-8B"]` is all
that another server of the same model needs. Every other table is a new model and starts from the defaults of
`ModelSpec`.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from edgeclient.config.document import Document
from edgeclient.config.kind import kind_of, misfit
from edgeclient.config.layers import unknown
from edgeclient.config.notation import as_key, as_toml
from edgeclient.config.origins import Origin
from edgeclient.core.models import ModelSpec, canonical_name

_LONGEST_NAME_CHARACTERS = 128  # limit of ChatRequest.model
_MODALITIES = ("image", "audio", "video")
_FACTS: Mapping[str, Any] = {spec.name: spec.default for spec in fields(ModelSpec) if spec.name != "id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Models and where they come from.

    Attributes:
        specs: The operator's first, so that their aliases win.
        origins: Origin of every table and fact of the operator, by path.
        problems: What is wrong in the tables.
    """

    specs: tuple[ModelSpec, ...]
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def built_in_models() -> tuple[ModelSpec, ...]:
    """The models that come with the program.

    The file lies beside this module and is read as such: importing importlib.resources alone takes as long as all the
    rest of loading the configuration.
    """
    table = tomllib.loads(Path(__file__).with_name("models.toml").read_text(encoding="utf-8"))
    aliases: dict[str, list[str]] = {}
    for alias, name in table["aliases"].items():
        aliases.setdefault(name, []).append(alias)
    specs = []
    for family in table["family"]:
        facts = {name: _plain(name, value) for name, value in family.items() if name != "models"}
        specs += [ModelSpec(id=name, aliases=tuple(aliases.pop(name, ())), **facts) for name in family["models"]]
    if aliases:
        raise ValueError(f"models.toml has aliases of unknown models: {', '.join(aliases)}")
    return tuple(specs)


def model_path(name: str, *fact: str) -> str:
    """Path of a model's table, or of a fact in it, as it stands in a file."""
    return ".".join(("models", as_key(name), *fact))


def models_of(document: Document) -> Models:
    """The built-in models and those of the file."""
    built_in = {canonical_name(spec.id): spec for spec in built_in_models()}
    tables = document.table.get("models", {})
    if not isinstance(tables, dict):
        problem = f"models: wants tables such as [models.my-model], got {as_toml(tables)} ({document.origin('models')})"
        return Models(specs=tuple(built_in.values()), problems=[problem])
    own: dict[str, ModelSpec] = {}
    result = Models(specs=())
    for name, table in tables.items():
        origin = result.origins[model_path(name)] = document.origin("models", name)
        key = canonical_name(name)
        if not key or len(name) > _LONGEST_NAME_CHARACTERS:
            wants = f"wants a name of 1 to {_LONGEST_NAME_CHARACTERS} characters"
            result.problems.append(f"{model_path(name)}: {wants} ({origin})")
        elif key in own:
            other = model_path(own[key].id)
            result.problems.append(f"{model_path(name)}: is the same name as {other}; keep one of them ({origin})")
        elif not isinstance(table, dict):
            wants = f"wants a table [{model_path(name)}], got {as_toml(table)}"
            result.problems.append(f"{model_path(name)}: {wants} ({origin})")
        else:
            facts = dict(_facts(name, table, document, result))
            own[key] = replace(built_in.pop(key, ModelSpec(id=name)), id=name, **facts)
    return replace(result, specs=(*own.values(), *built_in.values()))


def _facts(name: str, table: Mapping[str, Any], document: Document, result: Models) -> Iterator[tuple[str, Any]]:
    for fact, value in table.items():
        path, origin = model_path(name, fact), document.origin("models", name, fact)
        result.origins[path] = origin
        if fact not in _FACTS:
            result.problems.append(_unknown_fact(name, fact, value, origin))
        elif wrong := _wrong(fact, value):
            result.problems.append(f"{path}: {wrong} ({origin})")
        else:
            yield fact, _plain(fact, value)


def _unknown_fact(name: str, fact: str, value: Any, origin: Origin) -> str:
    if not isinstance(value, dict):
        return unknown(model_path(name, fact), [model_path(name, known) for known in _FACTS], origin)
    dotted = f"{name}.{fact}"
    while len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        dotted, value = f"{dotted}.{next(iter(value))}", inner
    return f"models.{dotted}: a name with a dot needs quotes, write [{model_path(dotted)}] ({origin})"


def _wrong(fact: str, value: Any) -> str:
    default = _FACTS[fact]
    if isinstance(default, Enum):
        choices: Collection[str] = [choice.value for choice in type(default)]
        return "" if value in choices else f"wants one of {', '.join(choices)}, got {as_toml(value)}"
    if isinstance(default, tuple):
        return misfit([], value) or _wrong_names(fact, value)
    return misfit(default, value) or (f"{value} is too small, the least is 0" if value < 0 else "")


def _wrong_names(fact: str, names: list[str]) -> str:
    strangers = [name for name in names if name not in _MODALITIES]
    if fact == "modalities" and strangers:
        return f"{as_toml(strangers[0])} is none of {', '.join(_MODALITIES)}"
    if not all(0 < len(name) <= _LONGEST_NAME_CHARACTERS for name in names):
        return f"wants names of 1 to {_LONGEST_NAME_CHARACTERS} characters"
    return ""


def _plain(fact: str, value: Any) -> Any:
    default = _FACTS[fact]
    if isinstance(default, Enum):
        return type(default)(value)
    return tuple(value) if isinstance(default, tuple) else kind_of(default).plain(value)
