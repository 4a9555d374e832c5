"""How fault rules are written: in a file (TOML or JSON), as a flag, or as JSON over the admin API.

A flag is the kind and then fields: `limit_requests,every=5,retry_after=2`. Every error names the place and the field.
"""

import tomllib
from pathlib import Path
from typing import Final

from .faults import Fault
from .rule_syntax import RuleSyntaxError, row_of_flag, rows_of, rows_of_json

_NAMES: Final = ("faults", "fault")


def faults_of_json(data: bytes, *, where: str) -> list[Fault]:
    """Rules from JSON text: one, a list, or a table with the list under `faults` or `fault`."""
    return rows_of_json(data, Fault, first="kind", names=_NAMES, where=where)


def faults_of_file(path: Path) -> list[Fault]:
    """Rules from a file; `.toml` is TOML, anything else JSON."""
    data = path.read_bytes()
    if path.suffix != ".toml":
        return faults_of_json(data, where=str(path))
    try:
        value = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RuleSyntaxError(f"{path}: not TOML: {error}") from None
    return rows_of(value, Fault, first="kind", names=_NAMES, where=str(path))


def fault_of_flag(text: str) -> Fault:
    """A rule from `kind,field=value,...`."""
    return row_of_flag(text, Fault, first="kind", what="fault")
