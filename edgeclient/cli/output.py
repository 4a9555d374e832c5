"""Text for people and JSON for scripts, on whatever stdout is.

What a model wrote is foreign text: on a terminal its control characters could move the cursor or set the title, so they
are taken out there; a pipe gets every character as it came. JSON stays readable Chinese where the stream is UTF-8 and
turns to escapes where it is not, so no script ever reads a question mark for a character.
"""

import json
import sys
from typing import Any, TextIO

import click
from google.protobuf import json_format
from google.protobuf.message import Message

# C0 without tab and newline, DEL, and C1.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


def printable(text: str, stream: TextIO) -> str:
    """Foreign text as it may be written to the stream."""
    return text.translate(_CONTROLS) if stream.isatty() else text


def message_json(message: Message) -> dict[str, Any]:
    """A protobuf message by the names of the API, which are those of the provider's JSON."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def write_json(value: Any, *, indent: int | None = None, err: bool = False) -> None:
    """One JSON value and a newline."""
    stream = sys.stderr if err else sys.stdout
    utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(value, ensure_ascii=not utf8, indent=indent), err=err)
