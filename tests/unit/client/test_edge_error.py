"""The three copies of an error, each alone and damaged."""

import grpc
import grpc.aio
import pytest
from fakes.chat_service import REQUEST_ID, Fails, _details, in_band

from edgeclient.client import EdgeError, Violation
from edgeclient.v1 import error_pb2

FAILS = Fails(
    code=grpc.StatusCode.INVALID_ARGUMENT,
    reason="INVALID_REQUEST",
    message="is too hot",
    retry_after_s=1.5,
    field="temperature",
)


def rpc_error(*trailers: tuple[str, str | bytes], code: grpc.StatusCode = FAILS.code) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), FAILS.message)


def test_details_tell_reason_delay_and_violations() -> None:
    error = EdgeError.from_rpc(rpc_error(("grpc-status-details-bin", _details(FAILS))))

    assert error.reason == "INVALID_REQUEST"
    assert error.retry_after_s == 1.5
    assert error.violations == (Violation(field="temperature", description="is too hot"),)


def test_ascii_trailers_suffice_without_details() -> None:
    error = EdgeError.from_rpc(
        rpc_error(
            ("edge-reason", "UPLINK_OFFLINE"),
            ("edge-request-id", REQUEST_ID),
            ("edge-possibly-billed", "1"),
            ("grpc-retry-pushback-ms", "2500"),
            code=grpc.StatusCode.UNAVAILABLE,
        )
    )

    assert error.reason == "UPLINK_OFFLINE"
    assert error.request_id == REQUEST_ID
    assert error.retry_after_s == 2.5
    assert error.possibly_billed
    assert error.worth_repeating


def test_details_win_over_ascii_trailers() -> None:
    trailers = (("edge-reason", "OTHER"), ("grpc-retry-pushback-ms", "9"), ("grpc-status-details-bin", _details(FAILS)))

    error = EdgeError.from_rpc(rpc_error(*trailers))

    assert error.reason == "INVALID_REQUEST"
    assert error.retry_after_s == 1.5


@pytest.mark.parametrize("pushback", ["-1", "soon", ""])
def test_no_usable_pushback_is_no_advice(pushback: str) -> None:
    assert EdgeError.from_rpc(rpc_error(("grpc-retry-pushback-ms", pushback))).retry_after_s is None


def test_damaged_details_fall_back_to_ascii() -> None:
    trailers = (("grpc-status-details-bin", b"\xff\xff\xff"), ("edge-reason", "OVERLOADED"))

    assert EdgeError.from_rpc(rpc_error(*trailers)).reason == "OVERLOADED"


def test_bare_status_is_an_error_too() -> None:
    error = EdgeError.from_rpc(rpc_error())

    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.message == "is too hot"
    assert error.reason == ""
    assert str(error) == "INVALID_ARGUMENT: is too hot"


def test_item_error_tells_the_same_facts() -> None:
    error = EdgeError.from_item(in_band(FAILS))

    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "INVALID_REQUEST"
    assert error.retry_after_s == 1.5
    assert error.violations == (Violation(field="temperature", description="is too hot"),)


def test_reason_and_code_of_a_later_release_are_kept() -> None:
    later = error_pb2.Error.FromString(error_pb2.Error(code=99, message="x").SerializeToString() + b"\x10\x63")

    error = EdgeError.from_item(later)

    assert error.code is grpc.StatusCode.UNKNOWN
    assert error.reason == "99"


@pytest.mark.parametrize(
    ("code", "retry_after_s", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, None, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1.0, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, None, False),
        (grpc.StatusCode.INTERNAL, 1.0, False),
    ],
)
def test_only_the_contract_decides_what_is_worth_repeating(
    code: grpc.StatusCode, retry_after_s: float | None, *, expected: bool
) -> None:
    assert expected is EdgeError(code, "x", retry_after_s=retry_after_s).worth_repeating
