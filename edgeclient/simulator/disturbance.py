"""What a fault does to an answer that is under way.

The writer of an answer asks `before_chunk` before each chunk and `at_end` at the end; this is the one place that knows
which effect belongs where. A disturbance that ends the answer says so by `Broken`, after it has told the ledger.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from .errors import ERRORS, ApiError, render_in_stream
from .exchange import Exchange
from .faults import FAREWELLS, Fault
from .ledger import Outcome
from .transaction import Transaction

IN_ANSWER: Final = frozenset(
    {
        "slow_first_token",
        "slow_chunks",
        "stall",
        "cut",
        "cut_connection",
        "malformed_chunk",
        "no_finish",
        "no_done",
        "error_finish",
        "sse_noise",
    }
)
FINISH_REASONS: Final[Mapping[str, str | None]] = {"no_finish": None, "error_finish": "error_finish"}
NOISE: Final = b": keep-alive\n\nretry: 3000\n\nid: 7\nevent: ping\n\n:\r\n\r\n"
CUT_GAP_S: Final = 0.02  # some clients throw away what they have not read yet when a reset comes with it
MALFORMED: Final = b'data: {"choices":[{"delta":{"content":"\n\n'


class Broken(Exception):  # noqa: N818 - a way out of the writer, no error of ours
    """The answer has ended early."""


def error_of(fault: Fault) -> ApiError:
    """The error of a rule, with what the rule changes of it."""
    row = ERRORS[fault.kind]
    return ApiError(
        name=row.name,
        status=row.status if fault.status is None else fault.status,
        code=row.code if fault.code is None else fault.code,
        native=row.native if fault.code is None else fault.code,
        message=row.message if fault.message is None else fault.message,
        kind=row.kind,
        param=row.param,
        shape=fault.shape or row.shape,
    )


def farewell(exchange: Exchange, fault: Fault) -> None:
    """GOAWAY that leaves this request alone."""
    exchange.goaway(fault.h2_number("NO_ERROR"), accept_this=True, later_too=fault.kind == "goaway_above")


async def for_ever() -> None:
    """Wait until the client has had enough."""
    await asyncio.get_running_loop().create_future()


class Disturbance:
    """The part of a rule that acts on an answer under way; without a rule it does nothing."""

    __slots__ = ("_fault", "_kind", "_transaction")

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        fault = transaction.fault
        self._fault = fault
        self._kind = None if fault is None else fault.kind

    @property
    def active(self) -> bool:
        """Is there anything to do."""
        return self._fault is not None

    @property
    def finish_reason(self) -> str | None:
        """What replaces the finish reason; empty: nothing does."""
        return FINISH_REASONS.get(self._kind or "", "")

    @property
    def without_end(self) -> bool:
        """No finish chunk, no usage, no [DONE]."""
        return self._kind == "no_finish"

    @property
    def without_done(self) -> bool:
        """No [DONE]."""
        return self._kind in {"no_finish", "no_done"}

    async def before_chunk(self, number: int) -> None:
        """Chunk `number` (from 0; the first carries only the role) is about to be written."""
        fault, exchange = self._fault, self._transaction.exchange
        if fault is None:
            return
        if fault.kind == "slow_chunks" or (fault.kind == "slow_first_token" and number == 1):
            await asyncio.sleep(fault.wait_s())
        if fault.kind == "sse_noise" and number % 2 == 0:
            await exchange.write(NOISE)
        if number != fault.chunks_before:
            return
        if fault.kind == "stall":
            await (for_ever() if fault.delay_s is None else asyncio.sleep(fault.delay_s))
        elif fault.kind == "malformed_chunk":
            await exchange.write(MALFORMED)
        elif fault.kind in {"cut", "cut_connection"}:
            await self.cut(fault)
        elif fault.kind in FAREWELLS and fault.in_stream:
            farewell(exchange, fault)
        elif fault.kind in ERRORS:
            self._transaction.ledger.settle(self._transaction.entry, Outcome.REFUSED)
            await exchange.write(render_in_stream(error_of(fault), self._transaction.request_id))
            exchange.finish()
            raise Broken

    async def at_end(self, chunks: int) -> None:
        """All chunks are written; an effect that was to come later comes now, so no rule passes without effect."""
        if self._fault is not None and chunks <= self._fault.chunks_before:
            await self.before_chunk(self._fault.chunks_before)

    async def cut(self, fault: Fault) -> None:
        """Break off, a moment after what was written before."""
        await asyncio.sleep(fault.wait_s(CUT_GAP_S))
        self._transaction.broken_by_us()
        if fault.kind == "cut_connection":
            self._transaction.exchange.close_connection()
        else:
            self._transaction.exchange.reset(fault.h2_number("INTERNAL_ERROR"))
        raise Broken
