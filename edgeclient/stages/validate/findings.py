"""What was found wrong with one request.

All of it is counted and the first 32 are kept: more than that nobody reads, and the answer travels in HTTP/2 trailers,
which have little room.
"""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from edgeclient.core.errors import Violation

Check = Callable[[Any], str | None]
"""What is wrong with the value of one field and what would be right; None if nothing is."""

MOST_LISTED = 32
_MOST_SHOWN = 40


class Findings:
    """Violations in the order in which they were found.

    Attributes:
        listed: The first ones.
        count: How many there are, the unlisted ones included.
    """

    __slots__ = ("count", "listed")

    def __init__(self) -> None:
        self.listed: list[Violation] = []
        self.count = 0

    def add(self, path: str, description: str) -> None:
        """Note one."""
        self.count += 1
        if self.count <= MOST_LISTED:
            self.listed.append(Violation(field=path, description=description))

    def look(self, message: Message, checks: Mapping[str, Check], path: str) -> dict[str, Any]:
        """Apply the table's rows to the fields that are set; an unset field costs nothing.

        Args:
            message: What is looked at.
            checks: Rows of the table for this type of message.
            path: Where the message stands, with the dot that leads to its fields; "" for the request itself.

        Returns:
            The fields that are set, by name.
        """
        present = {}
        for field, value in message.ListFields():
            name = field.name
            present[name] = value
            check = checks.get(name)
            if check is not None:
                problem = check(value)
                if problem is not None:
                    self.add(path + name, problem)
        return present


def shown(name: str) -> str:
    """A name that the caller chose, as it may stand in a sentence: quoted, and not longer than a line."""
    return repr(name) if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]!r}..."


def choice_of(names: list[str]) -> str:
    """Alternatives in a sentence: `A, B or C`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
