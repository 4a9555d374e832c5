"""The seams: what a part needs from the outside world, without saying who gives it."""

from collections.abc import Callable
from typing import Protocol

from edgeclient.core.events import Event

Observe = Callable[[Event], None]
"""Takes a fact. Never blocks, never raises."""


class Clock(Protocol):
    """Time, so that tests own it."""

    def monotonic_s(self) -> float:
        """Seconds since some moment; never jumps."""
        ...

    def wall_s(self) -> float:
        """Seconds since the Unix epoch; may jump."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` of monotonic time."""
        ...


class KeySource(Protocol):
    """Where the provider's API key comes from."""

    def current(self) -> str:
        """The key to send now; "" if there is none. May change between calls: a key file may be rotated."""
        ...
