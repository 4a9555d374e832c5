"""Values that satisfy a JSON schema, made from a question: structured answers and the arguments of tool calls.

Covered: type (also as a list), properties, items, minItems, enum, const, default, minimum and maximum (also exclusive),
multipleOf for integers, minLength and maxLength, the usual formats, $ref into the same document, anyOf and oneOf (the
first), allOf (merged). Every property is given, required or not. Left out: pattern, not, if/then. Depth is limited: a
schema that refers to itself ends in null.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_DEPTH_MAX: Final = 12
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_PLACE: Final = re.compile(
    r"(?:\b(?:in|at|for|to|from|near)\s+([A-Z][\w-]*(?:\s[A-Z][\w-]*)*))"
    r"|(北京|上海|广州|深圳|杭州|成都|武汉|南京|重庆|天津|西安|香港|新加坡|东京)"
)
_FORMATS: Final = {
    "date": "2026-01-31",
    "time": "08:30:00Z",
    "date-time": "2026-01-31T08:30:00Z",
    "email": "service@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
Schema = Mapping[str, Any]


def synthesise(schema: Schema, question: str) -> Any:
    """A value for `schema`; texts and numbers are taken from `question` where they fit."""
    return _value(schema, question, name="", root=schema, depth=0)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follow $ref and combine."""
    for _ in range(_DEPTH_MAX):
        if "$ref" in schema:
            target: Any = root
            for step in filter(None, str(schema["$ref"]).removeprefix("#").split("/")):
                target = target.get(step, {}) if isinstance(target, Mapping) else {}
            schema = target if isinstance(target, Mapping) else {}
        elif schema.get("anyOf") or schema.get("oneOf"):
            schema = (schema.get("anyOf") or schema["oneOf"])[0]
        elif schema.get("allOf"):
            merged: dict[str, Any] = {"properties": {}, "required": []}
            for part in schema["allOf"]:
                part = _resolved(part, root)  # noqa: PLW2901 - the resolved part is the part
                merged["properties"] |= part.get("properties", {})
                merged["required"] += part.get("required", [])
                merged |= {key: value for key, value in part.items() if key not in {"properties", "required"}}
            schema = merged
        else:
            return schema
    return {}


def _value(schema: Schema, question: str, *, name: str, root: Schema, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _choose(schema["enum"], question)
    kind = _type_of(schema) if depth <= _DEPTH_MAX else "null"
    value: Any = None
    if kind == "object":
        fields = schema.get("properties", {})
        value = {key: _value(each, question, name=key, root=root, depth=depth + 1) for key, each in fields.items()}
    elif kind == "array":
        item = schema.get("items", {})
        count = max(int(schema.get("minItems", 1)), 1)
        value = [_value(item, question, name=name, root=root, depth=depth + 1) for _ in range(count)]
    elif kind in {"integer", "number"}:
        value = _number(schema, question, whole=kind == "integer")
    elif kind == "boolean":
        value = schema.get("default", True)
    elif kind == "string":
        value = _text(schema, question, name)
    return value


def _type_of(schema: Schema) -> str:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    return str(kind)


def _choose(options: list[Any], question: str) -> Any:
    """The option that the question names, or the first."""
    asked = question.lower()
    return next((each for each in options if isinstance(each, str) and each.lower() in asked), options[0])


def _number(schema: Schema, question: str, *, whole: bool) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1 if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 0) - 1 if "exclusiveMaximum" in schema else None)
    found = _NUMBER.search(question)
    value: float = float(found.group()) if found else float(schema.get("default", 1))
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    if not whole:
        return value
    step = int(schema.get("multipleOf", 1)) or 1
    return -(-int(value) // step) * step if step > 1 else int(value)


def _text(schema: Schema, question: str, name: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if any(word in name.lower() for word in ("city", "location", "place", "region", "destination", "origin")):
        place = _PLACE.search(question)
        text = (place.group(1) or place.group(2)) if place else str(schema.get("default", "Hangzhou"))
    else:
        text = str(schema.get("default") or question.strip()[-200:] or name)
    text = text.ljust(int(schema.get("minLength", 0)), ".")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text
