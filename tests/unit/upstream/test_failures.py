"""What an error of the provider means for the caller, and what is done next."""

import json

import builders
import pytest

from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
    Unfetched,
)
from edgeclient.policy.route import counts_against, may_repeat, shows_life, step_after
from edgeclient.upstream.failures import ProviderError, failure, parse_error, parse_retry_after

QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."

OF_ITS_OWN_TIME = ("InternalError.Timeout", "RequestTimeOut", "request_timeout", "ResponseTimeout")
MEANINGS = [
    # status, code, message, class, reason
    (400, "InvalidParameter", "", Rejected, "INVALID_REQUEST"),
    (400, "invalid_parameter_error", "Range of input length should be [1, 30720]", Rejected, "INVALID_REQUEST"),
    (400, "InvalidParameter.NotSupportEnableThinking", "", Rejected, "INVALID_REQUEST"),
    (400, "InternalError.Algo.InvalidParameter", "", Rejected, "INVALID_REQUEST"),
    (400, "InternalError.Algo", "", Rejected, "INVALID_REQUEST"),
    (400, "invalid_value", "", Rejected, "INVALID_REQUEST"),
    (400, "ServiceUnavailableError", "Role must be user or assistant", Rejected, "INVALID_REQUEST"),
    (400, "InvalidURL", "", Rejected, "INVALID_REQUEST"),
    (400, "", "something new", Rejected, "INVALID_REQUEST"),
    (422, "", "", Rejected, "INVALID_REQUEST"),
    (400, "context_length_exceeded", "", Rejected, "INVALID_REQUEST"),
    (400, "InvalidURL.Timeout", "", Unfetched, "UPSTREAM_UNAVAILABLE"),
    (400, "InvalidFile.DownloadFailed", "", Unfetched, "UPSTREAM_UNAVAILABLE"),
    (200, "", "Range of input length should be [1, 30720]", Rejected, "INVALID_REQUEST"),
    (200, "", "Input data may contain inappropriate content.", Rejected, "CONTENT_BLOCKED"),
    (200, "mismatched_model", "", Rejected, "INVALID_REQUEST"),
    (200, "duplicate_custom_id", "", Rejected, "INVALID_REQUEST"),
    (400, "APIConnectionError", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (400, "ClientDisconnect", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (400, "BadRequest.TooLarge", "", Rejected, "REQUEST_TOO_LARGE"),
    (413, "", "", Rejected, "REQUEST_TOO_LARGE"),
    (400, "DataInspectionFailed", "", Rejected, "CONTENT_BLOCKED"),
    (400, "data_inspection_failed", "", Rejected, "CONTENT_BLOCKED"),
    (400, "FaqRuleBlocked", "", Rejected, "CONTENT_BLOCKED"),
    (400, "Arrearage", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (402, "", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (402, "insufficient_quota", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (403, "InsufficientBalance", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (403, "", "Please make sure that your account is in good standing.", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (403, "", "", Blocked, "UPSTREAM_CREDENTIALS"),
    (403, "AllocationQuota.FreeTierOnly", "", ModelBlocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (
        403,
        "insufficient_quota",
        "The free tier of the model has been exhausted.",
        ModelBlocked,
        "UPSTREAM_QUOTA_EXHAUSTED",
    ),
    (403, "insufficient_quota", "", ModelBlocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (403, "AccessDenied.Unpurchased", "", ModelBlocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (429, "insufficient_quota", "Free allocated quota exceeded.", ModelBlocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", ModelBlocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (429, "", "Free allocated quota exceeded.", ModelBlocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (429, "PrepaidBillOverdue", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (429, "PostpaidBillOverdue", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (429, "CommodityNotPurchased", "", Blocked, "UPSTREAM_QUOTA_EXHAUSTED"),
    (401, "InvalidApiKey", "", Blocked, "UPSTREAM_CREDENTIALS"),
    (401, "invalid_api_key", "", Blocked, "UPSTREAM_CREDENTIALS"),
    (401, "NOT AUTHORIZED", "", Blocked, "UPSTREAM_CREDENTIALS"),
    (401, "invalid_request_error", "You didn't provide an API key", Blocked, "UPSTREAM_CREDENTIALS"),
    (401, "", "", Blocked, "UPSTREAM_CREDENTIALS"),
    (403, "AccessDenied", "", ModelBlocked, "UPSTREAM_CREDENTIALS"),
    (403, "Workspace.AccessDenied", "", ModelBlocked, "UPSTREAM_CREDENTIALS"),
    (404, "WorkSpaceNotFound", "", Blocked, "UPSTREAM_CREDENTIALS"),
    (403, "Model.AccessDenied", "", ModelBlocked, "MODEL_NOT_FOUND"),
    (403, "access_denied", "Access to model denied.", ModelBlocked, "MODEL_NOT_FOUND"),
    (404, "ModelNotFound", "", ModelBlocked, "MODEL_NOT_FOUND"),
    (404, "model_not_found", "", ModelBlocked, "MODEL_NOT_FOUND"),
    (404, "model_not_supported", "", ModelBlocked, "MODEL_NOT_FOUND"),
    (404, "", "The model `qwen9` does not exist", ModelBlocked, "MODEL_NOT_FOUND"),
    (404, "NotFound", "", Blocked, "UPSTREAM_BAD_RESPONSE"),
    (405, "", "", Blocked, "UPSTREAM_BAD_RESPONSE"),
    (429, "Throttling", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "Throttling.RateQuota", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "limit_requests", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "limit_burst_rate", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "insufficient_quota", QUOTA_TEXT, Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "Throttling.AllocationQuota", "Allocated quota exceeded", Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "", QUOTA_TEXT, Throttled, "UPSTREAM_RATE_LIMITED"),
    (429, "", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (200, "1302", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (200, "1305", "", Throttled, "UPSTREAM_RATE_LIMITED"),
    (200, "invalid_request_error", "Too many requests", Throttled, "UPSTREAM_RATE_LIMITED"),
    (200, "", "Too many requests", Throttled, "UPSTREAM_RATE_LIMITED"),
    (503, "ModelServingError", "Too many requests.", Throttled, "UPSTREAM_RATE_LIMITED"),
    (500, "InternalError", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (500, "internal_error", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (500, "InternalError.Algo", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (500, "SystemError", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (503, "ModelUnavailable", "", Throttled, "UPSTREAM_UNAVAILABLE"),
    (503, "ServiceUnavailable", "", Throttled, "UPSTREAM_UNAVAILABLE"),
    (503, "", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (502, "text/html", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (200, "brand_new_code", "", Unavailable, "UPSTREAM_UNAVAILABLE"),
    (500, "InternalError.Timeout", "", Unavailable, "UPSTREAM_TIMEOUT"),
    (500, "RequestTimeOut", "", Unavailable, "UPSTREAM_TIMEOUT"),
    (500, "request_timeout", "", Unavailable, "UPSTREAM_TIMEOUT"),
    (500, "ResponseTimeout", "", Unavailable, "UPSTREAM_TIMEOUT"),
    (408, "", "", Unavailable, "UPSTREAM_TIMEOUT"),
    (504, "", "", Unavailable, "UPSTREAM_TIMEOUT"),
    (200, "text/html", "", Unavailable, "UPLINK_OFFLINE"),
    (403, "text/html", "", Unavailable, "UPLINK_OFFLINE"),
    (302, "", "", Unavailable, "UPLINK_OFFLINE"),
    (407, "", "", Unavailable, "UPLINK_OFFLINE"),
    (511, "", "", Unavailable, "UPLINK_OFFLINE"),
    (200, "", "", Uncertain, "UPSTREAM_BAD_RESPONSE"),
]


MAYBE, LATER, NEVER, STOP = "R", "R60", "N", "S"
REFERENCE: list[tuple[int, str, str, str]] = [
    # status, codes as the provider and the OpenAI mode write them, message, what to do: as in its own table
    (400, "InvalidParameter invalid_parameter_error invalid_request_error invalid_value", "", NEVER),
    (400, "InternalError.Algo.InvalidParameter InvalidParameter.NotSupportEnableThinking", "", NEVER),
    (400, "Arrearage", "", STOP),
    (400, "DataInspectionFailed data_inspection_failed", "", NEVER),
    (400, "InvalidURL InvalidFile.Format", "", NEVER),
    (400, "InvalidURL.Timeout InvalidURL.ConnectionRefused InvalidFile.DownloadFailed", "", MAYBE),
    (400, "BadRequest.TooLarge ServiceUnavailableError", "", NEVER),
    (400, "APIConnectionError", "", MAYBE),
    (400, "CustomRoleBlocked FaqRuleBlocked IPInfringementSuspect", "", NEVER),
    (401, "InvalidApiKey invalid_api_key NOT_AUTHORIZED", "", STOP),
    (401, "", "invalid access token", STOP),
    (403, "AccessDenied access_denied AccessDenied.Unpurchased Model.AccessDenied Workspace.AccessDenied", "", STOP),
    (403, "AllocationQuota.FreeTierOnly insufficient_quota", "", STOP),
    (404, "ModelNotFound model_not_found model_not_supported WorkSpaceNotFound NotFound", "", STOP),
    (408, "", "", MAYBE),
    (413, "", "", NEVER),
    (429, "Throttling Throttling.RateQuota LimitRequests limit_requests", "", LATER),
    (429, "Throttling.BurstRate limit_burst_rate", "request rate increased too quickly", LATER),
    (429, "Throttling.AllocationQuota insufficient_quota", QUOTA_TEXT, LATER),
    (429, "Throttling.AllocationQuota insufficient_quota", "Free allocated quota exceeded", STOP),
    (429, "CommodityNotPurchased PrepaidBillOverdue PostpaidBillOverdue", "", STOP),
    (429, "", "batch requests throttled", LATER),
    (500, "InternalError internal_error InternalError.Algo SystemError", "", MAYBE),
    (500, "ModelServiceFailed InvokePluginFailed RewriteFailed", "", MAYBE),
    (500, "InternalError.Timeout RequestTimeOut request_timeout ResponseTimeout", "", MAYBE),
    (500, "ModelServingError", "too many requests, temporary capacity limits", LATER),
    (503, "ModelServingError ModelUnavailable ServiceUnavailable", "", LATER),
    (502, "", "", MAYBE),
    (504, "", "", MAYBE),
    (400, "mismatched_model duplicate_custom_id", "", NEVER),
    (200, "1302 1305", "", LATER),
]
DONE: dict[str, type[CallError]] = {MAYBE: Unavailable, LATER: Throttled, NEVER: Rejected, STOP: Blocked}


@pytest.mark.parametrize(("status", "codes", "message", "do"), REFERENCE)
def test_the_table_of_the_provider(status: int, codes: str, message: str, do: str) -> None:
    for code in codes.split() or [""]:
        error = failure(ProviderError(http_status=status, code=code, message=message))

        assert isinstance(error, DONE[do]), code
        assert not error.possibly_billed


@pytest.mark.parametrize("code", OF_ITS_OWN_TIME)
def test_what_took_too_long_is_asked_elsewhere_and_not_again(code: str) -> None:
    call = builders.call()
    error = failure(ProviderError(http_status=500, code=code))

    assert step_after(call, error, moves_after_timeout=False) is not None
    assert not may_repeat(call, error)
    gateway = failure(ProviderError(http_status=504, code=""))
    assert may_repeat(call, gateway)


def test_media_that_cannot_be_fetched_are_no_fault_of_the_target() -> None:
    error = failure(ProviderError(http_status=400, code="InvalidURL.ConnectionRefused"))

    assert shows_life(error)
    assert not counts_against(error)
    assert may_repeat(builders.call(), error)
    assert step_after(builders.call(), error, moves_after_timeout=True) is None


@pytest.mark.parametrize(("status", "code", "message", "kind", "reason"), MEANINGS)
def test_error_means_one_thing(status: int, code: str, message: str, kind: type[CallError], reason: str) -> None:
    error = failure(ProviderError(http_status=status, code=code, message=message))

    assert (kind, reason) == (type(error), error.reason_name)


@pytest.mark.parametrize(("status", "code", "message", "kind", "reason"), MEANINGS)
def test_advice_fits_the_class(status: int, code: str, message: str, kind: type[CallError], reason: str) -> None:
    del reason
    error = failure(ProviderError(http_status=status, code=code, message=message), retry_after_s=7.0)

    passes = kind in (Throttled, Unavailable, Unfetched) and code not in OF_ITS_OWN_TIME
    assert (7.0 if passes else None) == error.retry_after_s
    assert passes is error.retry_after_told
    assert (kind is Uncertain) is error.possibly_billed


@pytest.mark.parametrize(("status", "code", "message", "kind", "reason"), MEANINGS)
def test_after_a_piece_every_error_is_a_cut(
    status: int, code: str, message: str, kind: type[CallError], reason: str
) -> None:
    del kind
    error = failure(ProviderError(http_status=status, code=code, message=message), sent_pieces=True)

    assert isinstance(error, Uncertain)
    cut = "CONTENT_BLOCKED" if reason == "CONTENT_BLOCKED" else "UPSTREAM_INTERRUPTED"
    assert cut == error.reason_name
    assert message in error.message


@pytest.mark.parametrize(
    ("code", "expected"),
    [("limit_requests", 1.0), ("insufficient_quota", 30.0), ("limit_burst_rate", 30.0), ("", 1.0)],
)
def test_pause_fits_the_window_of_the_limit(code: str, expected: float) -> None:
    error = failure(ProviderError(http_status=429, code=code))

    assert (expected, False) == (error.retry_after_s, error.retry_after_told)


def test_sentence_names_meaning_code_status_and_words() -> None:
    error = failure(ProviderError(http_status=429, code="limit_requests", message="Slow down."))

    assert error.message == "The provider limits the rate of requests (limit_requests, HTTP 429): Slow down."


OPENAI = {"error": {"message": "m", "type": "t", "param": None, "code": "c"}, "request_id": "r"}
NATIVE = {"code": "c", "message": "m", "request_id": "r"}
FOUND = ProviderError(http_status=400, code="c", message="m", request_id="r")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (json.dumps(OPENAI), FOUND),
        (json.dumps(NATIVE), FOUND),
        (" \ufeff\n" + json.dumps(NATIVE), ProviderError(http_status=400, message="\ufeff " + json.dumps(NATIVE))),
        ("\ufeff" + json.dumps(NATIVE), FOUND),
        ("data: " + json.dumps(OPENAI), FOUND),
        (f"id:1\nevent:error\n:HTTP_STATUS/429\ndata:{json.dumps(NATIVE)}\n\n", ProviderError(
            http_status=429, code="c", message="m", request_id="r")),
        (f": hello\n\ndata: {{}}\n\ndata: {json.dumps(NATIVE)}\n\ndata: [DONE]\n\n", FOUND),
        ('{"error":"m"}', ProviderError(http_status=400, message="m")),
        ('{"error":{"message":"m","code":null,"type":"t"}}', ProviderError(http_status=400, code="t", message="m")),
        ('{"error":{"code":1302}}', ProviderError(http_status=400, code="1302")),
        ('{"error":{"code":"unknown","message":"m"},"id":"chatcmpl-1"}', ProviderError(
            http_status=400, message="m", request_id="chatcmpl-1")),
        ('[{"code":"c"}]', ProviderError(http_status=400, code="c")),
        (json.dumps({"error": {"code": 502, "message": "relay", "metadata": {"raw": json.dumps(OPENAI)}}}), FOUND),
        ('{"code":"c","metadata":{"raw":"{torn"}}', ProviderError(http_status=400, code="c")),
        ("plain\r\n words", ProviderError(http_status=400, message="plain words")),
        ("<html><title>x</title>", ProviderError(http_status=400, code="text/html")),
        ("", ProviderError(http_status=400)),
        ("null", ProviderError(http_status=400)),
        ("data: ", ProviderError(http_status=400)),
        ("{" * 5000, ProviderError(http_status=400, message="{" * 299 + "…")),
    ],
)  # fmt: skip
def test_error_is_found_in_every_shape(body: str, expected: ProviderError) -> None:
    found = parse_error(http_status=400, content_type="application/json", body=body.encode())

    assert (expected.http_status, expected.code, expected.message) == (found.http_status, found.code, found.message)
    assert expected.request_id in ("", found.request_id)


def test_status_in_place_of_a_code_counts_inside_a_200() -> None:
    found = parse_error(http_status=200, content_type="", body=b'{"error":{"code":429,"message":"m"}}')

    assert ProviderError(http_status=429, message="m") == found


def test_empty_web_page_is_known_by_its_type() -> None:
    assert parse_error(http_status=200, content_type="text/html; charset=utf-8", body=b"").code == "text/html"


@pytest.mark.parametrize("secret", ["sk-4f9aB0c1d2e3", "sk-ws-H.abc-def_1", "sk-sp-123", "Bearer abc.def", "cr_0a1b2c"])
@pytest.mark.parametrize("shape", ['{{"error":{{"message":"Incorrect key: {}!"}}}}', "Incorrect key: {}!"])
def test_key_never_leaves_the_node(secret: str, shape: str) -> None:
    found = parse_error(http_status=401, content_type="", body=shape.format(secret).encode())

    assert secret not in failure(found).message
    assert "Incorrect key: [key]" in failure(found).message


def test_long_sentence_is_cut() -> None:
    found = parse_error(http_status=400, content_type="", body=json.dumps({"message": "word " * 9999}).encode())

    assert len(found.message) <= 300
    assert found.message.endswith("word…")


def test_control_characters_do_not_travel() -> None:
    found = parse_error(
        http_status=400, content_type="", body=b'{"code":"a\\nb","message":"a\\u0000\\r\\n\\tb\\u001b"}'
    )

    assert (found.code, found.message) == ("a b", "a b")


NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after": "inf"}, 3600.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
    ],
)
def test_retry_after_is_read_and_bounded(headers: dict[str, str], expected: float | None) -> None:
    assert expected == parse_retry_after(lambda name: headers.get(name, ""), wall_s=NOW_S)


@pytest.mark.parametrize("told", ["86400", "1e999"])
def test_an_absurd_retry_after_is_cut_and_told(told: str) -> None:
    capped: list[tuple[float, float]] = []

    kept_s = parse_retry_after(
        lambda name: told if name == "retry-after" else "", wall_s=NOW_S, capped=lambda *both: capped.append(both)
    )

    assert 3600.0 == kept_s
    assert [(float(told), 3600.0)] == capped


def test_a_retry_after_within_reason_is_kept_without_a_word() -> None:
    capped: list[tuple[float, float]] = []
    headers = {"retry-after-ms": "1500"}

    assert 1.5 == parse_retry_after(
        lambda name: headers.get(name, ""), wall_s=NOW_S, capped=lambda *both: capped.append(both)
    )
    assert [] == capped
