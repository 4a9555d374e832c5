"""Errors as exit codes and sentences."""

import pytest
from grpc import StatusCode

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.report import exit_code, failure_of, failures_told
from edgeclient.client import EdgeError, Violation


@pytest.mark.parametrize(
    ("code", "reason", "retry_after_s", "expected"),
    [
        (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", None, ExitCode.DATA),
        (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", None, ExitCode.DATA),
        (StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED", None, ExitCode.DATA),
        (StatusCode.RESOURCE_EXHAUSTED, "", None, ExitCode.DATA),
        (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 1.0, ExitCode.TEMPORARY),
        (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA_EXHAUSTED", None, ExitCode.UNAVAILABLE),
        (StatusCode.UNAVAILABLE, "", None, ExitCode.UNAVAILABLE),
        (StatusCode.UNAVAILABLE, "OVERLOADED", 1.0, ExitCode.TEMPORARY),
        (StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT", None, ExitCode.UNAVAILABLE),
        (StatusCode.FAILED_PRECONDITION, "UPSTREAM_CREDENTIALS", None, ExitCode.CONFIG),
        (StatusCode.FAILED_PRECONDITION, "STORAGE_UNAVAILABLE", None, ExitCode.UNAVAILABLE),
        (StatusCode.DEADLINE_EXCEEDED, "DEADLINE", None, ExitCode.TEMPORARY),
        (StatusCode.UNAUTHENTICATED, "CALLER_UNAUTHENTICATED", None, ExitCode.NOT_PERMITTED),
        (StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED", None, ExitCode.NOT_PERMITTED),
        (StatusCode.INTERNAL, "INTERNAL", None, ExitCode.INTERNAL),
        (StatusCode.UNKNOWN, "", None, ExitCode.INTERNAL),
        (StatusCode.DATA_LOSS, "999", None, ExitCode.INTERNAL),
    ],
)
def test_exit_code_follows_the_contract(
    code: StatusCode, reason: str, retry_after_s: float | None, expected: ExitCode
) -> None:
    assert expected is exit_code(EdgeError(code, "x", reason=reason, retry_after_s=retry_after_s))


def test_every_status_has_an_exit_code() -> None:
    assert all(exit_code(EdgeError(code, "x")) for code in StatusCode)


def test_all_facts_are_told() -> None:
    error = EdgeError(
        StatusCode.INVALID_ARGUMENT,
        "two fields\nare wrong",
        reason="INVALID_REQUEST",
        request_id="01J",
        retry_after_s=90.5,
        possibly_billed=True,
        violations=[Violation(field="a", description="one"), Violation(field="b", description="two")],
    )

    failure = failure_of(error, address="node:1")

    assert failure.message == "two fields are wrong (INVALID_REQUEST)"
    assert failure.details == (
        "a: one",
        "b: two",
        "Try again in 90.5 s.",
        "The provider may have charged for the lost answer.",
        "Request id: 01J",
    )


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (StatusCode.UNAVAILABLE, "no connection to the node at node:1"),
        (StatusCode.DEADLINE_EXCEEDED, "did not answer in time"),
        (StatusCode.UNIMPLEMENTED, "is not an edgeclient node"),
        (StatusCode.RESOURCE_EXHAUSTED, "x (RESOURCE_EXHAUSTED)"),
    ],
)
def test_error_without_reason_names_the_address(code: StatusCode, sentence: str) -> None:
    assert sentence in failure_of(EdgeError(code, "x"), address="node:1").message


def test_failure_of_a_call_becomes_the_failure_of_the_command() -> None:
    with pytest.raises(Failure) as caught, failures_told(address="node:1"):
        raise EdgeError(StatusCode.INTERNAL, "x", reason="INTERNAL")

    assert caught.value.exit_code is ExitCode.INTERNAL
