"""From which address this node would speak to the world now: what a connection dies of when it changes.

A connection belongs to the address that it was made from. After a new lease, or a change from cable to radio, its
packets vanish and nobody says so: only the ping finds out, after half a minute. The kernel knows at once: a UDP socket
that is connected, which sends nothing, has the address that its routes choose. It takes two system calls for each
family and no privilege. The destinations are addresses for documentation (RFC 5737, RFC 3849), so it is the default
route that answers.
"""

import socket
from typing import Final

_DESTINATIONS: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_PORT: Final = 9  # discard


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
