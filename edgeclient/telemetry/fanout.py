"""One `observe` for the whole house: hands each fact to those who have a function for its type.

The way is a dictionary look-up, because it is on the road of every call: a type nobody wants costs 0.1 µs. A subscriber
that fails never reaches the part that emitted the fact; it is reported to the listeners for failures, whose own
failures are swallowed, for there is nobody left to tell.

Facts are emitted on the thread of the event loop and handled there and then, without awaiting; nothing is locked.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeclient.core.events import Event

Subscriber = Callable[[Any], None]  # takes events of the type it stands under in the table
Table = Mapping[type[Event], Subscriber]
FailureListener = Callable[[str, str, Exception], None]
"""Told the name of the subscriber, the type of the event and the exception."""


class Fanout:
    """Hands each fact to all subscribers for its type, in their order.

    Args:
        subscribers: Tables by the name of who they belong to.
        on_failure: Who is told that a subscriber failed.
    """

    def __init__(self, subscribers: Mapping[str, Table], *, on_failure: Sequence[FailureListener] = ()) -> None:
        self._tables: Mapping[str, Table] = {}
        self._on_failure = tuple(on_failure)
        self.apply(subscribers)

    def apply(self, subscribers: Mapping[str, Table]) -> None:
        """From now on these tables take the place of those of the same names, or are added."""
        self._tables = {**self._tables, **subscribers}
        by_type: defaultdict[type[Event], list[tuple[str, Subscriber]]] = defaultdict(list)
        for name, table in self._tables.items():
            for event_type, subscriber in table.items():
                by_type[event_type].append((name, subscriber))
        self._by_type = {event_type: tuple(found) for event_type, found in by_type.items()}

    def observe(self, event: Event) -> None:
        """Take a fact. Never raises."""
        for name, subscriber in self._by_type.get(type(event), ()):
            try:
                subscriber(event)
            except Exception as error:  # noqa: BLE001  whatever it is, the call that emitted the fact goes on
                self._report(name, event, error)

    def _report(self, name: str, event: Event, error: Exception) -> None:
        for listener in self._on_failure:
            try:
                listener(name, type(event).__name__, error)
            except Exception:  # noqa: BLE001, S112  the last resort has failed; see the head of the module
                continue
