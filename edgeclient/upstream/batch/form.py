"""A file in the form in which it is uploaded: multipart/form-data (RFC 7578), in one piece."""

import os
from collections.abc import Sequence

_LINE_END = b"\r\n"


def form(name: str, lines: Sequence[bytes]) -> tuple[str, bytes]:
    """Content type and body of an upload of requests for a batch.

    Args:
        name: Of the file; plain characters.
        lines: Its content.
    """
    boundary = b"edgeclient-" + os.urandom(16).hex().encode()  # 128 random bits are in no content
    disposition = b"content-disposition: form-data; name="
    head = (
        b"--" + boundary,
        disposition + b'"purpose"',
        b"",
        b"batch",
        b"--" + boundary,
        disposition + b'"file"; filename="' + name.encode("ascii") + b'"',
        b"content-type: application/jsonl",
        b"",
        b"",
    )
    body = b"".join((_LINE_END.join(head), *lines, _LINE_END, b"--", boundary, b"--", _LINE_END))
    return f"multipart/form-data; boundary={boundary.decode()}", body
