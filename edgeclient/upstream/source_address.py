"""From which address this node would speak to the world now: what a connection dies of when it changes.

A connection belongs to the address that it was made from. After a new lease, or a change from cable to radio, its
packets vanish and nobody says so: only the ping finds out, after half a minute. The kernel knows at once: a UDP socket
that is connected, which sends nothing, has the address that its routes choose. It takes two system calls for each
family and no privilege. The destinations are addresses for documentation (RFC 5737, RFC 3849), so it is the default
route that answers.
"""

import socket
from math import inf
from typing import Final

_DESTINATIONS: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_PORT: Final = 9  # discard
LOOK_EVERY_S = 0.2  # it costs less than 100 us


def source_addresses() -> dict[int, str]:
    """The addresses by family; a family without a route is not in it."""
    found = {}
    for family, destination in _DESTINATIONS:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((destination, _PORT))
                found[int(family)] = str(probe.getsockname()[0])
        except OSError:
            continue  # no route, or a machine without this family
    return found


class SourceWatch:
    """Whether this node still speaks from the address of now, from which a connection is made."""

    __slots__ = ("_look_at_s", "_sources")

    def __init__(self) -> None:
        self._look_at_s = -inf
        self._sources = source_addresses()

    def has_moved(self, *, now_s: float) -> bool:
        """This node speaks from another address than before: its connections are dead, or soon will be.

        Told once for each move. A way that is gone altogether says nothing: it may come back with the address that it
        had.
        """
        if now_s < self._look_at_s:
            return False
        self._look_at_s = now_s + LOOK_EVERY_S
        before, now = self._sources, source_addresses()
        self._sources = before | now
        return any(before.get(family, source) != source for family, source in now.items())
