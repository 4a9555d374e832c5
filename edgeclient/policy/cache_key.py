"""What makes two requests the same: everything that shapes the answer, in one form, and nothing that does not.

A field that is left out of a key is a wrong answer one day (seen in other gateways: max_tokens, tool_choice), so the
key is the whole request but for the named fields of delivery; a field that is added to the contract is in it without a
line here. Made alike is only what the contract or the catalogue calls alike: the names of a model, the short forms
`prompt` and `system`, a role that is not set, and what the model does where the request leaves it open.
"""

import hashlib

from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.core.spool import DELIVERY
from edgeclient.core.thinking import thinks
from edgeclient.v1 import chat_pb2

_EFFORTS = (chat_pb2.THINKING_MODE_LOW, chat_pb2.THINKING_MODE_MEDIUM, chat_pb2.THINKING_MODE_HIGH)


def content_key(request: chat_pb2.ChatRequest, model: ModelSpec, *, realm: bytes, partition: str) -> bytes:
    """Hash of a validated request, 32 bytes.

    Args:
        request: The request.
        model: The model that is asked.
        realm: Who answers: the same model name means another model elsewhere.
        partition: Caller that the answer is private to; "" if it is not.
    """
    content = _canonical(request, model).SerializeToString(deterministic=True)
    digest = hashlib.sha256()
    for part in (realm, partition.encode(), content):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()


def _canonical(request: chat_pb2.ChatRequest, model: ModelSpec) -> chat_pb2.ChatRequest:
    plain = chat_pb2.ChatRequest()
    plain.CopyFrom(request)
    for name in DELIVERY:
        plain.ClearField(name)  # type: ignore[arg-type]  # the stub wants literals
    plain.model = model.id
    _spell_out_messages(plain)
    plain.thinking = _thinking(plain, model)
    if not plain.tools:
        plain.ClearField("tool_choice")
        plain.ClearField("parallel_tool_calls")
    elif not plain.tool_choice.function and plain.tool_choice.mode <= chat_pb2.TOOL_MODE_AUTO:
        plain.ClearField("tool_choice")
    if plain.response_format.type <= chat_pb2.RESPONSE_FORMAT_TYPE_TEXT:
        plain.ClearField("response_format")
    return plain


def _spell_out_messages(plain: chat_pb2.ChatRequest) -> None:
    """The short forms as the messages that they stand for."""
    if plain.system:
        rest = list(plain.messages)
        del plain.messages[:]
        plain.messages.add(role=chat_pb2.ROLE_SYSTEM, content=plain.system)
        plain.messages.extend(rest)
    if plain.prompt:
        plain.messages.add(role=chat_pb2.ROLE_USER, content=plain.prompt)
    plain.ClearField("system")
    plain.ClearField("prompt")
    for message in plain.messages:
        message.role = message.role or chat_pb2.ROLE_USER


def _thinking(plain: chat_pb2.ChatRequest, model: ModelSpec) -> chat_pb2.ThinkingMode.ValueType:
    if not thinks(plain.thinking, model):
        return chat_pb2.THINKING_MODE_OFF
    heard = model.takes_effort and model.thinking is not Thinking.NEVER and not plain.thinking_budget_tokens
    return plain.thinking if plain.thinking in _EFFORTS and heard else chat_pb2.THINKING_MODE_ON
