"""A failed call as the contract in `error.proto` tells it, whichever of its three copies arrived.

The binary details say most and are read first; the ASCII trailers fill in what is missing, for proxies that drop
binary metadata; the status code and its sentence are always there. A copy that cannot be read is skipped: the caller
gets fewer facts, never an error about an error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from edgeclient.v1 import error_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that is wrong with a request.

    Attributes:
        field: Path from the request message, such as `messages[2].tool_call_id`.
        description: What is wrong and what would be right.
    """

    field: str
    description: str


class EdgeError(Exception):
    """A call failed; decide on `code` and `reason`, show `message`.

    Attributes:
        code: Canonical status.
        reason: Cause without its prefix, such as `UPLINK_OFFLINE`. Empty: the node did not get to tell one, as a rule
            because the connection failed.
        message: One English sentence for a developer.
        request_id: What to quote to the operator of the node. Empty: the call did not reach the node.
        retry_after_s: Earliest moment at which a repeat makes sense, from now. None: the node advises none.
        possibly_billed: The provider may have charged for an answer that was lost.
        violations: What is wrong with the request, all of it.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
        possibly_billed: bool = False,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(f"{reason or code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.possibly_billed = possibly_billed
        self.violations = tuple(violations)

    @property
    def worth_repeating(self) -> bool:
        """The retry rule of the contract: UNAVAILABLE, and RESOURCE_EXHAUSTED with a delay; same idempotency_key."""
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.retry_after_s is not None
        return self.code is grpc.StatusCode.UNAVAILABLE

    @classmethod
    def from_item(cls, error: error_pb2.Error) -> "EdgeError":
        """The error that a batch reports for one of its conversations."""
        return cls(
            _CODES.get(error.code, grpc.StatusCode.UNKNOWN),
            error.message,
            reason=_reason_name(error.reason),
            retry_after_s=error.retry_delay.ToTimedelta().total_seconds() if error.HasField("retry_delay") else None,
            possibly_billed=error.possibly_billed,
            violations=[Violation(field=error.field, description=error.message)] if error.field else (),
        )

    @classmethod
    def from_rpc(cls, error: grpc.aio.AioRpcError) -> "EdgeError":
        """The error that ended a call."""
        trailers = dict(_pairs(error.trailing_metadata()))
        details = _Details(trailers.get(_DETAILS_KEY, b""))
        retry_after_s = details.retry_after_s
        return cls(
            error.code(),
            error.details() or "the call failed without an explanation",
            reason=details.reason or _text(trailers.get("edge-reason", "")),
            request_id=_text(trailers.get("edge-request-id", "")),
            retry_after_s=_pushback_s(trailers) if retry_after_s is None else retry_after_s,
            possibly_billed=_text(trailers.get("edge-possibly-billed", "")) == "1",
            violations=details.violations,
        )


class _Details:
    """What the binary details say; nothing if they are absent or damaged."""

    def __init__(self, serialized: str | bytes) -> None:
        self.reason = ""
        self.retry_after_s: float | None = None
        self.violations: list[Violation] = []
        try:
            self._read(status_pb2.Status.FromString(serialized if isinstance(serialized, bytes) else b""))
        except DecodeError:
            return

    def _read(self, status: status_pb2.Status) -> None:
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        request = error_details_pb2.BadRequest()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(retry):
                self.retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
            elif detail.Unpack(request):
                self.violations += [
                    Violation(field=found.field, description=found.description) for found in request.field_violations
                ]


def _pairs(metadata: grpc.aio.Metadata | None) -> Iterable[tuple[str, str | bytes]]:
    return () if metadata is None else iter(metadata)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("ascii", "replace")


def _pushback_s(trailers: dict[str, str | bytes]) -> float | None:
    try:
        delay_ms = int(_text(trailers.get(_PUSHBACK_KEY, "-1")))
    except ValueError:
        return None
    return delay_ms / 1000 if delay_ms >= 0 else None


def _reason_name(reason: int) -> str:
    """A reason of a later release is told by its number, as `code` then decides."""
    if not reason:
        return ""
    value = error_pb2.ErrorReason.DESCRIPTOR.values_by_number.get(reason)
    return value.name.removeprefix("ERROR_REASON_") if value else str(reason)
