"""The conversation so far, in memory or kept in a file across calls.

The file is JSONL, a Message a line, to be read and mended by hand. It only grows: a reset and a new system message are
lines too, the last one counts, and nothing that was paid for is lost by a slip of the finger. A turn is written when it
is complete, question and answer together, so a call that failed leaves no trace.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.locked_file import LockedFile
from edgeclient.cli.output import message_json
from edgeclient.cli.request_json import message_of
from edgeclient.v1 import chat_pb2

_RESET = {"reset": True}


class Conversation:
    """Messages of the running conversation; used as a context manager.

    Args:
        file: Where it is kept; None: only in memory.
        system: Standing instructions; None: as they were.

    Raises:
        Failure: The file cannot be read.
    """

    def __init__(self, file: Path | None = None, *, system: str | None = None) -> None:
        self.messages: list[chat_pb2.Message] = []
        self.system = ""
        self._kept = LockedFile(file) if file else None
        try:
            self._load(system)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Give the conversation itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Let others use the file."""
        if self._kept:
            self._kept.close()

    @property
    def open_calls(self) -> list[chat_pb2.ToolCall]:
        """Calls of the last answer, which the model wants to have answered next."""
        return list(self.messages[-1].tool_calls) if self.messages else []

    def request(self, template: chat_pb2.ChatRequest, turn: Sequence[chat_pb2.Message]) -> chat_pb2.ChatRequest:
        """The request that goes on with this turn."""
        request = chat_pb2.ChatRequest()
        request.CopyFrom(template)
        request.system = self.system
        request.messages.extend([*self.messages, *turn])
        return request

    def add(self, turn: Sequence[chat_pb2.Message], answer: chat_pb2.Message) -> None:
        """Keep a turn and its answer. Reasoning is left out: models do not want it back, and it is long."""
        kept = chat_pb2.Message()
        kept.CopyFrom(answer)
        kept.ClearField("reasoning_content")
        self.messages += [*turn, kept]
        self._keep([*turn, kept])

    def reset(self) -> None:
        """Begin a new conversation under the same standing instructions."""
        self.messages.clear()
        if self._kept:
            self._kept.append(_line(_RESET))

    def _load(self, system: str | None) -> None:
        for number, (_, line) in enumerate(self._kept.lines() if self._kept else (), start=1):
            self._read(line, number=number)
        if system is not None and system != self.system:
            self.system = system
            self._keep([chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, content=system)])

    def _keep(self, messages: Sequence[chat_pb2.Message]) -> None:
        if self._kept:
            self._kept.append(b"".join(_line(message_json(message)) for message in messages))

    def _read(self, line: bytes, *, number: int) -> None:
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError("not an object")  # noqa: TRY004, TRY301  one sentence for all that is wrong with it
            if value == _RESET:
                self.messages.clear()
                return
            message = message_of(value)
        except ValueError as error:
            place = f"{self._kept.path if self._kept else None}, line {number}"
            raise Failure(ExitCode.DATA, f"{place} is no message of a conversation: {error}") from error
        if message.role == chat_pb2.ROLE_SYSTEM:
            self.system = message.content
        else:
            self.messages.append(message)


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
