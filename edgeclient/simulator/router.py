"""From a request to its handler: key, path, fault, in the order in which the real gateway and the network act.

A fault comes first, since a broken line asks for no key. `handle` answers at once where nothing has to wait.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final

from .address import CHAT, address_of
from .admin import PREFIX, Admin
from .batch import dry_run
from .batch.management import Management
from .captured import CapturedExchange
from .chat import ChatParts, read_chat
from .chat_road import ChatRoad
from .embeddings import answer_embeddings
from .errors import ERRORS, ApiError
from .exchange import H2_ERROR_CODES, Exchange
from .faults import Fault, FaultBook
from .host import Work
from .identifiers import Identifiers
from .injection import answer_disturbed, inject, replaces_answer
from .ledger import Ledger
from .models import list_models, model_names
from .origin import Kind, Origin
from .rates.quotas import list_quotas
from .reply import Reply, json_reply
from .transaction import Transaction
from .validation import refuse

INVALID_KEYS: Final = "sk-invalid"
_COMPUTES_UNHEARD: Final = frozenset({"hang", "delay_headers"})
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
        management: Management,
        api_key: str | None,
        gzip: bool,
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._admin = admin
        self._chat = chat
        self._road = ChatRoad(chat)
        self._management = management
        self._api_key = api_key
        self._gzip = gzip
        self._ids = Identifiers(chat.seed)

    def handle(self, exchange: Exchange) -> Work | None:
        """Answer now, or give the work that will."""
        if exchange.request.path.startswith(PREFIX):
            return self._admin.handle(exchange)
        address = address_of(exchange.request)
        transaction = self._transaction(exchange, address.origin)
        return self._begin(transaction, address.operation)

    async def carry_out(self, exchange: Exchange, origin: Origin) -> str:
        """Answer a line of a batch file; gives the id under which the ledger knows it."""
        transaction = self._transaction(exchange, origin)
        work = self._begin(transaction, address_of(exchange.request).operation)
        if work is not None:
            await work
        return transaction.request_id

    def _transaction(self, exchange: Exchange, origin: Origin) -> Transaction:
        return Transaction(exchange, self._ledger, self._ids.uuid(), gzip_answers=self._gzip, origin=origin)

    def _begin(self, transaction: Transaction, operation: str) -> Work | None:
        try:
            problem = read_chat(transaction) if operation == CHAT else None
            fault = self._faults.pick(transaction)
            if fault is not None:
                transaction.fault = fault
                transaction.entry.fault = fault.kind
                return _guarded(transaction, self._faulted(transaction, fault, operation, problem))
            work = self._serve(transaction, operation, problem)
        except Exception:  # noqa: BLE001 - as in `_guarded`
            _defect(transaction)
            return None
        return None if work is None else _guarded(transaction, work)

    async def _faulted(self, transaction: Transaction, fault: Fault, operation: str, problem: str | None) -> None:
        if fault.executed and replaces_answer(fault):
            await self._carry_out_unheard(transaction, fault, operation, problem)
            await inject(transaction, fault)
            return
        if fault.kind in _COMPUTES_UNHEARD and transaction.chat is not None:
            if self._authorised(transaction):
                await self._road.serve_after(transaction, fault, problem)
            return
        if await inject(transaction, fault):
            work = self._serve(transaction, operation, problem)
            if work is not None:
                await work

    async def _carry_out_unheard(
        self, transaction: Transaction, fault: Fault, operation: str, problem: str | None
    ) -> None:
        """Do what was asked and bill it; the client hears nothing of it."""
        heard, transaction.exchange = transaction.exchange, CapturedExchange(transaction.request)
        transaction.fault = None
        try:
            work = self._serve(transaction, operation, problem)
            if work is not None:
                await work
        finally:
            transaction.exchange, transaction.fault = heard, fault
        transaction.entry.answer_lost = True

    def _serve(self, transaction: Transaction, operation: str, problem: str | None) -> Work | None:
        if not self._authorised(transaction):
            return None
        if transaction.request.truncated:
            transaction.refuse(ERRORS["too_large"])
            return None
        if operation == CHAT and transaction.method == "POST":
            return self._road.serve(transaction, problem)
        reply = self._reply(transaction, operation)
        if isinstance(reply, ApiError):
            transaction.refuse(reply)
        elif transaction.fault is not None and not transaction.fault.in_stream:
            return answer_disturbed(transaction, transaction.fault, reply)
        else:
            transaction.answer(reply)
        return None

    def _reply(self, transaction: Transaction, operation: str) -> Reply | ApiError:
        """What needs no model that takes its time."""
        request = transaction.request
        reply: Reply | ApiError | None
        match request.method, operation:
            case "POST", "embeddings":
                reply = answer_embeddings(transaction, seed=self._chat.seed)
            case "GET", "models":
                reply = json_reply(list_models())
            case "GET", "quotas":
                reply = list_quotas(request.query, self._chat.rates, model_names(), transaction.request_id)
            case "POST", dry_run.OPERATION if transaction.origin.kind is Kind.BATCH_FILE:
                reply = dry_run.answer_dry_run(transaction)
            case _:
                reply = self._management.answer(request, operation)
        return ERRORS["not_found"] if reply is None else reply

    def _authorised(self, transaction: Transaction) -> bool:
        if self._api_key == "":
            return True
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
