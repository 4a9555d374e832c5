"""The error contract: three copies of the same facts, bounded in size."""

from pathlib import Path
from urllib.parse import quote

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from edgeclient.core.errors import CallError, Reason, Rejected, Throttled, Unavailable, Uncertain, Violation
from edgeclient.ingress import status
from edgeclient.v1 import error_pb2


def _random() -> float:
    return 0.5


def _failure(error: CallError) -> status.Failure:
    return status.failure(error, request_id="R1", random=_random)


def _details(failure: status.Failure) -> status_pb2.Status:
    data = dict(failure.trailers)["grpc-status-details-bin"]
    assert isinstance(data, bytes)
    return status_pb2.Status.FromString(data)


def test_every_reason_but_unspecified_has_a_status() -> None:
    assert set(Reason.values()) - {error_pb2.ERROR_REASON_UNSPECIFIED} == set(status.CODES)


def test_no_reason_is_unknown() -> None:
    assert code_pb2.UNKNOWN not in status.CODES.values()


def test_the_status_in_brackets_in_the_contract_is_the_status_of_the_reason() -> None:
    comments = _contract_comments()

    assert {name: status.code_name(status.CODES[Reason.Value(name)]) for name in comments} == comments


def _contract_comments() -> dict[str, str]:
    lines = Path("protos/edgeclient/v1/error.proto").read_text().splitlines()
    found: dict[str, str] = {}
    code = ""
    for line in (line.strip() for line in lines):
        if line.startswith("// ["):
            code = line.removeprefix("// [").split("]")[0].split(",")[0]
        elif line.startswith("ERROR_REASON_") and not line.startswith("ERROR_REASON_UNSPECIFIED"):
            found[line.split(" ")[0]] = code
    return found


def test_ascii_trailers_tell_the_smallest_client_everything() -> None:
    failure = _failure(Uncertain(error_pb2.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut"))

    trailers = {key: value for key, value in failure.trailers if not key.endswith("-bin")}
    assert trailers == {
        "edge-reason": "UPSTREAM_INTERRUPTED",
        "edge-request-id": "R1",
        "edge-possibly-billed": "1",
        "grpc-retry-pushback-ms": "-1",
    }


def test_pushback_has_jitter_so_that_a_fleet_does_not_come_back_in_step() -> None:
    error = Throttled(error_pb2.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=10.0)

    def pushback(random: float) -> object:
        failure = status.failure(error, request_id="R1", random=lambda: random)
        return dict(failure.trailers)["grpc-retry-pushback-ms"]

    assert ["10000", "10500", "11998"] == [pushback(value) for value in (0.0, 0.25, 0.999)]


@pytest.mark.parametrize("reason", ["RATE_LIMITED", "QUEUE_FULL", "DISPATCH_FULL"])
def test_limit_of_this_node_is_a_quota_failure_with_a_delay(reason: str) -> None:
    error = Throttled(error_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}"), "no room", retry_after_s=10.0)
    details = _details(_failure(error))

    assert code_pb2.RESOURCE_EXHAUSTED == details.code
    assert ["ErrorInfo", "RetryInfo", "QuotaFailure"] == [
        each.TypeName().rpartition(".")[2] for each in details.details
    ]


def test_what_may_be_billed_again_is_not_repeated_by_a_library() -> None:
    error = Uncertain(error_pb2.ERROR_REASON_UPSTREAM_TIMEOUT, "late", retry_after_s=2.0)

    assert "-1" == dict(_failure(error).trailers)["grpc-retry-pushback-ms"]


def test_unavailable_without_advice_gets_a_delay() -> None:
    error = Unavailable(error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503")

    assert "1100" == dict(_failure(error).trailers)["grpc-retry-pushback-ms"]


def test_details_name_every_violation_with_its_path() -> None:
    violations = [Violation(field="messages[2].tool_call_id", description="is missing")]
    details = _details(_failure(Rejected(error_pb2.ERROR_REASON_INVALID_REQUEST, "wrong", violations=violations)))

    bad = error_details_pb2.BadRequest()
    assert details.details[1].Unpack(bad)
    assert [(each.field, each.description) for each in bad.field_violations] == [
        ("messages[2].tool_call_id", "is missing")
    ]


def test_error_info_is_always_there() -> None:
    details = _details(_failure(CallError(error_pb2.ERROR_REASON_INTERNAL, "defect")))

    info = error_details_pb2.ErrorInfo()
    assert details.details[0].Unpack(info)
    assert ("INTERNAL", "edgeclient.v1") == (info.reason, info.domain)


@pytest.mark.parametrize("letter", ["x", "错", "🚀"])
def test_trailers_stay_below_4_kib_whatever_is_wrong(letter: str) -> None:
    violations = [Violation(field=f"messages[{n}]", description=letter * 300) for n in range(100)]
    failure = _failure(Rejected(error_pb2.ERROR_REASON_INVALID_REQUEST, letter * 5000, violations=violations))

    size = len(quote(failure.sentence))
    for key, value in failure.trailers:
        size += len(key) + (len(value) * 4 // 3 if isinstance(value, bytes) else len(value)) + 32
    assert size <= 4096
    assert len(_details(failure).details) == 2


def test_in_band_error_mirrors_the_facts() -> None:
    error = Throttled(error_pb2.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=10.0)

    mirror = status.in_band(error, random=_random)

    assert mirror.code == code_pb2.RESOURCE_EXHAUSTED
    assert mirror.reason == error_pb2.ERROR_REASON_UPSTREAM_RATE_LIMITED
    assert mirror.message == "slow down"
    assert mirror.retry_delay.ToMilliseconds() == 11_000
    assert not mirror.possibly_billed
