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

GZIP_MIN_BYTES: Final = 256


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

    __slots__ = ("arrived", "chat", "completion", "entry", "exchange", "fault", "gzip", "ledger", "request_id")

    def __init__(self, exchange: Exchange, ledger: Ledger, request_id: str, *, gzip_answers: bool) -> None:
        self.exchange = exchange
        self.ledger = ledger
        self.request_id = request_id
        self.arrived = time.time()
        self.entry: Entry = ledger.open(exchange.request, request_id)
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
    def text(self) -> str:
        """All texts of the conversation, or the whole body if it is no chat."""
        if self.chat is None:
            return self.request.body.decode(errors="replace")
        return "\n".join(message.text for message in self.chat.messages)

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
            (b"x-dashscope-timeout", b"600"),
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
        return result

    def answer(self, body: bytes, *, prompt_tokens: int = 0, tokens: int = 0) -> None:
        """200 with a JSON body, billed."""
        headers = self.headers((b"content-type", b"application/json"))
        if self.gzip and len(body) >= GZIP_MIN_BYTES and "gzip" in self.request.headers.get("accept-encoding", ""):
            headers.append((b"content-encoding", b"gzip"))
            body = gzip.compress(body, compresslevel=1)
        self.entry.status = 200
        self.entry.tokens_generated = tokens
        self.ledger.settle(self.entry, Outcome.ANSWERED, prompt_billed=prompt_tokens, billed=tokens)
        self.exchange.send_all(200, headers, body)

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
        """We break off: free."""
        self.ledger.settle(self.entry, Outcome.CUT_BY_SERVER)

    def left_by_client(self) -> None:
        """The client went away before the end."""
        completion = self.completion
        if completion is None or (self.fault is not None and self.fault.kind == "black_hole"):
            self.ledger.settle(self.entry, Outcome.CUT_BY_CLIENT)
            return
        if not self.entry.stream:  # the model goes on computing what nobody will read
            self.entry.tokens_generated = completion.completion_tokens
        generated = self.entry.tokens_generated
        prompt = completion.prompt_tokens if generated else 0
        self.ledger.settle(self.entry, Outcome.CUT_BY_CLIENT, prompt_billed=prompt, billed=generated)
