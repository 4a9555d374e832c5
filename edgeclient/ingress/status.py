"""The error contract on the wire: which status a reason has, and the three copies of the facts.

`protos/edgeclient/v1/error.proto` promises them: status and sentence, ASCII trailers, and google.rpc details. Sizes are
bounded, because gRPC libraries drop a response whose trailers come near 8 KiB (measured: above it they are refused at
random): the sentence to 1 KiB as it is written on the wire, everything together to 4 KiB. A retry delay gets jitter
here, once for all causes: gRPC libraries obey the pushback to the millisecond, and a fleet told the same delay would
come back in step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2, error_details_pb2, status_pb2

from edgeclient.core.errors import CallError, Reason
from edgeclient.v1 import error_pb2

DOMAIN = "edgeclient.v1"

CODES: dict[Reason.ValueType, int] = {
    error_pb2.ERROR_REASON_INVALID_REQUEST: code_pb2.INVALID_ARGUMENT,
    error_pb2.ERROR_REASON_REQUEST_TOO_LARGE: code_pb2.INVALID_ARGUMENT,
    error_pb2.ERROR_REASON_CONTENT_BLOCKED: code_pb2.INVALID_ARGUMENT,
    error_pb2.ERROR_REASON_MODEL_NOT_FOUND: code_pb2.NOT_FOUND,
    error_pb2.ERROR_REASON_JOB_NOT_FOUND: code_pb2.NOT_FOUND,
    error_pb2.ERROR_REASON_CACHE_MISS: code_pb2.NOT_FOUND,
    error_pb2.ERROR_REASON_IDEMPOTENCY_KEY_REUSED: code_pb2.ALREADY_EXISTS,
    error_pb2.ERROR_REASON_CALLER_UNAUTHENTICATED: code_pb2.UNAUTHENTICATED,
    error_pb2.ERROR_REASON_CALLER_NOT_ALLOWED: code_pb2.PERMISSION_DENIED,
    error_pb2.ERROR_REASON_RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    error_pb2.ERROR_REASON_QUEUE_FULL: code_pb2.RESOURCE_EXHAUSTED,
    error_pb2.ERROR_REASON_OVERLOADED: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_UPSTREAM_RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    error_pb2.ERROR_REASON_UPSTREAM_QUOTA_EXHAUSTED: code_pb2.RESOURCE_EXHAUSTED,
    error_pb2.ERROR_REASON_UPLINK_OFFLINE: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_UPSTREAM_TIMEOUT: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_UPSTREAM_INTERRUPTED: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_UPSTREAM_CREDENTIALS: code_pb2.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_UPSTREAM_BAD_RESPONSE: code_pb2.INTERNAL,
    error_pb2.ERROR_REASON_DEADLINE: code_pb2.DEADLINE_EXCEEDED,
    error_pb2.ERROR_REASON_CANCELLED: code_pb2.CANCELLED,
    error_pb2.ERROR_REASON_SHUTTING_DOWN: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_INTERNAL: code_pb2.INTERNAL,
    error_pb2.ERROR_REASON_OUTCOME_UNKNOWN: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_STORAGE_UNAVAILABLE: code_pb2.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN: code_pb2.UNAVAILABLE,
    error_pb2.ERROR_REASON_DISPATCH_FULL: code_pb2.RESOURCE_EXHAUSTED,
}

_QUOTA_REASONS = (
    error_pb2.ERROR_REASON_RATE_LIMITED,
    error_pb2.ERROR_REASON_QUEUE_FULL,
    error_pb2.ERROR_REASON_DISPATCH_FULL,
)
_SENTENCE_LIMIT = 1024
_DETAILS_LIMIT_BYTES = 2048  # base64 makes 2.7 KiB of it; with the sentence and the short trailers it stays below 4 KiB
_VIOLATION_LIMIT = 256
_JITTER = 0.2
_DEFAULT_DELAY_S = 1.0  # for an UNAVAILABLE whose cause knows no better: long enough to matter, short enough to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed RPC as it goes out.

    Attributes:
        code: Canonical gRPC status code.
        sentence: For `grpc-message`.
        trailers: Trailing metadata, `grpc-status-details-bin` included.
    """

    code: int
    sentence: str
    trailers: tuple[tuple[str, str | bytes], ...]


