"""THE table: what each field of a request may hold, whatever the other fields say.

The numbers are the contract of `protos/edgeclient/v1/chat.proto` and the ranges that Qwen documents (temperature below
2, top_p above 0, a seed of 31 bits). Three bounds are ours, because nothing may be without one: parts and calls of one
message, and the interval in which pieces of a stream are merged. Rules about more than one field are code:
`messages.py`, `tools.py`, `media.py`; rules about the model are `model_rules.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeclient.config.schema import ChatConfig
from edgeclient.stages.validate.checks import choice, count, number, span, text
from edgeclient.stages.validate.findings import Check, shown
from edgeclient.stages.validate.json_text import answer_schema_problem, arguments_problem, parameters_problem
from edgeclient.v1 import chat_pb2

MOST_MODEL_NAME = 128
MOST_STOP = 8
MOST_TOOLS = 64
MOST_PARTS = 256
MOST_CALLS = 128
MOST_VARIABLES = 32
MOST_VALUE = 4096
_MOST_INT32 = 2**31 - 1
_KEY = text(most=64, pattern=r"[A-Za-z0-9_.:-]", alphabet="characters of [A-Za-z0-9_.:-]")
_CALL_ID = text(most=64, pattern=r"[\x20-\x7e]", alphabet="printable ASCII characters")
_FUNCTION_NAME = text(most=64, pattern=r"[A-Za-z0-9_-]", alphabet="characters of [A-Za-z0-9_-]")
_VARIABLE_NAME = text(most=64, pattern=r"[A-Za-z0-9_]", alphabet="characters of [A-Za-z0-9_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The table, by type of message and name of field.

    Attributes:
        request, message, tool_call, function, tool_choice, response_format: Rows of the type.
        template: Rows of a request that names a template, looked at before it is written out.
        most_messages: Most messages in a conversation.
        extra_keys: Keys that `extra_json` may hold.
        durable: The node has a durable queue.
    """

    template: Mapping[str, Check]
    request: Mapping[str, Check]
    message: Mapping[str, Check]
    tool_call: Mapping[str, Check]
    function: Mapping[str, Check]
    tool_choice: Mapping[str, Check]
    response_format: Mapping[str, Check]
    most_messages: int
    extra_keys: tuple[str, ...]
    durable: bool


def rules(config: ChatConfig, *, durable: bool = False) -> Rules:
    """The table with the bounds that the operator sets.

    Args:
        config: What callers may ask.
        durable: The node has a durable queue, so requests that need one may pass.
    """
    return Rules(
        template={"template": _KEY, "variables": _variables},
        request={
            "model": text(most=MOST_MODEL_NAME),
            "messages": count(most=config.max_messages, what="messages"),
            "max_tokens": number(least=0),
            "temperature": number(least=0, below=2),
            "top_p": number(above=0, most=1),
            "stop": count(most=MOST_STOP, what="strings"),
            "idempotency_key": _KEY,
            "priority": choice(chat_pb2.Priority.DESCRIPTOR),
            "cache_policy": choice(chat_pb2.CachePolicy.DESCRIPTOR),
            "offline_policy": choice(chat_pb2.OfflinePolicy.DESCRIPTOR),
            "timeout": span(above_s=0),
            "tools": count(most=MOST_TOOLS, what="tools"),
            "thinking": choice(chat_pb2.ThinkingMode.DESCRIPTOR),
            "thinking_budget_tokens": number(least=0),
            "seed": number(least=0, most=_MOST_INT32),
            "presence_penalty": number(least=-2, most=2),
            "frequency_penalty": number(least=-2, most=2),
            "max_cache_age": span(least_s=0),
            "stream_flush_interval": span(least_s=0, most_s=10),
            "label": text(most=64),
            "extra_json": text(most=4096),
            "conversation_id": _KEY,
        },
        message={
            "role": choice(chat_pb2.Role.DESCRIPTOR),
            "parts": count(most=MOST_PARTS, what="parts"),
            "tool_calls": count(most=MOST_CALLS, what="calls"),
            "tool_call_id": _CALL_ID,
            "name": text(most=64),
        },
        tool_call={"id": _CALL_ID, "name": _FUNCTION_NAME, "arguments": arguments_problem},
        function={"name": _FUNCTION_NAME, "parameters": parameters_problem},
        tool_choice={"mode": choice(chat_pb2.ToolMode.DESCRIPTOR), "function": _FUNCTION_NAME},
        response_format={"type": choice(chat_pb2.ResponseFormatType.DESCRIPTOR), "json_schema": answer_schema_problem},
        most_messages=config.max_messages,
        extra_keys=tuple(config.extra_keys),
        durable=durable,
    )


def _variables(value: Mapping[str, str]) -> str | None:
    if len(value) > MOST_VARIABLES:
        return f"has {len(value)} variables; at most {MOST_VARIABLES} are allowed"
    for name in sorted(value):
        if problem := _VARIABLE_NAME(name):
            return f"the name {shown(name)} {problem}"
        if len(value[name]) > MOST_VALUE:
            return f"the value of {name} has {len(value[name])} characters; at most {MOST_VALUE} are allowed"
    return None
