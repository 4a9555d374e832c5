"""Effects that come before or instead of an answer, and answers without stream that break in the middle.

`inject` runs the effect of the transaction's rule and says whether the request is still to be served: True for a delay,
a graceful GOAWAY or a smaller stream limit, False when the effect was all that happens. A rule with `executed` has the
request carried out first, unheard (`replaces_answer` tells for which rules that is to be done), so that only the answer
is lost.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from .disturbance import IN_ANSWER, Broken, Disturbance, error_of, farewell, for_ever
from .errors import ERRORS, HTML_TYPE
from .exchange import H2_ERROR_CODES, Exchange
from .faults import FAREWELLS, Fault
from .reply import Reply
from .transaction import Transaction

_PORTAL: Final = (
    b"<!DOCTYPE html><html><head><title>Welcome to the network</title></head><body>Please log in.</body></html>\n"
)
_PORTAL_URL: Final = b"http://portal.invalid/login"
_SERVED_AFTER: Final = (
    frozenset({"delay_headers", "shrink_streams", "empty_answer", "wrong_type"}) | FAREWELLS | IN_ANSWER
)
_HUGE_BYTES: Final = 64 * 1024 * 1024
_FILLER: Final = b"x" * 65_536


def replaces_answer(fault: Fault) -> bool:
    """Does the effect stand where the answer would be; otherwise it disturbs the answer or comes before it."""
    return fault.kind not in _SERVED_AFTER and not fault.in_stream


async def inject(transaction: Transaction, fault: Fault) -> bool:
    """Do what the rule says before an answer; is the request to be served after it."""
    if fault.kind in IN_ANSWER or fault.in_stream:
        return True
    if fault.kind == "limit_burst_rate" and await _outlasts_burst(transaction, fault):
        return True
    if fault.kind == "delay_headers":
        await asyncio.sleep(fault.wait_s())
    elif fault.delay_s is not None:
        await asyncio.sleep(fault.delay_s)
    if fault.kind in ERRORS:
        transaction.refuse(error_of(fault))
    elif fault.kind in {"captive_portal", "captive_redirect"}:
        _portal(transaction, fault)
    elif fault.kind in {"empty_body", "huge_body"}:
        await _nonsense(transaction, fault)
    else:
        await _on_connection(transaction, fault)
    return fault.kind in _SERVED_AFTER


async def _outlasts_burst(transaction: Transaction, fault: Fault) -> bool:
    """The growth rule lasts delay_s (default 1): a client that sent X-DashScope-Wait-Timeout is queued that long."""
    patience = transaction.request.headers.get("x-dashscope-wait-timeout", "")
    if not patience.isdigit() or int(patience) < fault.wait_s():
        return False
    await asyncio.sleep(fault.wait_s())
    return True


def _portal(transaction: Transaction, fault: Fault) -> None:
    if fault.kind == "captive_portal":
        transaction.plain(200, [HTML_TYPE], _PORTAL)
    else:
        transaction.plain(302, [(b"location", _PORTAL_URL), HTML_TYPE], b"")


async def _nonsense(transaction: Transaction, fault: Fault) -> None:
    """A success that holds nothing, or far too much."""
    exchange = transaction.exchange
    transaction.entry.status = 200
    transaction.broken_by_us()
    exchange.send_head(200, transaction.headers((b"content-type", b"application/json")))
    left = 0 if fault.kind == "empty_body" else fault.size_bytes or _HUGE_BYTES
    while left > 0:
        await exchange.write(_FILLER[:left])
        left -= len(_FILLER)
    exchange.finish()


async def _on_connection(transaction: Transaction, fault: Fault) -> None:
    """Effects below the level of answers."""
    exchange = transaction.exchange
    match fault.kind:
        case "hang":
            await for_ever()
        case "black_hole":
            exchange.stop_reading()
            await for_ever()
        case "goaway" | "goaway_above":
            farewell(exchange, fault)
        case "shrink_streams":
            exchange.limit_streams(1 if fault.max_streams is None else fault.max_streams)
        case kind if kind in _BREAKS:
            transaction.broken_by_us()
            _BREAKS[kind](exchange, fault)
        case _:
            pass  # empty_answer and what acts later


def _goaway_close(exchange: Exchange, fault: Fault) -> None:
    exchange.goaway(fault.h2_number("ENHANCE_YOUR_CALM"), accept_this=False)
    exchange.close_connection()


_BREAKS: Final[Mapping[str, Callable[[Exchange, Fault], None]]] = {
    "goaway_below": lambda exchange, fault: exchange.goaway(fault.h2_number("NO_ERROR"), accept_this=False),
    "goaway_close": _goaway_close,
    "reset_stream": lambda exchange, fault: exchange.reset(fault.h2_number("INTERNAL_ERROR")),
    "refused_stream": lambda exchange, _: exchange.reset(H2_ERROR_CODES["REFUSED_STREAM"]),
    "close": lambda exchange, _: exchange.close_connection(),
    "tcp_reset": lambda exchange, _: exchange.abort_connection(),
}


async def answer_disturbed(transaction: Transaction, fault: Fault, reply: Reply) -> None:
    """An answer in one piece that is hit by an effect meant for answers under way: it happens at half of the body."""
    exchange, body = transaction.exchange, reply.body
    half = body[: len(body) // 2]
    if fault.kind in {"slow_first_token", "slow_chunks"}:
        await asyncio.sleep(fault.wait_s())
    if fault.executed and fault.kind in {"malformed_chunk", "stall", "cut", "cut_connection"}:
        transaction.entry.answer_lost = True
        transaction.settle(reply)
    if fault.kind == "malformed_chunk":
        transaction.plain(200, transaction.headers((b"content-type", reply.content_type)), half)
        return
    if fault.kind not in {"stall", "cut", "cut_connection"}:
        transaction.answer(reply)
        return
    transaction.entry.status = 200
    exchange.send_head(200, transaction.headers((b"content-type", reply.content_type)))
    await exchange.write(half)
    if fault.kind == "stall":
        await (for_ever() if fault.delay_s is None else asyncio.sleep(fault.delay_s))
        await exchange.write(body[len(half) :])
        transaction.settle(reply)
        exchange.finish()
        return
    with contextlib.suppress(Broken):
        await Disturbance(transaction).cut(fault)
