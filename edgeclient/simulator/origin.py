"""Which way a call came to the cloud, and what it costs that way.

Live calls, lines of a batch file and batch chats are answered by the same code; what differs hangs on this.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HALF_PRICE: Final = 0.5


class Kind(StrEnum):
    """The ways."""

    LIVE = "live"
    BATCH_FILE = "batch_file"
    BATCH_CHAT = "batch_chat"
    MANAGEMENT = "management"  # files, batches, models, quotas: free


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One way, with what the ledger notes of it."""

    kind: Kind = Kind.LIVE
    price_factor: float = 1.0  # of the price of a live call
    batch_id: str | None = None
    custom_id: str | None = None
    line: int | None = None  # in its file, from 1

    @property
    def limited(self) -> bool:
        """Do the rate limits of the model hold, and does its context cache work; in batch neither does."""
        return self.kind is Kind.LIVE


LIVE: Final = Origin()
BATCH_CHAT: Final = Origin(kind=Kind.BATCH_CHAT, price_factor=HALF_PRICE)
MANAGEMENT: Final = Origin(kind=Kind.MANAGEMENT, price_factor=0.0)
