"""The high-water mark: how far the queue had come when somebody was last told of a commit.

A log that is torn or was deleted loses its last commits without a trace, and an older copy of the database put in place
of the newer one loses many. So after each commit its number and the counts go into a small file beside the database:
one write of less than a sector, without fsync, so it costs nothing. Because it is written after the commit, it is with
the database or behind it; after a power cut it may be far behind, and then nothing is noticed. Ahead of the database it
is only if commits are missing that were acknowledged: then they are counted as lost, once, and the queue goes on. Its
numbers go on, too, so that none is given twice.

It bears the id of its queue, so another queue in the same folder is not compared. It holds counts and no content. A
mark that cannot be written or read is none.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from edgeclient.spool.ledger import Ledger

NAME = "spool.mark"
_WORD = "edgeclient-mark-1"
_SIZE_BYTES = 256
_NUMBERS = (
    "epoch",
    "commit_count",
    "last_seq",
    "last_revision",
    "accepted_total",
    "purged_total",
    "uncertain_total",
    "resent_total",
    "lost_total",
)
_GO_ON = ("epoch", "commit_count", "last_seq", "last_revision", "accepted_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What was acknowledged and is not there.

    Attributes:
        commits: Commits.
        accepts: Requests that were accepted in them.
    """

    commits: int
    accepts: int


class Mark:
    """The file. Closed by whoever has it; a write that fails is left out.

    Args:
        directory: The folder of the queue.

    Attributes:
        found: The counts that it held; {} if there was none.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._descriptor: int | None = None
        self.found = _read(self._path)

    def settle(self, ledger: Ledger) -> Missing | None:
        """Count what is missing of this queue as lost, in memory: the next commit stores it. None: nothing is."""
        found = self.found
        if found.get("queue_id") != ledger.queue_id or int(found["commit_count"]) <= ledger.commit_count:
            return None
        missing = Missing(
            commits=int(found["commit_count"]) - ledger.commit_count,
            accepts=max(0, int(found["accepted_total"]) - ledger.accepted_total),
        )
        for name in _GO_ON:
            setattr(ledger, name, max(getattr(ledger, name), int(found[name])))
        ledger.lost_total += missing.accepts
        return missing

    def advance(self, ledger: Ledger) -> None:
        """A commit has happened; these are the counts that it stored."""
        numbers = " ".join([str(getattr(ledger, name)) for name in _NUMBERS])
        text = f"{_WORD} {ledger.queue_id} {numbers}"
        line = f"{text} {crc32(text.encode()):08x}".ljust(_SIZE_BYTES - 1) + "\n"
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._descriptor, line.encode(), 0)

    def close(self) -> None:
        """No more writes."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


def _read(path: Path) -> dict[str, int | str]:
    try:
        text, _, check = path.read_bytes()[:_SIZE_BYTES].decode("ascii").strip().rpartition(" ")
        word, queue_id, *numbers = text.split(" ")
        if word != _WORD or int(check, 16) != crc32(text.encode()):
            return {}
        return {"queue_id": queue_id, **dict(zip(_NUMBERS, map(int, numbers), strict=True))}
    except (OSError, ValueError):  # none yet, or torn by a power cut
        return {}
