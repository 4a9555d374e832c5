"""Reads the body of an upload: multipart/form-data (RFC 7578), as the OpenAI clients and curl write it.

Left out: nested parts, transfer encodings, and a charset of its own for names.
"""

import re
from dataclasses import dataclass
from typing import Final

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*(\w+)="((?:[^"\\]|\\.)*)"')
_END_OF_HEAD: Final = b"\r\n\r\n"
PARTS_MAX: Final = 32


class MultipartError(ValueError):
    """The body is no form; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of the form."""

    content: bytes
    filename: str | None


def read_form(content_type: str, body: bytes) -> dict[str, Part]:
    """The parts by their name; of parts with one name the last counts."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        raise MultipartError(f"content-type is {content_type!r}, must be multipart/form-data with a boundary")
    delimiter = b"\r\n--" + (found.group(1) or found.group(2)).encode("latin-1")
    parts: dict[str, Part] = {}
    at = _after(body, delimiter[2:], 0) if body.startswith(delimiter[2:]) else _after(body, delimiter, 0)
    for _ in range(PARTS_MAX):
        if body[at : at + 2] == b"--":
            return parts
        head_end = body.find(_END_OF_HEAD, at)
        begin = head_end + len(_END_OF_HEAD)
        end = body.find(delimiter, begin)
        if head_end < 0 or end < 0:
            break
        name, filename = _names(body[at:head_end].decode("utf-8", errors="replace"))
        parts[name] = Part(content=body[begin:end], filename=filename)
        at = end + len(delimiter)
    raise MultipartError(f"the form does not end with its boundary, or has more than {PARTS_MAX} parts")


def _after(body: bytes, delimiter: bytes, at: int) -> int:
    found = body.find(delimiter, at)
    if found < 0:
        raise MultipartError("the boundary of the content-type is not in the body")
    return found + len(delimiter)


def _names(head: str) -> tuple[str, str | None]:
    """Name and file name of a part."""
    for line in head.split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            parameters = {key.lower(): text.replace('\\"', '"') for key, text in _PARAMETER.findall(value)}
            if "name" in parameters:
                return parameters["name"], parameters.get("filename")
    raise MultipartError("a part of the form has no name")
