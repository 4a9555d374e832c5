"""The last door before a log line leaves: whatever looks like a credential is blotted out.

No event holds a key, so this should never find anything; it is for the text of a foreign exception or library that does
what it should not. It knows the two shapes that keys of this road have: `sk-…`, and what follows `Bearer`.
"""

import re
from typing import Any

_CREDENTIAL = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9._-]{6,}|(?i:(?<=bearer ))[^\s\"',;]+")
BLOT = "[redacted]"


def redact(text: str) -> str:
    """The text without credentials."""
    return _CREDENTIAL.sub(BLOT, text)


def redact_value(value: Any) -> Any:
    """The same for a field of a log line; what is neither text nor a number nor None becomes text first."""
    if value is None or isinstance(value, int | float):
        return value
    return redact(value if isinstance(value, str) else str(value))
