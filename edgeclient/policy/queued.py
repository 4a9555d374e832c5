"""What the fair queue has to know of those that wait in it: jobs of the durable queue, calls in front of the wire."""

from typing import Protocol


class Queued(Protocol):
    """What the queue has to know of whatever waits; nothing of it may change while it is in the queue."""

    @property
    def id(self) -> str:
        """Unique among all that are in the queue."""

    @property
    def caller(self) -> str:
        """Who asks."""

    @property
    def conversation_id(self) -> str:
        """Calls of one conversation are sent one after the other; empty: it is part of none."""

    @property
    def priority(self) -> int:
        """One of those that have a weight; any other counts as normal."""

    @property
    def seq(self) -> int:
        """Order of acceptance, unique."""

    @property
    def create_ms(self) -> int:
        """When it was accepted."""

    @property
    def expire_ms(self) -> int:
        """When its time is over; 0: it is not for the queue to tell."""

    @property
    def next_attempt_ms(self) -> int:
        """It is no candidate before; 0: now."""
