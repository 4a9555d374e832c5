"""Messages of a conversation as the provider wants them.

A text stays a plain string: models without vision refuse a list of parts, even one that holds a single text. Roles,
tool chains and media were checked before; what should not occur is sent in its nearest harmless form rather than
raised, because the provider's own sentence about it is the better error.
"""

from binascii import b2a_base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from edgeclient.v1 import chat_pb2

_ROLES = {
    chat_pb2.ROLE_USER: "user",
    chat_pb2.ROLE_ASSISTANT: "assistant",
    chat_pb2.ROLE_SYSTEM: "system",
    chat_pb2.ROLE_TOOL: "tool",
}
_FORMATS = {"mpeg": "mp3", "mpga": "mp3", "wave": "wav", "vnd.wave": "wav", "mp4": "m4a"}
"""Audio formats by subtype of the media type, where the two differ."""


def encode_messages(request: chat_pb2.ChatRequest) -> list[dict[str, Any]]:
    """The conversation, with the short forms `system` and `prompt` in their places."""
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages += [_message(message) for message in request.messages]
    if request.prompt:
        messages.append({"role": "user", "content": request.prompt})
    return messages


def _message(message: chat_pb2.Message) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "role": _ROLES.get(message.role, "user"),
        "content": message.content or _content(message.parts),
    }
    if message.role == chat_pb2.ROLE_ASSISTANT:
        if message.tool_calls:
            encoded["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
        if message.reasoning_content:
            encoded["reasoning_content"] = message.reasoning_content
    elif message.role == chat_pb2.ROLE_TOOL:
        encoded["tool_call_id"] = message.tool_call_id
    if message.name:
        encoded["name"] = message.name
    return encoded


def _content(parts: Iterable[chat_pb2.ContentPart]) -> str | list[dict[str, Any]]:
    encoded = [_part(part) for part in parts]
    if all(part["type"] == "text" for part in encoded):
        return "".join([part["text"] for part in encoded])
    return encoded


def _part(part: chat_pb2.ContentPart) -> dict[str, Any]:
    match part.WhichOneof("part"):
        case "image":
            return {"type": "image_url", "image_url": {"url": _location(part.image)}}
        case "audio":
            return {"type": "input_audio", "input_audio": _audio(part.audio)}
        case "video":
            return {"type": "video_url", "video_url": {"url": _location(part.video)}}
        case _:
            return {"type": "text", "text": part.text}


def _location(media: chat_pb2.Media) -> str:
    return f"data:{media.mime_type};base64,{_base64(media.data)}" if media.data else media.url


def _audio(media: chat_pb2.Media) -> dict[str, str]:
    """A recording: the provider reads its form from `format` and wants no media type in the data URI."""
    subtype = media.mime_type.partition(";")[0].rpartition("/")[2].strip().lower().removeprefix("x-")
    kind = _FORMATS.get(subtype, subtype) or _suffix(media.url) or "wav"
    return {"data": f"data:;base64,{_base64(media.data)}" if media.data else media.url, "format": kind}


def _suffix(url: str) -> str:
    try:
        path = urlsplit(url).path
    except ValueError:  # such as an IPv6 host without its bracket
        return ""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _tool_call(call: chat_pb2.ToolCall) -> dict[str, Any]:
    # A model calls a function without parameters with no arguments at all; sent back, the provider wants JSON.
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}
