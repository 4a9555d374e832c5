"""What a person sees of a loaded configuration: every value and where it comes from.

The text is a TOML file that loads to the same configuration, so that it can be sent to somebody and tried elsewhere.
It holds no secret, because the configuration holds none: of the API key it says where it was found, never what it is.
Built-in models that nobody changed are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from enum import Enum
from typing import Any, cast

from edgeclient.config.load import Loaded
from edgeclient.config.models import model_path
from edgeclient.config.notation import as_key, as_toml
from edgeclient.config.origins import Origin, Source
from edgeclient.config.row_schema import ROWS
from edgeclient.config.schema import SECTIONS
from edgeclient.core.models import ModelSpec

_WIDEST_COLUMN = 60  # a longer value pushes its remark to the right instead of pushing all others


def as_text(loaded: Loaded, *, api_keys: Mapping[str, str | None]) -> str:
    """The configuration as annotated TOML.

    Args:
        loaded: The configuration and where it comes from.
        api_keys: For each target the place where its API key was found; "" if it was not, None if it wants none.
    """
    of = {name: f" of {name}" if loaded.config.targets else "" for name in api_keys}
    keys = [f"# api key{of[name]}: {_found(place)}" for name, place in api_keys.items()]
    blocks = [[f"# file: {loaded.file or 'none'}", *keys]]
    for section in SECTIONS:
        settings = _values(getattr(loaded.config, section))
        rows = [(name, value, loaded.origins[f"{section}.{name}"]) for name, value in settings]
        blocks.append([f"[{section}]", *_aligned(rows)])
    for spec in _own_models(loaded):
        path = model_path(spec.id)
        facts = [(name, value) for name, value in _values(spec) if name != "id"]
        rows = [(name, value, loaded.origins.get(f"{path}.{name}", Origin())) for name, value in facts]
        blocks.append([f"[{path}]  # {loaded.origins[path]}", *_aligned(rows)])
    for table in ROWS:
        for index, row in enumerate(getattr(loaded.config, table)):
            path = f"{table}[{index}]"
            rows = [(name, value, loaded.origins.get(f"{path}.{name}", Origin())) for name, value in _values(row)]
            blocks.append([f"[[{table}]]  # {loaded.origins[path]}", *_aligned(rows)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def as_data(loaded: Loaded, *, api_keys: Mapping[str, str | None]) -> dict[str, Any]:
    """The same for programs: plain values only, fit for JSON. All models are listed."""
    own = {spec.id for spec in _own_models(loaded)}
    return {
        "file": str(loaded.file) if loaded.file else None,
        "api_keys": {
            name: {"wanted": place is not None, "found": bool(place), "source": place or None}
            for name, place in api_keys.items()
        },
        "settings": {
            section: {
                name: _annotated(value, loaded.origins[f"{section}.{name}"])
                for name, value in _values(getattr(loaded.config, section))
            }
            for section in SECTIONS
        },
        "models": [dict(_values(spec)) | {"built_in": spec.id not in own} for spec in loaded.config.models],
    } | {table: [asdict(row) for row in getattr(loaded.config, table)] for table in ROWS}


def _found(place: str | None) -> str:
    if place is None:
        return "none is wanted"
    return f"found in {place}" if place else "missing"


def _annotated(value: Any, origin: Origin) -> dict[str, Any]:
    return {
        "value": value,
        "source": origin.source.value,
        "origin": str(origin),
        "is_default": origin.source is Source.DEFAULT,
    }


def _own_models(loaded: Loaded) -> list[ModelSpec]:
    return [spec for spec in loaded.config.models if model_path(spec.id) in loaded.origins]


def _values(part: Any) -> Iterator[tuple[str, Any]]:
    for spec in fields(cast("Any", part)):
        value = getattr(part, spec.name)
        if isinstance(value, tuple):
            value = list(value)
        yield spec.name, value.value if isinstance(value, Enum) else value


def _aligned(rows: list[tuple[str, Any, Origin]]) -> Iterator[str]:
    """The rows; what somebody set says where, and what nobody set says `default`."""
    name_width = max(len(as_key(name)) for name, _, _ in rows)
    texts = [as_toml(value) for _, value, _ in rows]
    text_width = max((len(text) for text in texts if len(text) <= _WIDEST_COLUMN), default=0)
    for (name, _, origin), text in zip(rows, texts, strict=True):
        yield f"{as_key(name):{name_width}} = {text:{text_width}}  # {origin}"
