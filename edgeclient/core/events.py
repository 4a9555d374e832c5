"""Facts about what happened, each emitted once, as a type, in the place that knows it.

Metrics, logs and audit are tables over these types (`telemetry/`); tests wait for them instead of sleeping. No event
holds a prompt, an answer or a key. A new fact gets a type here and a row in the tables; nothing else changes.
"""

from dataclasses import dataclass
from enum import Enum


class Uplink(Enum):
    """Connection to the provider."""

    UNKNOWN = "unknown"
    ONLINE = "online"
    DEGRADED = "degraded"
    OFFLINE = "offline"


class Event:
    """A fact. Base of all events."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFinished(Event):
    """An RPC of ours has ended, whatever it was and however it ended.

    Attributes:
        service: Full name, such as `edgeclient.v1.ChatService`.
        method: Name of the method.
        code: Name of the gRPC status code, such as `OK`.
        duration_s: From the request's arrival to its last byte.
    """

    service: str
    method: str
    code: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished(Event):
    """A chat has ended: one for each Chat, StreamChat and item of a BatchChat.

    Attributes:
        call_id: Id that the caller was told.
        caller: Who asked.
        method: `Chat`, `StreamChat` or `BatchChat`.
        model: Model that was asked, or that has answered in its place; "" if the request was refused before that was
            known.
        target: Target of the last attempt; "" if there was none.
        reason: Name of the error reason; "" if it succeeded.
        code: Name of the gRPC status code of the outcome.
        finish_reason: Why generation ended, such as `stop`; "" if it failed.
        source: Where the answer came from, such as `upstream`; "" if it failed.
        attempt_count: Upstream attempts begun.
        duration_s: From arrival to the end.
        upstream_s: Part of it spent waiting for the provider.
        first_piece_s: From arrival to the provider's first piece of a streamed answer; None if there was none.
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens: As billed; 0 if not told.
        cost_nanos: Price in billionths of `currency_code`; 0 if no price is known.
        currency_code: ISO 4217 code; "" if no price is known.
        possibly_billed: It failed, and may have been billed all the same.
        message: The error's summary, fit for a log; "" if it succeeded.
        upstream_request_id: The provider's id of the exchange, for a support case.
    """

    call_id: str
    caller: str
    method: str
    model: str
    target: str
    reason: str
    code: str
    finish_reason: str
    source: str
    attempt_count: int
    duration_s: float
    upstream_s: float
    first_piece_s: float | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    currency_code: str
    possibly_billed: bool
    message: str
    upstream_request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished(Event):
    """One upstream request has ended.

    Attributes:
        call_id: Call that it served.
        target: Where it went.
        model: Model that was asked.
        reason: Name of the error reason; "" if it succeeded, `CANCELLED` if the caller left.
        http_status: Status of the answer; 0 if there was none.
        upstream_code: The provider's own error code; "" if there was none.
        protocol: ALPN id, such as `h2`; "" if there was no answer.
        duration_s: From the request to the last byte.
        first_byte_s: From the request to the answer's headers; None if there were none.
        caller: Whose call it was; "" for a probe.
        possibly_billed: It failed or was cut off, and may have been billed all the same.
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens: As billed; 0 if not told.
        cost_nanos: Price in billionths of `currency_code`; 0 if no price is known.
        currency_code: ISO 4217 code; "" if no price is known.
    """

    call_id: str
    target: str
    model: str
    reason: str
    http_status: int
    upstream_code: str
    protocol: str
    duration_s: float
    first_byte_s: float | None
    caller: str = ""
    possibly_billed: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    currency_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """After a failed attempt, or a pause that all targets have asked for, there will be another one.

    Attributes:
        call_id: Call that it is for.
        attempt: Number of the last attempt; 0: there was none yet.
        reason: Why it failed, or the pause.
        delay_s: Time until the next one.
    """

    call_id: str
    attempt: int
    reason: str
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallShed(Event):
    """A call was refused for lack of room before anything was sent.

    Attributes:
        limit: Name of the setting that was reached.
        value: Its value.
    """

    limit: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkChanged(Event):
    """The connection to a target has a new state.

    Attributes:
        target: Which target.
        before, after: The states.
        cause: What showed it, such as `UPSTREAM_TIMEOUT` or `probe`.
        problem: What was wrong, in a sentence; "" if nothing was.
    """

    target: str
    before: Uplink
    after: Uplink
    cause: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolNegotiated(Event):
    """A target answered over another application protocol than before.

    Attributes:
        target: Which target.
        protocol: ALPN id, such as `h2`.
    """

    target: str
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChanged(Event):
    """The API key was replaced while running.

    Attributes:
        source: Where it came from, such as the path of the key file; never the key.
        target: Whose key it is.
    """

    source: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUnreadable(Event):
    """The API key could not be read; the last known one stays in use.

    Attributes:
        source: Where it was looked for.
        problem: What is wrong and what would be right.
        target: Whose key it is.
    """

    source: str
    problem: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRefused(Event):
    """The provider can be reached and refuses the API key: no call will succeed before a person acts.

    Attributes:
        target: Which target.
        problem: What it said, without words of its own.
    """

    target: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectFound(Event):
    """Something happened that the code does not expect. Always a bug worth a report.

    Attributes:
        call_id: Call in which it happened; "" if none.
        where: Part of the program.
        kind: Type of the exception.
        traceback: File, line and function of each frame; no values.
    """

    call_id: str
    where: str
    kind: str
    traceback: str
