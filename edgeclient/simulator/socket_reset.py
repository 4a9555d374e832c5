"""TCP RST instead of FIN, for the fault `tcp_reset`.

Asyncio has no call for it: closing a socket that lingers for zero seconds sends RST. The option is set through a
duplicate of the file descriptor because uvloop hands out a socket object without `setsockopt`.
"""

import asyncio
import os
import socket
import struct


def abort_with_reset(transport: asyncio.Transport) -> None:
    """Close `transport` so that the peer sees `connection reset by peer`."""
    plain = transport.get_extra_info("socket")
    if plain is not None and plain.fileno() >= 0:
        with socket.socket(fileno=os.dup(plain.fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