def code_of(error: CallError) -> int:
    """Canonical gRPC status code of an error."""
    return CODES[error.reason]


def code_name(code: int) -> str:
    """Name of a canonical code, such as `UNAVAILABLE`."""
    return str(code_pb2.Code.Name(code))


def in_band(error: CallError, *, random: Callable[[], float]) -> error_pb2.Error:
    """The flat mirror of an error, for one item of a batch or one job."""
    message = error_pb2.Error(
        code=code_of(error),
        reason=error.reason,
        message=_sentence(error),
        possibly_billed=error.possibly_billed,
    )
    if error.violations:
        message.field = error.violations[0].field
    delay_s = _retry_delay_s(error, random=random)
    if delay_s is not None:
        message.retry_delay.FromMilliseconds(round(delay_s * 1000))
    return message


def failure(error: CallError, *, request_id: str, random: Callable[[], float]) -> Failure:
    """The three copies of an error.

    Args:
        error: What went wrong.
        request_id: Id of the RPC.
        random: Uniform in [0, 1); spreads the retry delays of a fleet.
    """
    code = code_of(error)
    sentence = _sentence(error)
    delay_s = _retry_delay_s(error, random=random)
    pushback = "-1" if delay_s is None else str(round(delay_s * 1000))
    trailers: list[tuple[str, str | bytes]] = [
        ("edge-reason", error.reason_name),
        ("edge-request-id", request_id),
        ("grpc-retry-pushback-ms", pushback),
    ]
    if error.possibly_billed:
        trailers.append(("edge-possibly-billed", "1"))
    trailers.append(("grpc-status-details-bin", _details(error, code, sentence, delay_s)))
    return Failure(code=code, sentence=sentence, trailers=tuple(trailers))


def _retry_delay_s(error: CallError, *, random: Callable[[], float]) -> float | None:
    if error.possibly_billed:
        return None  # no record keeps a failure: a library that repeats by itself must not spend the owner's money
    delay_s = error.retry_after_s
    if delay_s is None and CODES[error.reason] == code_pb2.UNAVAILABLE:
        delay_s = _DEFAULT_DELAY_S
    return None if delay_s is None else delay_s * (1 + _JITTER * random())


def _sentence(error: CallError) -> str:
    sentence = error.message
    if len(sentence) <= _SENTENCE_LIMIT and sentence.isascii():
        return sentence
    while len(quote(sentence)) > _SENTENCE_LIMIT:  # gRPC percent-encodes all that is not ASCII
        sentence = sentence[: len(sentence) * 9 // 10 - 1] + "…"
    return sentence


def _details(error: CallError, code: int, sentence: str, delay_s: float | None) -> bytes:
    status = status_pb2.Status(code=code, message=sentence)
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason_name, domain=DOMAIN))
    if delay_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(delay_s * 1000))
        _pack(status, retry)
    if error.reason in _QUOTA_REASONS:
        quota = error_details_pb2.QuotaFailure()
        quota.violations.add(subject=f"reason:{error.reason_name}", description=sentence[:_VIOLATION_LIMIT])
        _pack(status, quota)
    if error.violations:
        _pack(status, _bad_request(error, room_bytes=_DETAILS_LIMIT_BYTES - status.ByteSize()))
    return bytes(status.SerializeToString())


def _bad_request(error: CallError, *, room_bytes: int) -> error_details_pb2.BadRequest:
    """As many violations as there is room for; the caller mends those first and is told the rest next time."""
    bad = error_details_pb2.BadRequest()
    for violation in error.violations:
        added = bad.field_violations.add(
            field=violation.field[:_VIOLATION_LIMIT], description=violation.description[:_VIOLATION_LIMIT]
        )
        added.reason = "INVALID"
        if bad.ByteSize() > room_bytes and len(bad.field_violations) > 1:
            del bad.field_violations[-1]
            break
    return bad


def _pack(status: status_pb2.Status, detail: error_details_pb2.ErrorInfo) -> None:
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)
