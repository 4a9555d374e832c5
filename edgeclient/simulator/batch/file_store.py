"""The files of the account: what was uploaded and what batches deliver, in memory, within the provider's limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .rules import BatchRules

INPUT_BEGIN: Final = "file-batch-"
OUTPUT_BEGIN: Final = "file-batch_output-"
PURPOSE: Final = "batch"
OUTPUT_PURPOSE: Final = "batch_output"


class NoRoomError(Exception):
    """A limit of the account; the message is what the provider says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file."""

    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int  # seconds since 1970

    def view(self) -> dict[str, Any]:
        """The object of the API."""
        return {
            "id": self.id,
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "object": "file",
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class FileStore:
    """All files, oldest first."""

    def __init__(self, rules: BatchRules, *, new_id: Callable[[], str], clock: Callable[[], float]) -> None:
        self._rules = rules
        self._new_id = new_id
        self._clock = clock
        self._files: dict[str, StoredFile] = {}
        self._stored_bytes = 0

    def upload(self, content: bytes, *, filename: str) -> StoredFile:
        """Keep an input file; raises `NoRoomError`."""
        if len(self._files) >= self._rules.files:
            raise NoRoomError("Upload file number exceed limit.")
        if self._stored_bytes + len(content) > self._rules.stored_bytes:
            raise NoRoomError("Upload file capacity exceed limit.")
        return self._keep(INPUT_BEGIN, content, filename=filename, purpose=PURPOSE)

    def deliver(self, content: bytes, *, batch_id: str) -> StoredFile:
        """Keep a result; the limits are for uploads."""
        return self._keep(OUTPUT_BEGIN, content, filename=f"{batch_id}.jsonl", purpose=OUTPUT_PURPOSE)

    def _keep(self, begin: str, content: bytes, *, filename: str, purpose: str) -> StoredFile:
        name = f"{begin}{self._new_id()[:24]}"
        created_at = int(self._clock())
        file = StoredFile(id=name, filename=filename, purpose=purpose, content=content, created_at=created_at)
        self._files[name] = file
        self._stored_bytes += len(content)
        return file

    def get(self, file_id: str) -> StoredFile | None:
        """The file of this id."""
        return self._files.get(file_id)

    def delete(self, file_id: str) -> bool:
        """Remove a file; False if there is none."""
        file = self._files.pop(file_id, None)
        if file is None:
            return False
        self._stored_bytes -= len(file.content)
        return True

    def newest_first(self) -> list[StoredFile]:
        """All files."""
        return list(reversed(self._files.values()))
