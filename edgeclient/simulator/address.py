"""From a path (and host) to the operation that is meant and the way the call takes.

Three roots: the OpenAI-compatible one, its short form, and the batch chat one; beside them the native quota paths.
"""

from dataclasses import dataclass
from typing import Final

from . import batch_chat
from .exchange import Request
from .origin import BATCH_CHAT, LIVE, MANAGEMENT, Origin
from .rates.quotas import PATHS as QUOTA_PATHS

ROOTS: Final = ("/compatible-mode/v1/", "/v1/")
CHAT: Final = "chat/completions"
_COMPUTES: Final = frozenset({CHAT, "embeddings"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a request goes; an operation that is empty does not exist."""

    operation: str
    origin: Origin


def address_of(request: Request) -> Address:
    """Read path and host."""
    path = request.path
    if path in QUOTA_PATHS:
        return Address(operation="quotas", origin=MANAGEMENT)
    if path.startswith(f"{batch_chat.ROOT}/"):
        return _batch_chat(path[len(batch_chat.ROOT) + 1 :])
    operation = next((path[len(root) :] for root in ROOTS if path.startswith(root)), "")
    host = request.headers.get(":authority") or request.headers.get("host", "")
    if host.startswith(batch_chat.HOST_BEGIN):
        return _batch_chat(operation)
    return Address(operation=operation, origin=LIVE if operation in _COMPUTES else MANAGEMENT)


def _batch_chat(operation: str) -> Address:
    """Nothing but chats is served there."""
    return Address(operation=operation if operation == CHAT else "", origin=BATCH_CHAT)
