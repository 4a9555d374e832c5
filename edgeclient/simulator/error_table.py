"""Every error that the provider is known to answer with, by a name of ours.

The rows follow the provider's error table, and what was seen beside it. `code` is the OpenAI-mode spelling, `native`
the DashScope one (the same where only one is known). An empty code stands for an answer that is no JSON: it comes from
a gateway.
"""

from collections.abc import Mapping
from typing import Final

Row = tuple[str, str, str, str]  # name, code, native, message

QUOTA: Final = "You exceeded your current quota, please check your plan and billing details."
FREE_TIER: Final = (
    "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, "
    'please disable the "use free tier only" mode in the management console.'
)
BURST: Final = "Request rate increased too quickly. To ensure system stability, please scale requests more smoothly."
ALLOCATED: Final = "Allocated quota exceeded, please increase your quota limit."
BATCH: Final = (
    "Too many requests. Batch requests are being throttled due to system capacity limits. Please try again later."
)
CAPACITY: Final = "Too many requests. Your requests are being throttled due to system capacity limits."
ALGO: Final = "<400> InternalError.Algo.InvalidParameter: A parameter of the request is not valid."
ROLES: Final = "The roles of the messages are not in the right order."
NO_THINKING: Final = "The model does not support enable_thinking."


def _same(name: str, code: str, message: str) -> Row:
    """A row whose two spellings of the code are one."""
    return name, code, code, message


TABLE: Final[Mapping[int, tuple[Row, ...]]] = {
    400: (
        ("invalid_parameter", "invalid_parameter_error", "InvalidParameter", "A parameter of the request is invalid."),
        _same("invalid_algo_parameter", "InternalError.Algo.InvalidParameter", ALGO),
        _same("invalid_value", "invalid_value", "A value of the request is invalid."),
        _same("not_support_enable_thinking", "InvalidParameter.NotSupportEnableThinking", NO_THINKING),
        _same("arrearage", "Arrearage", "Access denied, please make sure your account is in good standing."),
        ("data_inspection_failed", "data_inspection_failed", "DataInspectionFailed", "Inappropriate content."),
        _same("invalid_url", "InvalidURL", "The URL of the media resource is not valid."),
        _same("invalid_url_timeout", "InvalidURL.Timeout", "Downloading the media resource timed out."),
        _same("invalid_url_refused", "InvalidURL.ConnectionRefused", "The media resource refused the connection."),
        _same("bad_request_too_large", "BadRequest.TooLarge", "The media resource is too large."),
        _same("client_disconnect", "ClientDisconnect", "The client disconnected."),
        _same("wrong_roles", "ServiceUnavailableError", ROLES),
        _same("api_connection_error", "APIConnectionError", "Connection error."),
        _same("custom_role_blocked", "CustomRoleBlocked", "Blocked by a custom content rule."),
        _same("faq_rule_blocked", "FaqRuleBlocked", "Blocked by a rule of the FAQ."),
        _same("ip_infringement", "IPInfringementSuspect", "The content may infringe intellectual property."),
    ),
    401: (
        ("invalid_api_key", "invalid_api_key", "InvalidApiKey", "Incorrect API key provided. "),
        _same("not_authorized", "NOT AUTHORIZED", "The access token is invalid."),
    ),
    403: (
        ("access_denied", "access_denied", "AccessDenied", "Access denied."),
        _same("unpurchased", "AccessDenied.Unpurchased", "The model service has not been purchased."),
        _same("model_access_denied", "Model.AccessDenied", "Model access denied."),
        _same("workspace_access_denied", "Workspace.AccessDenied", "Workspace access denied."),
        _same("free_tier_only", "AllocationQuota.FreeTierOnly", FREE_TIER),
        ("free_tier_only_quota", "insufficient_quota", "AllocationQuota.FreeTierOnly", FREE_TIER),
    ),
    404: (
        (
            "model_not_found",
            "model_not_found",
            "ModelNotFound",
            "The model does not exist or you have no access to it.",
        ),
        _same("model_not_supported", "model_not_supported", "The model is not supported here."),
        _same("workspace_not_found", "WorkSpaceNotFound", "The workspace does not exist."),
        ("not_found", "not_found", "NotFound", "Not found."),
    ),
    408: (("http_408", "request_timeout", "RequestTimeOut", "Request timed out."),),
    413: (_same("too_large", "", "Request Entity Too Large"),),
    429: (
        _same("throttling", "Throttling", "Requests throttling triggered."),
        ("limit_requests", "limit_requests", "Throttling.RateQuota", "You exceeded your current request limit."),
        ("limit_burst_rate", "limit_burst_rate", "Throttling.BurstRate", BURST),
        _same("too_many_in_route", "Throttling", "Too many requests in route. Please try again later."),
        ("insufficient_quota", "insufficient_quota", "Throttling.AllocationQuota", QUOTA),
        ("allocated_quota", "insufficient_quota", "Throttling.AllocationQuota", ALLOCATED),
        ("batch_throttled", "insufficient_quota", "Throttling.AllocationQuota", BATCH),
        ("free_quota", "insufficient_quota", "Throttling.AllocationQuota", "Free allocated quota exceeded."),
        _same("commodity_not_purchased", "CommodityNotPurchased", "The commodity has not been purchased yet."),
        _same("prepaid_bill_overdue", "PrepaidBillOverdue", "The prepaid bill is overdue."),
        _same("postpaid_bill_overdue", "PostpaidBillOverdue", "The postpaid bill is overdue."),
        _same("rate_1302", "1302", "The request rate is too high."),
        _same("rate_1305", "1305", "The request rate is too high."),
        _same("http_429_empty", "", ""),
    ),
    500: (
        ("internal_error", "internal_error", "InternalError", "An internal error has occurred, please try again."),
        _same("internal_algo_error", "InternalError.Algo", "<500> InternalError.Algo: inference error."),
        ("system_error", "system_error", "SystemError", "A system error has occurred, please try again later."),
        _same("model_service_failed", "ModelServiceFailed", "The model service failed."),
        _same("internal_timeout", "InternalError.Timeout", "An internal timeout has occurred, please try again."),
        ("request_timeout", "request_timeout", "RequestTimeOut", "Request timed out, please try again later."),
        _same("response_timeout", "ResponseTimeout", "Response timeout!"),
        _same("serving_error_500", "ModelServingError", CAPACITY),
    ),
    502: (_same("http_502", "", "Bad Gateway"),),
    503: (
        _same("model_serving_error", "ModelServingError", CAPACITY),
        _same("model_unavailable", "ModelUnavailable", "Model is unavailable, please try again later."),
        _same("service_unavailable", "ServiceUnavailable", "The service is temporarily unavailable."),
    ),
    504: (_same("http_504", "", "Gateway Timeout"),),
}
OWN_TYPE: Final = frozenset({"Arrearage", "data_inspection_failed"})  # 4xx whose `type` repeats the code
