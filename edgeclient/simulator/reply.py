"""A successful answer in one piece, decided and not yet sent.

Handlers that need no waiting return one, or the error that refuses, so faults on the way back are one place's work.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Body and bill."""

    body: bytes
    content_type: bytes = b"application/json"
    prompt_tokens: int = 0
    tokens: int = 0


def json_reply(value: Any) -> Reply:
    """A free answer."""
    return Reply(body=_encode(value))
