"""Requests and messages as people write them in JSON: the API's own JSON, and roles as in the OpenAI API.

`{"role": "user", "content": "hi"}` is what everybody has at hand, `{"role": "ROLE_USER", ...}` is what protobuf reads;
both are taken.
"""

from typing import Any, TypeVar

from google.protobuf import json_format

from edgeclient.v1 import chat_pb2

_ROLES = {"user": "ROLE_USER", "assistant": "ROLE_ASSISTANT", "system": "ROLE_SYSTEM", "tool": "ROLE_TOOL"}
_Parsed = TypeVar("_Parsed", chat_pb2.ChatRequest, chat_pb2.Message)


def request_of(value: dict[str, Any]) -> chat_pb2.ChatRequest:
    """A ChatRequest.

    Raises:
        ValueError: What is wrong, in one sentence.
    """
    messages = value.get("messages")
    if isinstance(messages, list):
        value = value | {"messages": [_with_role(message) for message in messages]}
    return _parsed(value, chat_pb2.ChatRequest())


def message_of(value: dict[str, Any]) -> chat_pb2.Message:
    """A Message.

    Raises:
        ValueError: What is wrong, in one sentence.
    """
    return _parsed(_with_role(value), chat_pb2.Message())


def _with_role(message: Any) -> Any:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return message
    return message | {"role": _ROLES.get(message["role"], message["role"])}


def _parsed(value: Any, message: _Parsed) -> _Parsed:
    try:
        # Generous on purpose: protobuf's message names the field and its path.
        json_format.ParseDict(value, message)
    except json_format.ParseError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (UnicodeError, RecursionError) as error:
        raise ValueError(f"not valid Unicode or nested too deep ({type(error).__name__})") from error
    return message
