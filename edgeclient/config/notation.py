"""How a value is written in TOML; what is written here is read back as the same value.

Python reads TOML but does not write it. Kept free of `json` and its like, because this is imported at every start.
"""

import re
from collections.abc import Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(32), 127)} | {ord('"'): '\\"', ord("\\"): "\\\\"}
_GROUP_FROM = 10_000  # shorter numbers are easier to read without separators


def as_toml(value: Any) -> str:
    """A value as it stands in a TOML file."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= _GROUP_FROM:
            return f"{value:_}"
        case str():
            return f'"{value.translate(_ESCAPES)}"'
        case list() | tuple():
            return f"[{', '.join(map(as_toml, value))}]"
        case Mapping():
            pairs = ", ".join(f"{as_key(key)} = {as_toml(item)}" for key, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            return str(value)


def as_key(key: str) -> str:
    """A key as it stands in a TOML file; the dot of `qwen3.8-max` needs quotes."""
    return key if _BARE_KEY.fullmatch(key) else as_toml(key)
