"""What a connection needs from the simulator: somewhere to hand requests, someone to own its tasks, numbers to count.

Both HTTP versions take a `Host` instead of the simulator itself, so a test can drive a connection with a small fake.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Final, Protocol

from .exchange import Exchange

Work = Coroutine[object, object, None]
UPLOAD_END: Final = "/files"


@dataclass(slots=True, kw_only=True)
class Stats:
    """Facts about the traffic since the start or the last reset; `*_now` fields are gauges.

    Requests to the admin API travel like all others and are counted here; the ledger leaves them out.
    """

    connections_accepted: int = 0
    connections_open_now: int = 0
    requests: int = 0
    in_flight_now: int = 0
    in_flight_max: int = 0
    streams_refused: int = 0
    streams_reset_by_client: int = 0
    goaways_sent: int = 0
    protocol_errors: int = 0
    by_protocol: dict[str, int] = field(default_factory=dict)

    def request_began(self, protocol: str) -> None:
        """Count a request whose headers have arrived."""
        self.requests += 1
        self.by_protocol[protocol] = self.by_protocol.get(protocol, 0) + 1
        self.in_flight_now += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight_now)

    def reset(self) -> None:
        """Start to count anew; the gauges keep their value."""
        self.connections_accepted = self.requests = self.streams_refused = self.streams_reset_by_client = 0
        self.goaways_sent = self.protocol_errors = 0
        self.in_flight_max = self.in_flight_now
        self.by_protocol = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may use."""

    max_body_bytes: int
    max_upload_bytes: int  # of a request whose path ends with `UPLOAD_END`
    max_streams: int

    def body_bytes(self, path: str) -> int:
        """How large the body of a request to this path may be."""
        return self.max_upload_bytes if path.endswith(UPLOAD_END) else self.max_body_bytes


class Host(Protocol):
    """The simulator as its connections see it."""

    stats: Stats
    limits: ConnectionLimits
    undecided: set["Closable"]  # open connections whose HTTP version is not known yet

    @property
    def accepting(self) -> bool:
        """False during an outage, when a late TLS handshake may still end."""

    def handle(self, exchange: Exchange) -> Work | None:
        """Answer at once and return None, or return the work that will answer."""

    def spawn(self, work: Work, name: str) -> asyncio.Task[None]:
        """Run `work` in the task group that ends with the simulator."""

    def joined(self, connection: "Closable") -> int:
        """Register an open connection and give it its number."""

    def left(self, connection: "Closable") -> None:
        """Forget a connection that is closed."""


class Closable(Protocol):
    """A connection that can be told to end."""

    def abort(self) -> None:
        """Close the connection now; its handlers are cancelled."""
