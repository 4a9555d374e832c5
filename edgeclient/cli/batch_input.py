"""The lines of a batch as requests, one by one, so that a file may be larger than the memory of the box.

A line that cannot be read is an item too, with the reason instead of a request: it is reported in its place and the
others go on. `index` counts what is not blank, from 0; `line` is what an editor shows.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from edgeclient.cli.request_json import request_of
from edgeclient.v1 import chat_pb2

# Above it no server takes the request anyway; it keeps a file without newlines from being read as a whole.
LINE_LIMIT_BYTES = 16 << 20
_OVERHEAD_BYTES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line.

    Attributes:
        index: Position among the lines that are not blank.
        line: Number of the line, from 1.
        name: The user's own `id` of the line, if any.
        content_hash: Of everything that shapes the answer; equal hashes have equal answers.
        request: With the defaults merged in; None if the line is wrong.
        problem: What is wrong with the line.
    """

    index: int
    line: int
    name: str = ""
    content_hash: str = ""
    request: chat_pb2.ChatRequest | None = None
    problem: str = ""

    @property
    def size_bytes(self) -> int:
        """What the item takes in a message; a key, a timeout, tags and lengths come on top of the request."""
        return self.request.ByteSize() + _OVERHEAD_BYTES if self.request else 0


def items_of(
    stream: IO[bytes],
    *,
    as_json: bool | None,
    defaults: chat_pb2.ChatRequest,
    line_limit_bytes: int = LINE_LIMIT_BYTES,
) -> Iterator[Item]:
    """Every line that is not blank.

    Args:
        stream: The input.
        as_json: A line is a JSON object; False: it is a prompt. None: as the first line looks.
        defaults: What all lines share; a line wins over it.
        line_limit_bytes: A longer line fails.
    """
    index = 0
    for line, raw in enumerate(_lines(stream, line_limit_bytes), start=1):
        content = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if not content.strip():
            continue
        if as_json is None:
            as_json = content.lstrip().startswith(b"{")
        if len(raw) > line_limit_bytes:
            yield _wrong(content, f"longer than {line_limit_bytes} bytes", index=index, line=line)
        else:
            yield _item(content, index=index, line=line, as_json=as_json, defaults=defaults)
        index += 1


def _lines(stream: IO[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Lines; one that is too long comes as its beginning, one byte too long, and its rest is skipped."""
    while line := stream.readline(limit_bytes + 1):
        yield line
        while len(line) > limit_bytes and not line.endswith(b"\n"):
            line = stream.readline(limit_bytes + 1)


def _item(raw: bytes, *, index: int, line: int, as_json: bool, defaults: chat_pb2.ChatRequest) -> Item:
    name = ""
    try:
        if as_json:
            name, own = _parsed(raw)
        else:
            own = chat_pb2.ChatRequest(prompt=raw.decode().strip())
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except RecursionError:
        problem = "nested too deep"
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at column {error.colno}"
    except ValueError as error:
        problem = str(error)
    else:
        request = chat_pb2.ChatRequest()
        request.CopyFrom(defaults)
        request.MergeFrom(own)
        return Item(index=index, line=line, name=name, content_hash=_hash(request), request=request)
    return _wrong(raw, problem, index=index, line=line, name=name)


def _wrong(raw: bytes, problem: str, *, index: int, line: int, name: str = "") -> Item:
    digest = hashlib.sha256(raw).hexdigest()[:32]
    return Item(index=index, line=line, name=name, content_hash=digest, problem=f"line {line}: {problem}")


def _parsed(raw: bytes) -> tuple[str, chat_pb2.ChatRequest]:
    value = json.loads(raw)
    if not isinstance(value, dict):
        raise ValueError('not an object such as {"prompt": "hi"}')  # noqa: TRY004  a wrong line, not a wrong call
    name = value.pop("id", "")
    if not isinstance(name, str | int):
        raise ValueError("id: has to be a string or a number")  # noqa: TRY004  the same
    return str(name), request_of(value)


def _hash(request: chat_pb2.ChatRequest) -> str:
    shaping = chat_pb2.ChatRequest()
    shaping.CopyFrom(request)
    shaping.ClearField("idempotency_key")
    shaping.ClearField("label")
    # No maps in the message, so its bytes are the same in every release of protobuf.
    return hashlib.sha256(shaping.SerializeToString(deterministic=True)).hexdigest()[:32]


def count_items(stream: IO[bytes]) -> int:
    """How many items there are; leaves the stream at its start."""
    count = sum(1 for line in _lines(stream, LINE_LIMIT_BYTES) if line.removeprefix(b"\xef\xbb\xbf").strip())
    stream.seek(0)
    return count


def chunked(items: Iterator[Item], *, most: int, most_bytes: int) -> Iterator[list[Item]]:
    """Items in groups that fit into one message; none of them is larger than the message by itself."""
    group: list[Item] = []
    size = 0
    for item in items:
        if group and (len(group) >= most or size + item.size_bytes > most_bytes):
            yield group
            group, size = [], 0
        group.append(item)
        size += item.size_bytes
    if group:
        yield group
