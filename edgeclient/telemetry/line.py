"""How an event is told in the log: the shapes that the rows of `lines.py` have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # the numbers of the standard library


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How an event is told.

    Attributes:
        level: One of `LEVELS`.
        word: The field `event`, stable.
        sentence: Template of the field `message`, over the fields of the event.
        once_per: Fields that make two events the same; the same is told once per interval. None: always told.
    """

    level: str
    word: str
    sentence: str
    once_per: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An event that is told in one of several ways.

    Attributes:
        lines: All the ways.
        pick: The one for an event; None: it is not told.
    """

    lines: tuple[Line, ...]
    pick: Callable[[Any], Line | None]
