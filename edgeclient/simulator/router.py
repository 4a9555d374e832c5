"""From a request to its handler: key, path, fault, in the order in which the real gateway and the network act.

A fault comes first, since a broken line asks for no key. `handle` answers at once where nothing has to wait.
"""

import asyncio
import logging
from collections.abc import Coroutine
from random import Random
from typing import Final

import msgspec

from .admin import PREFIX, Admin
from .chat import ChatParts, answer_unary, prepare, read_chat
from .embeddings import answer_embeddings
from .errors import ERRORS
from .exchange import H2_ERROR_CODES, Exchange
from .faults import Fault, FaultBook
from .host import Work
from .injection import answer_unary_disturbed, inject
from .ledger import Ledger
from .models import EMBEDDING_MODELS, MODELS
from .stream import answer_stream
from .transaction import Transaction
from .validation import refuse

ROOTS: Final = ("/compatible-mode/v1/", "/v1/")
INVALID_KEYS: Final = "sk-invalid"
_LOG: Final = logging.getLogger(__name__)


class Router:
    """The simulated gateway behind the connections."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        faults: FaultBook,
        admin: Admin,
        chat: ChatParts,
        api_key: str | None,
        gzip: bool,
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._admin = admin
        self._chat = chat
        self._api_key = api_key
        self._gzip = gzip
        self._ids = Random(chat.seed)  # noqa: S311 - repeatable, no secret

    def _new_id(self) -> str:
        digits = f"{self._ids.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def handle(self, exchange: Exchange) -> Work | None:
        """Answer now, or give the work that will."""
        if exchange.request.path.startswith(PREFIX):
            self._admin.handle(exchange)
            return None
        transaction = Transaction(exchange, self._ledger, self._new_id(), gzip_answers=self._gzip)
        try:
            return self._begin(transaction)
        except Exception:  # noqa: BLE001 - as in `_guarded`
            _defect(transaction)
            return None

    def _begin(self, transaction: Transaction) -> Work | None:
        operation = _operation(transaction.path)
        problem = read_chat(transaction) if operation == "chat/completions" else None
        fault = self._faults.pick(transaction)
        if fault is not None:
            transaction.fault = fault
            transaction.entry.fault = fault.kind
            return _guarded(transaction, self._faulted(transaction, fault, operation, problem))
        work = self._serve(transaction, operation, problem)
        return None if work is None else _guarded(transaction, work)

    async def _faulted(
        self, transaction: Transaction, fault: Fault, operation: str | None, problem: str | None
    ) -> None:
        if fault.kind in {"hang", "delay_headers"} and transaction.chat is not None:
            # The model computes while nothing is heard of it: a client that leaves a unary call pays for it.
            ready = self._authorised(transaction) and prepare(transaction, self._chat, problem)
            if ready and await inject(transaction, fault):
                await self._answer_chat(transaction)
            return
        if await inject(transaction, fault):
            work = self._serve(transaction, operation, problem)
            if work is not None:
                await work

    def _serve(self, transaction: Transaction, operation: str | None, problem: str | None) -> Work | None:
        request = transaction.request
        if not self._authorised(transaction):
            return None
        if request.truncated:
            transaction.refuse(ERRORS["too_large"])
        elif operation == "chat/completions" and request.method == "POST":
            if prepare(transaction, self._chat, problem):
                return self._answer_chat_or_now(transaction)
        elif operation == "embeddings" and request.method == "POST":
            answer_embeddings(transaction, seed=self._chat.seed)
        elif operation == "models" and request.method == "GET":
            _list_models(transaction)
        else:
            transaction.refuse(ERRORS["not_found"])
        return None

    def _authorised(self, transaction: Transaction) -> bool:
        kind, _, key = transaction.request.headers.get("authorization", "").partition(" ")
        accepted = key == self._api_key if self._api_key is not None else bool(key)
        if kind.lower() == "bearer" and accepted and not key.startswith(INVALID_KEYS):
            return True
        if not key:
            text = "You didn't provide an API key. You need to provide it in an Authorization header using Bearer auth."
            transaction.refuse(refuse(text, name="invalid_api_key"))
        else:
            transaction.refuse(ERRORS["invalid_api_key"])
        return False

    def _answer_chat_or_now(self, transaction: Transaction) -> Work | None:
        if transaction.stream:
            return answer_stream(transaction, self._chat)
        fault = transaction.fault
        if fault is not None and not fault.in_stream:
            return answer_unary_disturbed(transaction, fault)
        return answer_unary(transaction, self._chat)

    async def _answer_chat(self, transaction: Transaction) -> None:
        work = self._answer_chat_or_now(transaction)
        if work is not None:
            await work


def _operation(path: str) -> str | None:
    """The part of the path behind the API's root."""
    for root in ROOTS:
        if path.startswith(root):
            return path[len(root) :]
    return None


def _list_models(transaction: Transaction) -> None:
    created = 1_750_000_000  # any moment, but always the same
    data = [
        {"id": name, "object": "model", "created": created, "owned_by": "system"}
        for name in (*MODELS, *EMBEDDING_MODELS)
    ]
    transaction.answer(msgspec.json.encode({"object": "list", "data": data}))


async def _guarded(transaction: Transaction, work: Coroutine[object, object, None]) -> None:
    """Settle what the client leaves behind, and never let a defect of ours look like silence."""
    try:
        await work
    except asyncio.CancelledError:
        transaction.left_by_client()
        raise
    except Exception:  # noqa: BLE001 - a defect must be seen by the log and by the client, not end the whole simulator
        _defect(transaction)


def _defect(transaction: Transaction) -> None:
    """Something here is wrong, or a schema is stranger than `synthesis` can bear."""
    _LOG.exception("simulator: defect while serving %s", transaction.path)
    if transaction.entry.status is None:
        transaction.refuse(ERRORS["internal_error"])
    else:
        transaction.broken_by_us()
        transaction.exchange.reset(H2_ERROR_CODES["INTERNAL_ERROR"])
