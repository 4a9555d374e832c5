"""One request on its way through the simulated cloud: what was asked, what was decided, what the ledger is told.

It gathers what every handler needs (exchange, ledger entry, request id, the fault that hits it) and is the only place
that turns an outcome into an answer plus a ledger entry, so the two can never disagree.
"""

import gzip
import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from .chat_request import ChatRequest
from .completion import Completion
from .errors import ApiError, render
from .exchange import Exchange, Headers, Request
from .faults import Fault
from .ledger import Entry, Ledger, Outcome
from .origin import LIVE, Kind, Origin
from .rates.judge import Admission
from .reply import Reply

GZIP_MIN_BYTES: Final = 256
_TIMEOUTS_S: Final = {Kind.LIVE: b"600", Kind.MANAGEMENT: b"600", Kind.BATCH_FILE: b"3600", Kind.BATCH_CHAT: b"3600"}


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def retry_after_header(spelling: str) -> tuple[bytes, bytes]:
    """`5`, `date:5` or `ms:1500` as the header it stands for."""
    if spelling.startswith("date:"):
        return (b"retry-after", formatdate(time.time() + int(spelling[5:]), usegmt=True).encode())
    if spelling.startswith("ms:"):
        return (b"retry-after-ms", spelling[3:].encode())
    return (b"retry-after", spelling.encode())


class Transaction:
    """See the module."""

    __slots__ = (
        "_admission",
        "arrived",
        "chat",
        "completion",
        "entry",
        "exchange",
        "fault",
        "gzip",
        "ledger",
        "origin",
        "queued",
        "request_id",
    )

    def __init__(
        self, exchange: Exchange, ledger: Ledger, request_id: str, *, gzip_answers: bool, origin: Origin = LIVE
    ) -> None:
        self.exchange = exchange
        self.ledger = ledger
        self.request_id = request_id
        self.origin = origin
        self.queued = False  # it waits for its turn, nothing is computed yet
        self.arrived = time.time()
        self.entry: Entry = ledger.open(exchange.request, request_id, origin)
        self._admission: Admission | None = None
        self.chat: ChatRequest | None = None
        self.completion: Completion | None = None
        self.fault: Fault | None = None
        self.gzip = gzip_answers

    # what fault rules look at

    @property
    def request(self) -> Request:
        """The request."""
        return self.exchange.request

    @property
    def path(self) -> str:
        """Path without query."""
        return self.exchange.request.path

    @property
    def model(self) -> str:
        """Name of the model as it was asked for, or nothing."""
        return self.entry.model

    @property
    def stream(self) -> bool:
        """Was a stream asked for."""
        return self.entry.stream

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.exchange.request.method

    @property
    def call(self) -> str:
        """The way that the call came."""
        return self.origin.kind.value

    @property
    def custom_id(self) -> str:
        """Of a batch line, or nothing."""
        return self.origin.custom_id or ""

    @property
    def line(self) -> int | None:
        """Of a batch file, from 1."""
        return self.origin.line

    @property
    def text(self) -> str:
        """All texts of the conversation, or the whole body if it is no chat."""
        if self.chat is None:
            return self.request.body.decode(errors="replace")
        return "\n".join(message.text for message in self.chat.messages)

    # progress

    def admitted(self, admission: Admission) -> None:
        """The rate limits have let it in; they are told what it generates and when it ends."""
        self._admission = admission
        self.ledger.when_settled(self.entry, lambda entry: admission.end(entry.tokens_generated))

    def generated(self, tokens: int) -> None:
        """So many tokens more of the answer exist."""
        self.entry.tokens_generated += tokens
        if self._admission is not None:
            self._admission.generated(self.entry.tokens_generated)
        self.ledger.changed()

    # answers

    def headers(self, *first: tuple[bytes, bytes], finished: bool = True) -> Headers:
        """The headers of the real gateway."""
        now = time.time()
        spent = b"%d" % ((now - self.arrived) * 1000)
        arrived = b"%d" % (self.arrived * 1000)
        result = [
            *first,
            (b"x-request-id", self.request_id.encode()),
            (b"x-dashscope-call-gateway", b"true"),
            (b"x-dashscope-finished", b"true" if finished else b"false"),
            (b"x-dashscope-timeout", _TIMEOUTS_S[self.origin.kind]),
            (b"req-cost-time", spent),
            (b"req-arrive-time", arrived),
            (b"resp-start-time", b"%d" % (now * 1000)),
            (b"x-envoy-upstream-service-time", spent),
            (b"date", _date(int(now))),
            (b"server", b"istio-envoy"),
            (b"vary", b"Origin,Accept-Encoding"),
        ]
        if self.fault is not None and self.fault.retry_after is not None:
            result.append(retry_after_header(self.fault.retry_after))
        if self.fault is not None and self.fault.kind == "wrong_type":
            result = [(name, b"text/plain" if name == b"content-type" else value) for name, value in result]
        return result

    def answer(self, reply: Reply) -> None:
        """200, billed."""
        headers, body = self.headers((b"content-type", reply.content_type)), reply.body
        if self.gzip and len(body) >= GZIP_MIN_BYTES and "gzip" in self.request.headers.get("accept-encoding", ""):
            headers.append((b"content-encoding", b"gzip"))
            body = gzip.compress(body, compresslevel=1)
        self.entry.status = 200
        self.settle(reply)
        self.exchange.send_all(200, headers, body)

    def settle(self, reply: Reply) -> None:
        """Bill a reply that is or will be sent."""
        self.entry.tokens_generated = reply.tokens
        self.ledger.settle(self.entry, Outcome.ANSWERED, prompt_billed=reply.prompt_tokens, billed=reply.tokens)

    def refuse(self, error: ApiError) -> None:
        """An error status; nothing is billed."""
        self.entry.status = error.status
        self.ledger.settle(self.entry, Outcome.REFUSED)
        headers, body = render(error, self.request_id)
        self.exchange.send_all(error.status, self.headers(*headers), body)

    def plain(self, status: int, headers: Headers, body: bytes) -> None:
        """An answer that does not come from the cloud at all."""
        self.entry.status = status
        self.ledger.settle(self.entry, Outcome.REFUSED)
        self.exchange.send_all(status, headers, body)

    # ends

    def broken_by_us(self) -> None:
        """We break off: free, unless the rule says that it was carried out; then what was generated is paid."""
        billed = 0
        if self.fault is not None and self.fault.executed and self.completion is not None:
            self.entry.answer_lost = True
            billed = self.entry.tokens_generated
        prompt = self.completion.prompt_tokens if billed and self.completion is not None else 0
        self.ledger.settle(self.entry, Outcome.CUT_BY_SERVER, prompt_billed=prompt, billed=billed)

    def left_by_client(self) -> None:
        """The client went away before the end."""
        completion = self.completion
        if self.origin.kind is Kind.BATCH_FILE:  # nobody can leave it but the cloud that ends the batch
            self.broken_by_us()
            return
        if completion is None or self.queued or (self.fault is not None and self.fault.kind == "black_hole"):
            self.ledger.settle(self.entry, Outcome.CUT_BY_CLIENT)
            return
        if not self.entry.stream:  # the model goes on computing what nobody will read
            self.entry.tokens_generated = completion.completion_tokens
        generated = self.entry.tokens_generated
        prompt = completion.prompt_tokens if generated else 0
        self.ledger.settle(self.entry, Outcome.CUT_BY_CLIENT, prompt_billed=prompt, billed=generated)
