"""Every kind of fault, at every phase in which it can come, with what the rule book says that it means.

The meanings come from the provider's error table and from what HTTP/2, TLS and TCP promise, never from the daemon's
code: the suite would prove nothing if it asked the accused.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from faults.house import FIRST_TOKEN_S, HEADERS_S, SILENCE_S, TOTAL_S, House

from edgeclient.simulator import Fault

CHATS: Final = "*/chat/completions"


class Phase(Enum):
    """How far a request has come when the fault meets it."""

    BEFORE_SEND = "before send"
    BEFORE_HEADERS = "before headers"
    BEFORE_TOKEN = "before first token"
    MID_BODY = "mid-body"
    AFTER_BODY = "after the answer"


class Fate(Enum):
    """What a fault means for the request that meets it."""

    ANSWERED = "a client has to bear it"
    REFUSED = "the same request fails again"
    NODE = "no request works before a person acts"
    MODEL = "no request for this model works before a person acts"
    LATER = "not processed; less, and later"
    FREE = "not processed; again at any time"
    UNKNOWN = "perhaps processed and billed"


class Form(Enum):
    """How a device asks."""

    UNARY = "unary"
    SHORT = "short unary"  # bounded to be short, so asked of the provider as a whole
    STREAM = "stream"
    KEYED = "keyed unary"
    JOB = "job"
    JOB_ONCE = "job, may be resent once"


LIVE: Final = (Form.UNARY, Form.SHORT, Form.STREAM, Form.KEYED)
JOBS: Final = (Form.JOB, Form.JOB_ONCE)
FORMS: Final = LIVE + JOBS
STREAMED: Final = (Form.UNARY, Form.STREAM, Form.KEYED, *JOBS)  # the provider is asked to stream

Arrange = Callable[[House], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault at one phase.

    Attributes:
        name: For people.
        phase: When it comes.
        fate: What it means.
        reasons: What a device may be told, each a name of `ErrorReason`.
        least_s: Not to be asked again sooner than this.
        faults: Rules for the simulated cloud.
        arrange: What happens to the cable instead.
        forms: Which ways of asking can meet it.
        way_lost: The provider is not heard of at all, so a job loses no attempt.
        limit_s: The time-out that has to fire; None: another reason ends it.
        nack: HTTP/2 says that it was not processed; the engine of the daemon repeats such a request by itself.
        passes: It can hit one attempt alone.
        again: The same target may do better the next time.
    """

    name: str
    phase: Phase
    fate: Fate
    reasons: tuple[str, ...] = ()
    least_s: float = 0.0
    faults: tuple[dict[str, Any], ...] = ()
    arrange: Arrange | None = None
    forms: tuple[Form, ...] = FORMS
    way_lost: bool = False
    limit_s: float | None = None
    nack: bool = False
    passes: bool = True
    again: bool = True

    def rules(self, mark: str, *, count: int | None) -> list[Fault]:
        """The rules, for the conversation with this mark alone."""
        return [Fault(path=CHATS, text=mark, count=count, **more) for more in self.faults]


def _http(name: str, fate: Fate, reason: str, least_s: float = 0.0, **fault: Any) -> Kind:
    return Kind(
        name=name,
        phase=Phase.BEFORE_HEADERS,
        fate=fate,
        reasons=(reason,),
        least_s=least_s,
        faults=(fault,),
        way_lost=reason == "UPLINK_OFFLINE",
    )


def _in_stream(name: str, phase: Phase, fate: Fate, reason: str, after_chunks: int, **fault: Any) -> Kind:
    return Kind(
        name=f"{name} inside a 200",
        phase=phase,
        fate=fate,
        reasons=(reason,),
        faults=({"after_chunks": after_chunks, **fault},),
        forms=STREAMED,
        least_s=1.0 if fate in (Fate.LATER, Fate.FREE) else 0.0,
    )


def _late(name: str, phase: Phase, reason: str, limit_s: float, forms: tuple[Form, ...] = FORMS, **fault: Any) -> Kind:
    kind = _wire(name, phase, Fate.UNKNOWN, reason, forms=forms, **fault)
    return replace(kind, limit_s=limit_s)


def _wire(name: str, phase: Phase, fate: Fate, *reasons: str, forms: tuple[Form, ...] = FORMS, **fault: Any) -> Kind:
    nack = fate is Fate.FREE
    return Kind(name=name, phase=phase, fate=fate, reasons=reasons, faults=(fault,), forms=forms, nack=nack)


def _way(name: str, arrange: Arrange, *, least_s: float = 0.0) -> Kind:
    return Kind(
        name=name,
        phase=Phase.BEFORE_SEND,
        fate=Fate.FREE,
        reasons=("UPSTREAM_UNAVAILABLE", "UPLINK_OFFLINE"),
        least_s=least_s,
        arrange=arrange,
        way_lost=True,
        passes=False,
    )


async def _refused(house: House) -> None:
    await house.cable.pull()


