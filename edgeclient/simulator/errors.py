"""How the cloud says that it refuses: the wire shapes of an error.

The same status carries permanent and passing trouble, and `insufficient_quota` exists with both meanings, so a client
has to look at code and message: the bodies made here are what it is tested against. The errors are in `error_table`.

Shapes: A is the OpenAI body; B the native body; C the OpenAI body as one SSE line under a 4xx; D an SSE frame
whose status stands in a comment line, under a 4xx or inside a 200 stream; F an error object as `data:` inside a
stream, as relays do; G no JSON at all: an empty body or HTML from a proxy. (E belongs to the Responses API, which is
not served.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import msgspec

from .error_table import OWN_TYPE, TABLE
from .exchange import Headers

JSON_TYPE: Final = (b"content-type", b"application/json")
SSE_TYPE: Final = (b"content-type", b"text/event-stream;charset=UTF-8")
HTML_TYPE: Final = (b"content-type", b"text/html")


class Shape(StrEnum):
    """How an error is put on the wire."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    F = "F"
    G = "G"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """One refusal."""

    name: str
    status: int
    code: str
    native: str
    message: str
    kind: str = "invalid_request_error"  # the body's `type`
    param: str | None = None
    shape: Shape = Shape.A


def _rows() -> Iterator[ApiError]:
    for status, rows in TABLE.items():
        for name, code, native, message in rows:
            own_type = status >= HTTPStatus.TOO_MANY_REQUESTS or code in OWN_TYPE
            yield ApiError(
                name=name,
                status=status,
                code=code,
                native=native,
                message=message,
                kind=code if own_type else "invalid_request_error",
                shape=Shape.A if code else Shape.G,
            )


ERRORS: Final = {row.name: row for row in _rows()}


def openai_body(error: ApiError, request_id: str) -> bytes:
    """Shape A."""
    detail = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": detail, "id": f"chatcmpl-{request_id}", "request_id": request_id})


def native_body(error: ApiError, request_id: str) -> bytes:
    """Shape B."""
    code = error.native or error.code
    return msgspec.json.encode({"code": code, "message": error.message, "request_id": request_id})


def sse_frame(error: ApiError, request_id: str) -> bytes:
    """Shape D: the status is in a comment."""
    head = f"id:1\nevent:error\n:HTTP_STATUS/{error.status}\n"
    return head.encode() + b"data:" + native_body(error, request_id) + b"\n\n"


def render(error: ApiError, request_id: str) -> tuple[Headers, bytes]:
    """Content type and body of a refusal before the stream."""
    match error.shape:
        case Shape.A:
            return [JSON_TYPE], openai_body(error, request_id)
        case Shape.B:
            return [JSON_TYPE], native_body(error, request_id)
        case Shape.C | Shape.F:
            return [SSE_TYPE], b"data: " + openai_body(error, request_id) + b"\n\n"
        case Shape.D:
            return [JSON_TYPE], sse_frame(error, request_id)  # the type is wrong in production too
        case Shape.G if error.message:
            page = f"<html><head><title>{error.status} {error.message}</title></head><body></body></html>\n"
            return [HTML_TYPE], page.encode()
        case Shape.G:
            return [], b""


def render_in_stream(error: ApiError, request_id: str) -> bytes:
    """The same refusal after a stream has begun: shape F if it was asked for, otherwise D."""
    if error.shape is not Shape.F:
        return sse_frame(error, request_id)
    detail = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return b"data: " + msgspec.json.encode({"error": detail}) + b"\n\ndata: [DONE]\n\n"
