"""One piece of work for the queue's thread, and what is known of who waits for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edgeclient.spool.session import Session

T = TypeVar("T")
Operate = Callable[[Session], Any]


@dataclass(slots=True, kw_only=True, eq=False)
class Operation(Generic[T]):
    """One piece of work.

    Attributes:
        run: What to do, within a transaction.
        future: Who waits for it; None: nobody.
        accepts: Id of the job that it stores: it is refused when there is no room.
        keyed: Whoever accepts can repeat it safely. If not, and nobody can say whether its commit happened, it is
            withdrawn when that is known.
        scrubs: It destroys content; it is done only when the log holds none of it either.
        orphaned: What to do with a result that nobody takes, because who asked was cancelled.
    """

    run: Callable[[Session], T]
    future: asyncio.Future[T] | None
    accepts: str = ""
    keyed: bool = False
    scrubs: bool = False
    orphaned: Callable[[T], Operate | None] | None = None


Outcome = tuple[Operation[Any], Any, BaseException | None]
"""An operation, its result, and what it raised instead."""