async def _muted(house: House) -> None:
    house.cable.mute()
    await house.cable.cut()


def _certificate(name: str) -> Arrange:
    async def arrange(house: House) -> None:
        house.twin(name)
        await house.cable.cut()

    return arrange


async def _frozen(house: House) -> None:
    """The connection dies without a word; a new one would work."""
    house.cable.freeze()


_LIMITS: Final = "UPSTREAM_RATE_LIMITED"
_MONEY: Final = "UPSTREAM_QUOTA_EXHAUSTED"
_DOWN: Final = "UPSTREAM_UNAVAILABLE"
_CUT: Final = "UPSTREAM_INTERRUPTED"
_SLOW: Final = "UPSTREAM_TIMEOUT"
_BAD: Final = "UPSTREAM_BAD_RESPONSE"
_LONG: Final = "Range of input length should be [1, 98304]"

HTTP: Final = (
    _http("400 parameter", Fate.REFUSED, "INVALID_REQUEST", kind="invalid_parameter"),
    _http("400 context too long", Fate.REFUSED, "INVALID_REQUEST", kind="invalid_parameter", message=_LONG),
    _http("400 content", Fate.REFUSED, "CONTENT_BLOCKED", kind="data_inspection_failed"),
    _http("400 arrears", Fate.NODE, _MONEY, kind="arrearage"),
    _http("401 key", Fate.NODE, "UPSTREAM_CREDENTIALS", kind="invalid_api_key"),
    _http("402 money", Fate.NODE, _MONEY, kind="http_429_empty", status=402),
    _http("403 model", Fate.MODEL, "UPSTREAM_CREDENTIALS", kind="access_denied"),
    _http("403 free tier", Fate.MODEL, _MONEY, kind="free_tier_only"),
    _http("404 model", Fate.MODEL, "MODEL_NOT_FOUND", kind="model_not_found"),
    _http("404 path", Fate.NODE, _BAD, kind="http_429_empty", status=404),
    _http("408", Fate.FREE, _SLOW, 1.0, kind="http_408"),
    _http("413", Fate.REFUSED, "REQUEST_TOO_LARGE", kind="too_large"),
    _http("429, Retry-After in seconds", Fate.LATER, _LIMITS, 1.0, kind="limit_requests", retry_after="1"),
    _http("429, Retry-After as a date", Fate.LATER, _LIMITS, 1.0, kind="limit_requests", retry_after="date:2"),
    _http("429, retry-after-ms", Fate.LATER, _LIMITS, 1.2, kind="limit_requests", retry_after="ms:1200"),
    _http("429 insufficient_quota, passing", Fate.LATER, _LIMITS, 10.0, kind="insufficient_quota"),
    _http("429 growth", Fate.LATER, _LIMITS, 10.0, kind="limit_burst_rate"),
    _http("429 without a body", Fate.LATER, _LIMITS, 1.0, kind="http_429_empty"),
    _http("429 bill overdue", Fate.NODE, _MONEY, kind="postpaid_bill_overdue"),
    _http("429 free quota", Fate.MODEL, _MONEY, kind="free_quota"),
    _http("500", Fate.FREE, _DOWN, kind="internal_error", retry_after="0"),
    replace(_http("500 time-out there", Fate.FREE, _SLOW, kind="request_timeout", retry_after="0"), again=False),
    _http("502", Fate.FREE, _DOWN, kind="http_502", retry_after="0"),
    _http("503 capacity", Fate.LATER, _LIMITS, 10.0, kind="model_serving_error"),
    _http("503, Retry-After", Fate.FREE, _DOWN, 1.0, kind="service_unavailable", retry_after="1"),
    _http("504", Fate.FREE, _SLOW, kind="http_504", retry_after="0"),
    _http("captive portal, 200", Fate.FREE, "UPLINK_OFFLINE", 10.0, kind="captive_portal"),
    _http("captive portal, 302", Fate.FREE, "UPLINK_OFFLINE", 10.0, kind="captive_redirect"),
    _in_stream("400 content", Phase.BEFORE_TOKEN, Fate.REFUSED, "CONTENT_BLOCKED", 0, kind="data_inspection_failed"),
    _in_stream("429", Phase.BEFORE_TOKEN, Fate.LATER, _LIMITS, 0, kind="limit_requests"),
    _in_stream("500", Phase.BEFORE_TOKEN, Fate.FREE, _DOWN, 0, kind="internal_error"),
    _in_stream("429", Phase.MID_BODY, Fate.UNKNOWN, _CUT, 3, kind="limit_requests"),
    _in_stream("500", Phase.MID_BODY, Fate.UNKNOWN, _CUT, 3, kind="internal_error"),
)
CONNECTING: Final = (
    _way("connection refused", _refused),
    _way("connect black hole", _muted),
    _way("TLS expired", _certificate("expired")),
    _way("TLS not yet valid", _certificate("not yet valid")),
    _way("TLS wrong host", _certificate("wrong host")),
    _way("TLS unknown CA", _certificate("unknown CA")),
)
HTTP2: Final = (
    _wire("GOAWAY at our stream", Phase.BEFORE_HEADERS, Fate.ANSWERED, kind="goaway"),
    _wire("GOAWAY above our stream", Phase.BEFORE_HEADERS, Fate.ANSWERED, kind="goaway_above"),
    _wire("GOAWAY at our stream", Phase.MID_BODY, Fate.ANSWERED, kind="goaway", after_chunks=2, forms=STREAMED),
    _wire(
        "GOAWAY above our stream", Phase.MID_BODY, Fate.ANSWERED, kind="goaway_above", after_chunks=2, forms=STREAMED
    ),
    _wire("GOAWAY below our stream", Phase.BEFORE_HEADERS, Fate.FREE, _DOWN, kind="goaway_below"),
    _wire("GOAWAY below, and closed", Phase.BEFORE_HEADERS, Fate.FREE, _DOWN, kind="goaway_close", h2_code="NO_ERROR"),
    _wire("REFUSED_STREAM", Phase.BEFORE_HEADERS, Fate.FREE, _DOWN, kind="refused_stream"),
    _wire("RST_STREAM internal", Phase.BEFORE_HEADERS, Fate.UNKNOWN, _CUT, kind="reset_stream", executed=True),
    _wire(
        "RST_STREAM cancel",
        Phase.BEFORE_HEADERS,
        Fate.UNKNOWN,
        _CUT,
        kind="reset_stream",
        h2_code="CANCEL",
        executed=True,
    ),
    _wire("RST_STREAM", Phase.MID_BODY, Fate.UNKNOWN, _CUT, kind="cut", executed=True),
    _wire("shrinking stream limit", Phase.BEFORE_HEADERS, Fate.ANSWERED, kind="shrink_streams", max_streams=1),
)
BROKEN: Final = (
    _wire("connection closed", Phase.BEFORE_HEADERS, Fate.UNKNOWN, _CUT, kind="close", executed=True),
    _wire("TCP reset", Phase.BEFORE_HEADERS, Fate.UNKNOWN, _CUT, kind="tcp_reset", executed=True),
    _wire("connection closed", Phase.MID_BODY, Fate.UNKNOWN, _CUT, kind="cut_connection", executed=True),
    _wire("end without finish reason", Phase.MID_BODY, Fate.UNKNOWN, _CUT, kind="no_finish", forms=STREAMED),
    _late("stall", Phase.BEFORE_HEADERS, _SLOW, HEADERS_S, kind="hang"),
    _wire("black hole", Phase.BEFORE_HEADERS, Fate.UNKNOWN, _SLOW, _CUT, kind="black_hole"),
    _late("stall", Phase.BEFORE_TOKEN, _SLOW, FIRST_TOKEN_S, STREAMED, kind="slow_first_token", delay_s=9),
    _late("stall between tokens", Phase.MID_BODY, _CUT, SILENCE_S, STREAMED, kind="stall"),
    _late("stall", Phase.MID_BODY, _SLOW, TOTAL_S, (Form.SHORT,), kind="stall"),
    _late("slow drip", Phase.MID_BODY, _CUT, TOTAL_S, STREAMED, kind="slow_chunks", delay_s=0.4),
    _wire("malformed", Phase.MID_BODY, Fate.UNKNOWN, _BAD, _CUT, kind="malformed_chunk", executed=True),
    _wire("empty body", Phase.BEFORE_TOKEN, Fate.UNKNOWN, _BAD, _CUT, kind="empty_body", executed=True),
    _wire("huge body", Phase.MID_BODY, Fate.UNKNOWN, _BAD, kind="huge_body", executed=True),
    _wire("error_finish", Phase.MID_BODY, Fate.UNKNOWN, _CUT, kind="error_finish", forms=STREAMED),
)
BORNE: Final = (
    _wire("slow headers", Phase.BEFORE_HEADERS, Fate.ANSWERED, kind="delay_headers", delay_s=0.2),
    _wire("wrong content type", Phase.BEFORE_HEADERS, Fate.ANSWERED, kind="wrong_type"),
    _wire("noise in the stream", Phase.MID_BODY, Fate.ANSWERED, kind="sse_noise"),
    _wire("no [DONE]", Phase.AFTER_BODY, Fate.ANSWERED, kind="no_done"),
    _wire("answer without text", Phase.MID_BODY, Fate.ANSWERED, kind="empty_answer"),
)
SILENT: Final = (
    Kind(
        name="connection died silently, used at once",
        phase=Phase.BEFORE_HEADERS,
        fate=Fate.UNKNOWN,
        reasons=(_SLOW, _CUT),
        arrange=_frozen,
        forms=(*LIVE, Form.JOB),
        passes=False,
    ),
)
KINDS: Final = HTTP + CONNECTING + HTTP2 + BROKEN + BORNE + SILENT
