"""Functions from a file, written as for the OpenAI API, so that a list of another client can be used as it is."""

import json
from pathlib import Path
from typing import Any

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.v1 import chat_pb2

_LIMIT_BYTES = 1 << 20


def tools_of(file: Path) -> list[chat_pb2.Tool]:
    """The functions of a JSON list of `{"type": "function", "function": {"name": ..., "parameters": {...}}}`.

    Raises:
        Failure: The file cannot be read or is something else.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise Failure(ExitCode.CONFIG, f"cannot read {file}: {error.strerror}") from error
    if len(content) > _LIMIT_BYTES:
        raise Failure(ExitCode.DATA, f"{file} is larger than {_LIMIT_BYTES} bytes")
    try:
        entries = json.loads(content)
    except ValueError as error:
        raise Failure(ExitCode.DATA, f"{file} is not JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise Failure(ExitCode.DATA, f'{file} has to hold a list such as [{{"type": "function", "function": ...}}]')
    return [_tool(entry, place=f"{file}, entry {number}") for number, entry in enumerate(entries, start=1)]


def _tool(entry: Any, *, place: str) -> chat_pb2.Tool:
    function = entry.get("function", entry) if isinstance(entry, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Failure(ExitCode.DATA, f"{place}: a function needs a name")
    parameters = function.get("parameters") or ""
    if not isinstance(parameters, str):
        parameters = json.dumps(parameters, ensure_ascii=False)
    return chat_pb2.Tool(
        function=chat_pb2.FunctionTool(
            name=function["name"], description=str(function.get("description") or ""), parameters=parameters
        )
    )
