"""The results of a batch: where they go, and what an earlier run has left there.

OUT is JSONL, a line per result, in the order of arrival:
`{"index": 0, "line": 1, "id": "...", "hash": "...", "run": "...", "response": {...}}` or `... "error": {...}}`.
The last line of an index counts. `run` names the series of runs that share OUT: it goes into the idempotency keys, so
answers that were paid for but not yet written when a run was killed are replayed, free of charge, by a node that
remembers keys.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgeclient.cli.batch_input import Item
from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.locked_file import LockedFile
from edgeclient.cli.output import message_json
from edgeclient.client import EdgeError
from edgeclient.v1 import chat_pb2


@dataclass(frozen=True, slots=True)
class _Done:
    content_hash: str
    succeeded: bool
    offset: int


class Results(Protocol):
    """Where results go."""

    run: str

    def earlier(self, item: Item) -> bool | None:
        """Whether an earlier run succeeded with exactly this item; None: it did not do it."""

    def write(self, line: dict[str, Any]) -> None:
        """Keep a result."""

    def close(self) -> None:
        """No more results."""


class StreamedResults:
    """Results on stdout: nothing is known of earlier runs, nothing can be resumed."""

    def __init__(self) -> None:
        self.run = new_run()

    def earlier(self, item: Item) -> bool | None:
        """Nothing is known."""
        del item
        return None

    def write(self, line: dict[str, Any]) -> None:
        """Print the result."""
        sys.stdout.buffer.write(_encoded(line))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Nothing is kept."""


class KeptResults:
    """Results in a file.

    Raises:
        Failure: The file cannot be used, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._file = LockedFile(path)
        self._done: dict[int, _Done] = {}
        self._line_count = 0
        self.run = ""
        try:
            for offset, line in self._file.lines():
                self._read(line, offset)
        except BaseException:
            self._file.close()
            raise
        self.run = self.run or new_run()

    def earlier(self, item: Item) -> bool | None:
        """What the last line of this index says, if it is about the same content."""
        done = self._done.get(item.index)
        return done.succeeded if done and done.content_hash == item.content_hash else None

    def write(self, line: dict[str, Any]) -> None:
        """Keep the result; returns when it is on the disk."""
        self._file.append(_encoded(line))
        self._line_count += 1
        self._done[line["index"]] = _Done(line["hash"], "response" in line, -1)

    def close(self) -> None:
        """Drop lines that newer ones of the same index have replaced, so that there is one per input."""
        try:
            if self._line_count > len(self._done):
                self._file.replace(self._last_lines())
        finally:
            self._file.close()

    def _last_lines(self) -> Iterator[bytes]:
        last = {_index_of(line): offset for offset, line in self._file.lines()}
        for offset, line in self._file.lines():
            if last[_index_of(line)] == offset:
                yield line

    def _read(self, line: bytes, offset: int) -> None:
        self._line_count += 1
        try:
            value = json.loads(line)
            self._done[value["index"]] = _Done(value["hash"], "response" in value, offset)
            self.run = value["run"]
        except (ValueError, TypeError, KeyError) as error:
            raise Failure(
                ExitCode.DATA,
                f"{self._file.path}, line {self._line_count} is no result of a batch; nothing was written to it",
                details=["Name another file with -o."],
            ) from error


def answered(item: Item, run: str, response: chat_pb2.ChatResponse) -> dict[str, Any]:
    """The line of an item that succeeded."""
    return _head(item, run) | {"response": message_json(response)}


def failed(item: Item, run: str, error: EdgeError) -> dict[str, Any]:
    """The line of an item that failed."""
    facts: dict[str, Any] = {"code": error.code.name, "message": error.message}
    if error.reason:
        facts["reason"] = error.reason
    if error.violations:
        facts["field"] = error.violations[0].field
    if error.retry_after_s is not None:
        facts["retry_after_s"] = round(error.retry_after_s, 3)
    if error.possibly_billed:
        facts["possibly_billed"] = True
    return _head(item, run) | {"error": facts}


def _head(item: Item, run: str) -> dict[str, Any]:
    head: dict[str, Any] = {"index": item.index, "line": item.line}
    if item.name:
        head["id"] = item.name
    return head | {"hash": item.content_hash, "run": run}


def _index_of(line: bytes) -> int:
    return int(json.loads(line)["index"])


def _encoded(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def new_run() -> str:
    """A name that no other run has."""
    return os.urandom(6).hex()
