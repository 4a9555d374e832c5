"""The record of one batch, and how the API shows it.

As recorded from the provider: `expires_at` stays null, a batch that is being checked counts no requests, and the lines
that a cancelled batch has not run count as failed.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .input_file import InputLine, LineError
from .states import ENDED, Move, Status, moved


@dataclass(slots=True, kw_only=True, eq=False)
class Batch:
    """See the module; times in whole seconds since 1970."""

    id: str
    number: int  # counted from 1
    input_file_id: str
    content: bytes
    endpoint: str
    completion_window: str
    metadata: dict[str, str]
    authorization: str  # of the call that created it; its lines are asked under the same key
    created_at: int
    deadline_s: float  # of the clock of the runner
    listed_at_s: float = 0.0  # of the same clock: a list shows it from then on
    status: Status = Status.VALIDATING
    reached_at: dict[Status, int] = field(default_factory=dict)
    errors: list[LineError] = field(default_factory=list)
    total: int = 0
    pending: deque[InputLine] = field(default_factory=deque)
    in_work: dict[int, InputLine] = field(default_factory=dict)
    workers: set[asyncio.Task[None]] = field(default_factory=set)
    outputs: list[bytes] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def ended(self) -> bool:
        """Will nothing change any more."""
        return self.status in ENDED

    def move(self, move: Move, now_s: float) -> None:
        """Change the state; raises `ForbiddenMoveError`."""
        before, self.status = self.status, moved(self.status, move)
        if self.status is not before:
            self.reached_at[self.status] = int(now_s)

    def view(self) -> dict[str, Any]:
        """The object of the API."""
        errors = [each.view() for each in self.errors]
        times = {f"{status.value}_at": self.reached_at.get(status) for status in Status}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self.status.value,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "in_progress_at": times["in_progress_at"],
            "expires_at": None,
            "finalizing_at": times["finalizing_at"],
            "completed_at": times["completed_at"],
            "failed_at": times["failed_at"],
            "expired_at": times["expired_at"],
            "cancelling_at": times["cancelling_at"],
            "cancelled_at": times["cancelled_at"],
            "request_counts": {
                "total": self.total,
                "completed": len(self.outputs),
                "failed": len(self.failures),
            },
            "metadata": self.metadata,
        }

    def progress(self) -> dict[str, Any]:
        """The same with what only the admin API tells."""
        return {**self.view(), "pending": len(self.pending), "in_work": len(self.in_work)}
