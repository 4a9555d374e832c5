"""The way of one chat through the cloud, from its decoded request to the work that answers it.

Live calls may wait for the growth rule if they ask to be queued (X-DashScope-Wait-Timeout), batch chats wait for their
turn, lines of a batch file wait for nothing here.
"""

import asyncio
from typing import Final

from .chat import ChatParts, admit, answer_unary, chat_reply, decide
from .disturbance import FINISH_REASONS
from .faults import Fault
from .host import Work
from .injection import answer_disturbed, inject
from .origin import Kind
from .stream import answer_stream
from .transaction import Transaction

WAIT_HEADER: Final = "x-dashscope-wait-timeout"
WAIT_MAX_S: Final = 120
_LOOK_EVERY_S: Final = 0.05
_GROWTH: Final = "limit_burst_rate"


class ChatRoad:
    """Decide, admit, answer."""

    def __init__(self, parts: ChatParts) -> None:
        self._parts = parts

    def serve(self, transaction: Transaction, problem: str | None) -> Work | None:
        """Answer or refuse now, or give the work that will; `problem` is why the body could not be read."""
        if (error := decide(transaction, self._parts, problem)) is not None:
            transaction.refuse(error)
            return None
        patience_s = _patience_s(transaction)
        error = admit(transaction, self._parts, patient=patience_s > 0)
        if error is None:
            return self._answer(transaction)
        if patience_s and error.name == _GROWTH:
            return self._outlast(transaction, patience_s)
        transaction.refuse(error)
        return None

    async def serve_after(self, transaction: Transaction, fault: Fault, problem: str | None) -> None:
        """The model computes while nothing is heard of it: a client that leaves a unary call pays for it."""
        error = decide(transaction, self._parts, problem) or admit(transaction, self._parts)
        if error is not None:
            transaction.refuse(error)
        elif await inject(transaction, fault) and (work := self._answer(transaction)) is not None:
            await work

    def _answer(self, transaction: Transaction) -> Work | None:
        if transaction.stream:
            return answer_stream(transaction, self._parts)
        fault = transaction.fault
        if fault is not None and not fault.in_stream:
            reply = chat_reply(transaction, finish_reason=FINISH_REASONS.get(fault.kind, ""))
            return answer_disturbed(transaction, fault, reply)
        transaction.queued = transaction.origin.kind is Kind.BATCH_CHAT
        return answer_unary(transaction, self._parts)

    async def _outlast(self, transaction: Transaction, patience_s: float) -> None:
        """Look again and again until the growth rule lets go or patience is over."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        transaction.queued = True
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            late = loop.time() >= end_s
            error = admit(transaction, self._parts, patient=not late)
            if error is None:
                transaction.queued = False
                if (work := self._answer(transaction)) is not None:
                    await work
                return
            if late or error.name != _GROWTH:
                transaction.refuse(error)
                return


def _patience_s(transaction: Transaction) -> int:
    """How long the client would rather be queued than refused."""
    text = transaction.request.headers.get(WAIT_HEADER, "")
    return min(int(text), WAIT_MAX_S) if text.isdigit() else 0
