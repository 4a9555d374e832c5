"""The seam to a store over the network: what it can do, and what kinds of trouble there are."""

from enum import Enum
from typing import Protocol


class Trouble(Enum):
    """What kind of trouble it is."""

    DOWN = "down"
    """It cannot be reached, or does not answer."""
    DENIED = "denied"
    """It does not let us in."""
    NO_WRITES = "no writes"
    """It answers, and takes nothing: its memory is full, or it is a replica."""


class LinkError(Exception):
    """The store did not do what it was asked.

    Attributes:
        trouble: Of which kind.
        problem: A sentence for the operator, without a credential.
    """

    def __init__(self, trouble: Trouble, problem: str) -> None:
        super().__init__(problem)
        self.trouble = trouble
        self.problem = problem


class Link(Protocol):
    """A store of names and values that expire. Every method may raise `LinkError`, or be cancelled."""

    async def get(self, name: bytes) -> tuple[bytes, bytes, int] | None:
        """Owner, sealed body and the milliseconds left of its life; None: there is none."""
        ...

    async def put(self, name: bytes, owner: bytes, sealed: bytes, *, life_ms: int) -> None:
        """Store in place of the one before."""
        ...

    async def forget(self, owner: bytes) -> int:
        """Remove all of an owner; returns how many."""
        ...

    async def ping(self) -> None:
        """See whether it answers."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
