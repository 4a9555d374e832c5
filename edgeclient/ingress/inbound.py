"""What a servicer knows of an RPC besides its request.

A servicer takes a decoded request, an `Inbound` and, for a stream, a `Send`; it returns a reply or raises a
`CallError`. It never sees gRPC, so another wire engine could serve the same servicers.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from edgeclient.core.callers import ANONYMOUS
from edgeclient.core.deadline import Deadline

Send = Callable[[Message], Awaitable[None]]
"""Sends one message of a stream. Returns when the connection has taken it; raises `CancelledError` when the caller
left.
"""

Metadata = Sequence[tuple[str, str | bytes]]


def _nothing() -> Metadata:
    return ()


@dataclass(slots=True, kw_only=True)
class Inbound:
    """One RPC.

    Attributes:
        request_id: Id of the RPC at this node, told to the caller as `edge-request-id`.
        arrived_s: When it arrived, on the monotonic clock.
        deadline: The caller's own gRPC deadline.
        metadata: Gives the caller's metadata, keys in lower case, in the order received. A function, because most calls
            need none of it and making it costs more than the rest of this object (measured: 20 µs a call).
        caller: Who calls, see `identity.py`.
    """

    request_id: str
    arrived_s: float
    deadline: Deadline
    metadata: Callable[[], Metadata] = _nothing
    caller: str = ANONYMOUS

    def header(self, name: str) -> str:
        """The first metadata value of that name; "" if there is none."""
        for key, value in self.metadata():
            if key == name and isinstance(value, str):
                return value
        return ""
