"""A client for one origin: its engine, who uses it, and what is known about its connection.

HTTP/2 carries all calls over one connection, so connecting is done once for all: the first request leads, the others
wait for it and share its failure. Otherwise fifty calls that find the link dead would, inside the engine, try one after
the other, each for the full connect time-out and with no one able to say that nothing was sent.

The proof that a connection stands is the request body: an engine asks for it when it has somewhere to send it. So the
leading request carries its body as a stream that tells when it is asked for (`ToldBody`), and every failure before that
is certainly not billed. As long as one request is on the wire, or something was heard within a second, the connection
is taken to stand and bodies are handed over whole, which costs a third less CPU.

A connection does not survive a change of this node's address, and nothing tells it: so who uses a line looks now and
then whether the address is still the one that it was made from.
"""

import asyncio
from enum import Enum
from math import inf

from edgeclient.core.errors import CallError
from edgeclient.upstream.engines import Engine
from edgeclient.upstream.source_address import source_addresses

_FRESH_S = 1.0
_LOOK_EVERY_S = 0.2  # it costs less than 100 us


class Dial(Enum):
    """How an attempt to connect ended, if not in an error."""

    STANDS = "there is a connection"
    ABANDONED = "nobody knows: it was given up"


class Line:
    """A client for one origin; see the module.

    Attributes:
        engine: What runs on the wire.
        shares: All requests travel over one connection (HTTP/2).
        negotiates: Its protocol is not known yet, so it must not carry calls.
        retired: New exchanges use another line; this one is closed with its last exchange.
        users: Exchanges that use it.
        on_wire: Exchanges that have been sent and have not ended.
        heard_s: When the last byte came, on the monotonic clock; 0.0: never, or the connection broke since.
    """

    __slots__ = (
        "_dial",
        "_look_at_s",
        "_sources",
        "engine",
        "heard_s",
        "negotiates",
        "on_wire",
        "retired",
        "shares",
        "users",
    )

    def __init__(self, engine: Engine, *, shares: bool, negotiates: bool = False) -> None:
        self.engine = engine
        self.shares = shares
        self.negotiates = negotiates
        self.retired = False
        self.users = 0
        self.on_wire = 0
        self.heard_s = 0.0
        self._dial: asyncio.Future[CallError | Dial] | None = None
        self._look_at_s = -inf
        self._sources = source_addresses()

    def __repr__(self) -> str:
        traits = "negotiates" if self.negotiates else "shared" if self.shares else "not shared"
        return f"<Line {traits}, {self.users} users, {self.on_wire} on the wire{', retired' * self.retired}>"

    async def admit(self, *, now_s: float) -> bool:
        """Wait until it is known whether a connection stands; True: it does not, the caller leads.

        Who leads has to call `settle` exactly once.

        Raises:
            CallError: Somebody else led and failed.
        """
        while self.negotiates or not (self.on_wire or now_s - self.heard_s < _FRESH_S):
            if self._dial is None:
                self._dial = asyncio.get_running_loop().create_future()
                return True
            dial = self._dial
            await asyncio.wait([dial])
            outcome = dial.result()
            if isinstance(outcome, CallError):
                raise type(outcome)(outcome.reason, outcome.message, retry_after_s=outcome.retry_after_s)
            if outcome is Dial.STANDS:
                return False
        return False

    def has_moved(self, *, now_s: float) -> bool:
        """This node speaks from another address than when the line was made: its connection is dead, or soon will be.

        A way that is gone altogether says nothing: it may come back with the address that it had.
        """
        if now_s < self._look_at_s:
            return False
        self._look_at_s = now_s + _LOOK_EVERY_S
        before, now = self._sources, source_addresses()
        self._sources = before | now
        return any(before.get(family, source) != source for family, source in now.items())

    def settle(self, outcome: CallError | Dial) -> None:
        """Tell the others how connecting ended."""
        dial, self._dial = self._dial, None
        if dial is not None:
            dial.set_result(outcome)
