"""Texts that have to be JSON: arguments of calls, schemas, further parameters.

They come from models and devices, so size and depth are bounded before anything walks through them. A schema is only
checked for what shows a mistake at a glance; the provider knows the dialect it takes, and a full meta-schema would be a
second opinion that ages.
"""

from typing import Any

import msgspec

MOST_DEPTH = 32
MOST_SCHEMA_CHARACTERS = 65_536
_TOO_DEEP = f"is nested too deeply; at most {MOST_DEPTH} levels are allowed"
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANYTHING = msgspec.json.Decoder(dict[str, Any])
_WRAPPERS = ("schema", "json_schema", "parameters")


class NotAnObjectError(ValueError):
    """The text is no JSON object; says why."""


def arguments_problem(value: str) -> str | None:
    """What is wrong with the arguments of a call.

    Only their form: the provider refuses a conversation with arguments that are no JSON object, even if its own model
    wrote them. Models write nothing for a function without parameters, so an empty text counts as `{}`.
    """
    try:
        _decoded(value, _OBJECT)
        if value.count("{") + value.count("[") > MOST_DEPTH:  # else it cannot be too deep, and need not be walked
            _check_depth(_decoded(value, _ANYTHING))
    except NotAnObjectError as error:
        return str(error)
    return None


def parameters_problem(value: str) -> str | None:
    """What is wrong with the schema of a function's arguments; `{}` is another way to say that it takes none."""
    try:
        schema = bounded_object(value)
    except NotAnObjectError as error:
        return str(error)
    if schema and schema.get("type") != "object":
        return 'has to describe an object; write {"type":"object","properties":{...}}' + _hint(schema)
    return _keyword_problem(schema)


def answer_schema_problem(value: str) -> str | None:
    """What is wrong with the schema of an answer."""
    try:
        schema = bounded_object(value)
    except NotAnObjectError as error:
        return str(error)
    hint = "" if "type" in schema or "properties" in schema else _hint(schema)
    return f"is no JSON Schema{hint}" if hint else _keyword_problem(schema)


def bounded_object(value: str) -> dict[str, Any]:
    """The JSON object in a text that is neither too long nor too deep.

    Raises:
        NotAnObjectError: It is something else.
    """
    if len(value) > MOST_SCHEMA_CHARACTERS:
        raise NotAnObjectError(f"has {len(value)} characters; at most {MOST_SCHEMA_CHARACTERS} are allowed")
    decoded: dict[str, Any] = _decoded(value, _ANYTHING)
    _check_depth(decoded)
    return decoded


def _check_depth(decoded: dict[str, Any]) -> None:
    if _is_deeper_than(decoded, MOST_DEPTH):
        raise NotAnObjectError(_TOO_DEEP)


def _decoded(value: str, decoder: "msgspec.json.Decoder[Any]") -> Any:
    try:
        return decoder.decode(value)
    except RecursionError:
        raise NotAnObjectError(_TOO_DEEP) from None
    except msgspec.DecodeError as error:
        why = str(error).removeprefix("JSON is malformed: ").replace("Input data was truncated", "it breaks off")
        raise NotAnObjectError(f"is no JSON object: {why[:1].lower()}{why[1:]}") from None


def _keyword_problem(schema: dict[str, Any]) -> str | None:
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        return "its properties have to be an object with one schema for each name"
    for each in properties.values():
        if not isinstance(each, dict | bool):
            return "each of its properties has to be a schema, that is an object"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return "required has to be a list of names"
    return None


def _hint(schema: dict[str, Any]) -> str:
    """People paste the whole declaration of another API where the schema alone belongs."""
    for key in _WRAPPERS:
        if isinstance(schema.get(key), dict):
            return f"; the schema seems to be what stands under {key!r}, write that alone"
    return ""


def _is_deeper_than(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
