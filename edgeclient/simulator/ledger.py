"""What the cloud received, did and billed: the oracle that tests ask.

One entry per request, opened when it has been read and settled once; a second outcome of the same request is ignored,
because the first fact is what the client can have seen. The key itself never enters: a fingerprint tells keys apart.

Billing follows the provider: a success is billed in full; a stream that the client cuts is billed for what was
generated, a unary call that it cuts is billed in full (the model goes on computing); everything else is free. Tokens
are counted, prices are not known here: an entry has the factor that its way puts on the price, and how many of the
prompt's tokens came from the context cache.
Both the number of entries and the kept bodies are bounded; the oldest are dropped first, totals are not affected.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from .exchange import Request
from .origin import LIVE, Kind, Origin


class Outcome(StrEnum):
    """How a request ended."""

    IN_FLIGHT = "in_flight"
    ANSWERED = "answered"
    REFUSED = "refused"  # an error status, or an error inside a stream
    CUT_BY_CLIENT = "cut_by_client"
    CUT_BY_SERVER = "cut_by_server"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request."""

    seq: int
    time: float  # seconds since 1970
    connection: int
    stream_id: int
    protocol: str
    method: str
    path: str
    key_fingerprint: str
    body_sha256: str
    body_bytes: int
    client_request_id: str | None
    idempotency_key: str | None
    request_id: str
    kind: Kind = Kind.LIVE
    price_factor: float = 1.0  # of the price of a live call: half in batch, nothing for a dry run
    batch_id: str | None = None
    custom_id: str | None = None
    line: int | None = None  # in the batch file, from 1
    content_sha256: str = ""  # of the conversation alone: the same for one question over all ways and models
    model: str = ""
    stream: bool = False
    fault: str | None = None
    status: int | None = None
    outcome: Outcome = Outcome.IN_FLIGHT
    answer_lost: bool = False  # it was carried out, and a fault kept the answer from the client
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt, known from the context cache
    tokens_generated: int = 0  # output, reasoning included
    prompt_tokens_billed: int = 0
    tokens_billed: int = 0  # output
    duration_ms: float | None = None
    body: str | None = None  # only with keep_bodies
    headers: dict[str, str] | None = None  # the same; without the key


