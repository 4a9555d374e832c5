"""The conversation: what a message of each role holds, and in which order messages stand.

Strict where the contract or the provider is: roles, tool chains, no message without content. Permissive where the
provider is not known to refuse: a system message may stand anywhere, several messages of one role may follow each
other, and the last message may be the assistant's. An assistant message may be empty, because the contract promises
that an answer can be put back as it is, and a model that is cut off while it reasons answers nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from edgeclient.core.models import ModelSpec
from edgeclient.stages.validate.findings import Findings
from edgeclient.stages.validate.media import check_parts
from edgeclient.stages.validate.rules import Rules
from edgeclient.stages.validate.tool_chain import ToolChain
from edgeclient.v1 import chat_pb2
from edgeclient.v1.chat_pb2 import ROLE_ASSISTANT, ROLE_SYSTEM, ROLE_TOOL, ROLE_UNSPECIFIED, ROLE_USER

_ANY_ROLE = frozenset({"role", "content", "name"})
_HOLDS: Mapping[int, frozenset[str]] = {
    ROLE_UNSPECIFIED: _ANY_ROLE | {"parts"},
    ROLE_USER: _ANY_ROLE | {"parts"},
    ROLE_ASSISTANT: _ANY_ROLE | {"tool_calls", "reasoning_content"},
    ROLE_SYSTEM: _ANY_ROLE,
    ROLE_TOOL: _ANY_ROLE | {"tool_call_id"},
}
_PLAIN_ROLES = frozenset({ROLE_UNSPECIFIED, ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM})
_BELONGS_TO = {
    "parts": "ROLE_USER",
    "tool_calls": "ROLE_ASSISTANT",
    "reasoning_content": "ROLE_ASSISTANT",
    "tool_call_id": "ROLE_TOOL",
}


def check_messages(
    messages: Sequence[chat_pb2.Message], *, prompt: bool, rules: Rules, model: ModelSpec | None, found: Findings
) -> None:
    """Look at the conversation.

    Args:
        messages: The messages.
        prompt: Another message of the user follows.
        rules: The table.
        model: The model that is asked; None if it is not known.
        found: Takes what is wrong.
    """
    if all(map(_is_plain, islice(messages, rules.most_messages))):
        return
    chain = ToolChain(rules, found)
    for index, message in enumerate(islice(messages, rules.most_messages)):
        if not chain.waiting and _is_plain(message):
            continue
        path = f"messages[{index}]"
        present = found.look(message, rules.message, f"{path}.")
        role = present.get("role", ROLE_USER)
        if role == ROLE_TOOL:
            chain.answer(message.tool_call_id, path)
        elif chain.waiting:
            chain.close(path)
        _check_fields(present, role, path, found)
        if "tool_calls" in present and role == ROLE_ASSISTANT:
            chain.ask(message.tool_calls, path)
        if "parts" in present:
            check_parts(message.parts, path, model, found)
    if len(messages) <= rules.most_messages:
        chain.close("prompt" if prompt else "")


def _is_plain(message: chat_pb2.Message) -> bool:
    """It has a text, perhaps a role, and nothing else: such a message keeps every rule, and nearly all are such."""
    role = message.role
    if not message.content or role not in _PLAIN_ROLES:
        return False
    return len(message.ListFields()) == (2 if role else 1)


def _check_fields(present: Mapping[str, object], role: int, path: str, found: Findings) -> None:
    """A message has what its role has, and a content."""
    holds = _HOLDS.get(role)
    if holds is None:  # no role at all, which the table has said
        return
    for field in present:
        if field not in holds:
            name = chat_pb2.Role.DESCRIPTOR.values_by_number[role or ROLE_USER].name
            found.add(f"{path}.{field}", f"belongs to {_BELONGS_TO[field]}, and this message has {name}; leave it out")
    if "content" in present:
        if "parts" in present and "parts" in holds:
            found.add(f"{path}.parts", "stands beside content; put the text into a part and leave content empty")
    elif "parts" not in present and role != ROLE_ASSISTANT:
        example = "write what the function returned, for instance {}" if role == ROLE_TOOL else "write a text"
        found.add(f"{path}.content", f"is empty; {example}")
