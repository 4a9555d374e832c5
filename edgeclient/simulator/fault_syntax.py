"""How fault rules are written: in a file (TOML or JSON), as a flag, or as JSON over the admin API.

A flag is the kind and then fields: `limit_requests,every=5,retry_after=2`. Every error names the place and the field.
"""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from .faults import Fault


class FaultSyntaxError(ValueError):
    """A rule that cannot be read; the message says where and why."""


def fault_of(value: object, *, where: str) -> Fault:
    """One rule from decoded TOML or JSON."""
    try:
        return msgspec.convert(value, Fault)
    except msgspec.ValidationError as error:
        raise FaultSyntaxError(f"{where}: {error}") from None


def faults_of(value: object, *, where: str) -> list[Fault]:
    """One rule, a list of rules, or a table with the list under `faults` or `fault`."""
    if isinstance(value, dict) and "kind" not in value:
        unknown = set(value) - {"faults", "fault"}
        if unknown or not value:
            raise FaultSyntaxError(f"{where}: expected a list of rules named `faults`, found {sorted(value)}")
        value = value.get("faults", value.get("fault"))
    rules: list[Any] = value if isinstance(value, list) else [value]
    return [fault_of(rule, where=f"{where}: rule {number}") for number, rule in enumerate(rules, 1)]


def faults_of_json(data: bytes, *, where: str) -> list[Fault]:
    """Rules from JSON text."""
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise FaultSyntaxError(f"{where}: not JSON: {error}") from None
    return faults_of(value, where=where)


def faults_of_file(path: Path) -> list[Fault]:
    """Rules from a file; `.toml` is TOML, anything else JSON."""
    data = path.read_bytes()
    if path.suffix != ".toml":
        return faults_of_json(data, where=str(path))
    try:
        return faults_of(tomllib.loads(data.decode()), where=str(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FaultSyntaxError(f"{path}: not TOML: {error}") from None


def fault_of_flag(text: str) -> Fault:
    """A rule from `kind,field=value,...`."""
    kind, *fields = (part.strip() for part in text.split(","))
    rule: dict[str, object] = {"kind": kind}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise FaultSyntaxError(f"fault {text!r}: {field!r} is not of the form field=value")
        rule[name.strip()] = value.strip()
    try:
        return msgspec.convert(rule, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise FaultSyntaxError(f"fault {text!r}: {error}") from None
