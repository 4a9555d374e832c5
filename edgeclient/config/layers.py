"""The places that set single settings: tables of the file, environment variables, flags.

Each becomes a layer, settings by their path such as `upstream.base_url`; whoever joins the layers needs not know them.
A name that means nothing is an error, not a shrug: a setting with a typing error in its name would otherwise be at its
default without anybody knowing.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, cast

from edgeclient.config.document import Document
from edgeclient.config.kind import from_text, misfit
from edgeclient.config.notation import as_toml
from edgeclient.config.origins import Given, Origin, Source
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.setting import default_of

FILE_VARIABLE = "EDGECLIENT_CONFIG"

_PREFIX = "EDGECLIENT_"
_OF_CLIENTS = frozenset(
    f"{_PREFIX}{name}" for name in ("ADDRESS", "CA_FILE", "CERT_FILE", "KEY_FILE", "TOKEN_FILE", "TIMEOUT")
)
"""What `edgeclient chat` and its like read; on a box where people work, the daemon may see them, too."""
_TABLES = tuple(spec.name for spec in fields(Config))
# Kubernetes hands every pod such variables for each service beside it, and a service may well be called "edgeclient".
_OF_KUBERNETES = re.compile(
    rf"{_PREFIX}(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)"
)
_VALUE_OF_KUBERNETES = re.compile(r"(?:tcp|udp|sctp)://.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one place sets.

    Attributes:
        given: Value by path. Its type is not checked yet if it comes from a file.
        problems: What is wrong in this place.
    """

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def defaults() -> dict[str, Any]:
    """Default of every setting by its path."""
    return {
        f"{section}.{spec.name}": default_of(spec)
        for section, cls in SECTIONS.items()
        for spec in fields(cast("Any", cls))
    }


def variable(path: str) -> str:
    """Name of the environment variable of a setting."""
    return _PREFIX + path.replace(".", "_").upper()


def of_document(document: Document) -> Layer:
    """What the tables of the sections set."""
    layer = Layer()
    known = defaults()
    for table, content in document.table.items():
        origin = document.origin(table)
        if table not in _TABLES:
            layer.problems.append(unknown(table, (*_TABLES, *known), origin, word="section"))
        elif table not in SECTIONS:
            continue
        elif not isinstance(content, dict):
            layer.problems.append(f"{table}: wants a table [{table}], got {as_toml(content)} ({origin})")
        else:
            for name, value in content.items():
                path, origin = f"{table}.{name}", document.origin(table, name)
                if path in known:
                    layer.given[path] = Given(value=value, origin=origin)
                else:
                    layer.problems.append(unknown(path, known, origin))
    return layer


def of_environment(environ: Mapping[str, str]) -> Layer:
    """What `EDGECLIENT_<SECTION>_<NAME>` sets."""
    layer = Layer()
    known = defaults()
    paths = {variable(path): path for path in known}
    for name, text in environ.items():
        if name in paths:
            _read(layer, paths[name], known, text, Origin(source=Source.ENVIRONMENT, name=name))
        elif name.startswith(_PREFIX) and not _is_of_others(name, text):
            near = get_close_matches(name, (*paths, FILE_VARIABLE), n=1)
            layer.problems.append(f"{name} is no variable of edgeclient{_question(near)}")
    return layer


def of_flags(overrides: Mapping[str, str]) -> Layer:
    """What `--set <section>.<name>=<value>` sets."""
    layer = Layer()
    known = defaults()
    for path, text in overrides.items():
        origin = Origin(source=Source.FLAG, name=f"--set {path}")
        table = path.partition(".")[0].partition("[")[0]
        if path in known:
            _read(layer, path, known, text, origin)
        elif table in _TABLES and table not in SECTIONS:
            layer.problems.append(f"{path}: tables like this one can be set in a file only ({origin})")
        else:
            layer.problems.append(unknown(path, known, origin))
    return layer


def unknown(path: str, known: Collection[str], origin: Origin, *, word: str = "setting") -> str:
    """The sentence about a name that means nothing, with the name that may be meant."""
    near = get_close_matches(path, known, n=1, cutoff=0.7) or [
        candidate for candidate in known if candidate.rpartition(".")[2] == path.rpartition(".")[2]
    ]
    return f"{path} is not a {word}{_question(near)} ({origin})"


def _read(layer: Layer, path: str, known: Mapping[str, Any], text: str, origin: Origin) -> None:
    try:
        value = from_text(known[path], text)
    except ValueError as error:
        layer.problems.append(f"{path}: {error} ({origin})")
        return
    if wrong := misfit(known[path], value):  # "nan" can be read as a number, and is none
        layer.problems.append(f"{path}: {wrong} ({origin})")
        return
    layer.given[path] = Given(value=value, origin=origin)


def _is_of_others(name: str, text: str) -> bool:
    if name == FILE_VARIABLE or name in _OF_CLIENTS or _OF_KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_VALUE_OF_KUBERNETES.fullmatch(text))


def _question(near: list[str]) -> str:
    return f"; did you mean {' or '.join(near)}" if near else ""
