"""What the provider said when it said no, whichever of its shapes it chose.

Errors come as OpenAI's JSON, as the provider's own JSON, as server-sent events under any status and content type,
inside a stream that began with 200, wrapped by relays, as text, as a web page of something in between, and as nothing
at all. This module only finds the words; `failures` decides what they mean. It never raises: the worst outcome is an
error without a code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec.json import decode

from edgeclient.upstream.sse import SseParser
from edgeclient.upstream.wire import UNREADABLE

WEB_PAGE = "text/html"
"""Code of an answer that is a web page: no provider sends one, so something in between did."""

EVENTS = (b"data:", b"event:", b"id:", b":")
"""How a body begins that holds server-sent events."""

ERROR_BODY_BYTES = 64 * 1024
"""Errors are short; what is longer is read up to here."""

_CODE_CHARACTERS = 100
_MESSAGE_CHARACTERS = 300
_KEY = re.compile(r"\b(?:sk-|cr_)[\w*.-]+|\bBearer\s+[^\s\"',;]+", re.IGNORECASE)
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")
_MARKUP = re.compile(rb"<[!?a-zA-Z]")
_UNKNOWN = re.compile(r"null|none|unknown", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderError:
    """An error in the provider's words.

    Attributes:
        http_status: Status; for an error inside a stream the one it tells, else that of the answer. 0: unknown.
        code: The provider's code as it wrote it; "" if it gave none.
        message: The provider's sentence on one line, cut, without keys; "" if it gave none.
        request_id: The provider's id of the exchange; "" if it gave none.
    """

    http_status: int
    code: str = ""
    message: str = ""
    request_id: str = ""


def parse_error(*, http_status: int, content_type: str, body: bytes) -> ProviderError:
    """Find the error in an answer, or in the data of one event of a stream. Never raises."""
    body = body[:ERROR_BODY_BYTES].removeprefix(b"\xef\xbb\xbf").strip()
    nothing = ProviderError(http_status=http_status)
    if body.startswith(EVENTS):
        return _from_events(body, nothing)
    if _MARKUP.match(body) or (not body.startswith(b"{") and "html" in content_type.lower()):
        return replace(nothing, code=WEB_PAGE)
    try:
        parsed = decode(body)
    except UNREADABLE:
        return replace(nothing, message=_sentence(body.decode(errors="replace")))
    if isinstance(parsed, list) and parsed:  # some relays put the error into a list
        parsed = parsed[0]
    return _from_object(parsed, nothing) if isinstance(parsed, dict) else nothing


def _from_events(body: bytes, nothing: ProviderError) -> ProviderError:
    events = SseParser(limit_bytes=len(body))  # which no event can exceed
    for frame in [*events.feed(body), *events.finish()]:
        if frame.data.startswith(EVENTS):  # would only repeat itself
            continue
        status = frame.http_status or nothing.http_status
        found = parse_error(http_status=status, content_type="", body=frame.data)
        if frame.is_error or found.code or found.message:
            return found
    return nothing


def _from_object(parsed: Mapping[str, Any], nothing: ProviderError) -> ProviderError:
    error = parsed.get("error")
    facts = error if isinstance(error, dict) else parsed
    code = _word(facts.get("code"))
    message = error if isinstance(error, str) else _string(facts.get("message") or parsed.get("message"))
    wrapped = _wrapped(facts.get("metadata"))
    request_id = _word(parsed.get("request_id")) or _word(facts.get("request_id"))
    if wrapped:
        inner = _from_object(wrapped, nothing)
        code, message, request_id = inner.code or code, inner.message or message, inner.request_id or request_id
    status = nothing.http_status
    if len(code) == len("429") and code.isdigit():  # a relay that writes the HTTP status where the code belongs
        status = int(code) if status < 400 <= int(code) else status  # noqa: PLR2004  HTTP errors begin here
        code = ""
    return ProviderError(
        http_status=status,
        code=code or _word(facts.get("type")),
        message=_sentence(message),
        request_id=request_id or _word(parsed.get("id")),
    )


def _wrapped(metadata: object) -> Mapping[str, Any] | None:
    """The error that a relay got and passes on as a string."""
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return None
    try:
        parsed = decode(raw)
    except UNREADABLE:
        return None
    return parsed if isinstance(parsed, dict) and "metadata" not in raw else None  # one wrapping, not a tower of them


def _word(value: object) -> str:
    word = _sentence(str(value))[:_CODE_CHARACTERS] if isinstance(value, str | int) and value else ""
    return "" if _UNKNOWN.fullmatch(word) else word


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sentence(text: str) -> str:
    """On one line, without keys, and short: it may quote what the caller sent."""
    line = _KEY.sub("[key]", _BLANKS.sub(" ", text[: 4 * _MESSAGE_CHARACTERS])).strip()
    return line if len(line) <= _MESSAGE_CHARACTERS else line[: _MESSAGE_CHARACTERS - 1].rstrip() + "…"