@dataclass(slots=True, kw_only=True)
class Bill:
    """What was billed of one kind of calls."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt tokens
    tokens: int = 0

    def add(self, entry: Entry) -> None:
        """Count a call that was billed."""
        self.calls += 1
        self.prompt_tokens += entry.prompt_tokens_billed
        self.cached_tokens += entry.cached_tokens
        self.tokens += entry.tokens_billed


@dataclass(slots=True, kw_only=True)
class Payment:
    """One conversation that was paid more than once."""

    content_sha256: str
    times: int
    ways: list[str]  # kind and custom_id of each payment


@dataclass(slots=True, kw_only=True)
class Totals:
    """Sums over all requests since the last reset."""

    requests: int = 0
    in_flight: int = 0
    answered: int = 0
    refused: int = 0
    cut_by_client: int = 0
    cut_by_server: int = 0
    prompt_tokens_billed: int = 0
    tokens_generated: int = 0
    tokens_billed: int = 0
    calls_billed: int = 0
    by_kind: dict[Kind, Bill] = field(default_factory=dict)


@lru_cache(maxsize=256)
def fingerprint(authorization: str) -> str:
    """Twelve hex digits that stand for a key."""
    return hashlib.sha256(authorization.encode()).hexdigest()[:12] if authorization else ""


class Ledger:
    """The entries, newest last."""

    def __init__(self, *, entries_max: int, keep_bodies: bool, kept_bodies_max_bytes: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=entries_max)
        self._keep_bodies = keep_bodies
        self._kept_max_bytes = kept_bodies_max_bytes
        self._kept: deque[Entry] = deque()
        self._kept_bytes = 0
        self._at_end: dict[int, Callable[[Entry], None]] = {}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._seq = 0
        self._reset_at = 0
        self.totals = Totals()

    @property
    def entries(self) -> list[Entry]:
        """All entries that are kept."""
        return list(self._entries)

    def since(self, seq: int) -> list[Entry]:
        """Entries with a number above `seq`."""
        return [entry for entry in self._entries if entry.seq > seq]

    def billed_more_than_once(self) -> list[str]:
        """Hashes of request bodies that were billed twice or more: what a client must never cause by itself."""
        seen: dict[str, int] = {}
        for entry in self._entries:
            if entry.tokens_billed:
                seen[entry.body_sha256] = seen.get(entry.body_sha256, 0) + 1
        return [digest for digest, times in seen.items() if times > 1]

    def paid_more_than_once(self) -> list[Payment]:
        """Conversations that were paid twice or more, over whichever way: live, batch file or batch chat."""
        paid: dict[str, list[str]] = {}
        for entry in self._entries:
            if entry.tokens_billed and entry.price_factor and entry.content_sha256:
                way = entry.kind.value if entry.custom_id is None else f"{entry.kind.value} {entry.custom_id}"
                paid.setdefault(entry.content_sha256, []).append(way)
        return [
            Payment(content_sha256=content, times=len(ways), ways=ways) for content, ways in paid.items() if ways[1:]
        ]

    def reset(self) -> None:
        """Forget everything; calls in flight are settled into the void. Numbers go on."""
        self._entries.clear()
        self._kept.clear()
        self._kept_bytes = 0
        self._reset_at = self._seq
        self.totals = Totals()

    def open(self, request: Request, request_id: str, origin: Origin = LIVE) -> Entry:
        """Write down a request that has arrived."""
        self._seq += 1
        headers = request.headers
        entry = Entry(
            seq=self._seq,
            time=time.time(),
            connection=request.connection,
            stream_id=request.stream_id,
            protocol=request.protocol,
            method=request.method,
            path=request.path,
            key_fingerprint=fingerprint(headers.get("authorization", "")),
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            body_bytes=len(request.body),
            client_request_id=headers.get("x-request-id"),
            idempotency_key=headers.get("idempotency-key"),
            request_id=request_id,
            kind=origin.kind,
            price_factor=origin.price_factor,
            batch_id=origin.batch_id,
            custom_id=origin.custom_id,
            line=origin.line,
        )
        self._entries.append(entry)
        self.totals.requests += 1
        self.totals.in_flight += 1
        if self._keep_bodies:
            self._keep(entry, request)
        self.changed()
        return entry

    def _keep(self, entry: Entry, request: Request) -> None:
        entry.body = request.body.decode(errors="replace")
        entry.headers = {key: value for key, value in request.headers.items() if key != "authorization"}
        self._kept.append(entry)
        self._kept_bytes += entry.body_bytes
        while self._kept_bytes > self._kept_max_bytes and self._kept:
            oldest = self._kept.popleft()
            self._kept_bytes -= oldest.body_bytes
            oldest.body = oldest.headers = None

    def settle(self, entry: Entry, outcome: Outcome, *, prompt_billed: int = 0, billed: int = 0) -> None:
        """Write down how a request ended; only the first time counts."""
        if entry.outcome is not Outcome.IN_FLIGHT:
            return
        entry.outcome = outcome
        if not entry.price_factor:
            prompt_billed = billed = 0
        entry.prompt_tokens_billed = prompt_billed
        entry.tokens_billed = billed
        entry.duration_ms = round((time.time() - entry.time) * 1000, 3)
        totals = self.totals if entry.seq > self._reset_at else Totals()  # the void
        totals.in_flight -= 1
        totals.prompt_tokens_billed += prompt_billed
        totals.tokens_generated += entry.tokens_generated
        totals.tokens_billed += billed
        if billed or prompt_billed:
            totals.calls_billed += 1
            totals.by_kind.setdefault(entry.kind, Bill()).add(entry)
        if (at_end := self._at_end.pop(entry.seq, None)) is not None:
            at_end(entry)
        setattr(totals, outcome.value, getattr(totals, outcome.value) + 1)
        self.changed()

    def when_settled(self, entry: Entry, at_end: Callable[[Entry], None]) -> None:
        """Have `at_end` called once when this request has ended."""
        self._at_end[entry.seq] = at_end

    def settle_all_open(self) -> None:
        """The simulator stops: what is open ends by its fault."""
        for entry in self._entries:
            self.settle(entry, Outcome.CUT_BY_SERVER)

    def changed(self) -> None:
        """Look whether somebody waited for this."""
        if self._waiting:
            for condition, future in self._waiting:
                if not future.done() and condition():
                    future.set_result(None)
            self._waiting = [each for each in self._waiting if not each[1].done()]

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds; it is looked at each time a request arrives, generates or ends."""
        if condition():
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, future))
        await future
