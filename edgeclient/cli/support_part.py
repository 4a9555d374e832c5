"""A part of a support bundle: what it is, who makes it, and that it may be missing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


class MissingError(Exception):
    """A part cannot be had; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of the bundle.

    Attributes:
        name: Its name.
        what: What it holds, for whoever is asked to send it.
        make: Makes it, as text or as plain data. Raises `MissingError`.
    """

    name: str
    what: str
    make: Callable[[], Awaitable[Any]]
