"""Whose fault a failure is: the one question that an operator asks of an error rate.

`caller`: the request or the device. `policy`: this node refused by a rule that the operator set, or because it was told
to stop. `provider`: the cloud or the way to it. `gateway`: this node or the account it uses; a person has to act here.

Every reason of the public contract stands in the table (a test sees to it). Anything else becomes `_OTHER`, the value
that OpenTelemetry reserves for it, in the domain `gateway`: it should never be seen and is worth an alarm.
"""

from edgeclient.core.errors import Reason, reason_name

CALLER = "caller"
POLICY = "policy"
PROVIDER = "provider"
GATEWAY = "gateway"
OTHER = "_OTHER"

_DOMAINS = {
    Reason.ERROR_REASON_INVALID_REQUEST: CALLER,
    Reason.ERROR_REASON_REQUEST_TOO_LARGE: CALLER,
    Reason.ERROR_REASON_CONTENT_BLOCKED: CALLER,
    Reason.ERROR_REASON_MODEL_NOT_FOUND: CALLER,
    Reason.ERROR_REASON_JOB_NOT_FOUND: CALLER,
    Reason.ERROR_REASON_CACHE_MISS: CALLER,
    Reason.ERROR_REASON_IDEMPOTENCY_KEY_REUSED: CALLER,
    Reason.ERROR_REASON_CALLER_UNAUTHENTICATED: CALLER,
    Reason.ERROR_REASON_CALLER_NOT_ALLOWED: CALLER,
    Reason.ERROR_REASON_DEADLINE: CALLER,
    Reason.ERROR_REASON_CANCELLED: CALLER,
    Reason.ERROR_REASON_RATE_LIMITED: POLICY,
    Reason.ERROR_REASON_QUEUE_FULL: POLICY,
    Reason.ERROR_REASON_OVERLOADED: POLICY,
    Reason.ERROR_REASON_DISPATCH_FULL: POLICY,
    Reason.ERROR_REASON_SHUTTING_DOWN: POLICY,
    Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED: PROVIDER,
    Reason.ERROR_REASON_UPLINK_OFFLINE: PROVIDER,
    Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE: PROVIDER,
    Reason.ERROR_REASON_UPSTREAM_TIMEOUT: PROVIDER,
    Reason.ERROR_REASON_UPSTREAM_INTERRUPTED: PROVIDER,
    Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE: PROVIDER,
    Reason.ERROR_REASON_OUTCOME_UNKNOWN: PROVIDER,
    Reason.ERROR_REASON_UPSTREAM_CREDENTIALS: GATEWAY,
    Reason.ERROR_REASON_UPSTREAM_QUOTA_EXHAUSTED: GATEWAY,
    Reason.ERROR_REASON_INTERNAL: GATEWAY,
    Reason.ERROR_REASON_STORAGE_UNAVAILABLE: GATEWAY,
    Reason.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN: GATEWAY,
}

DOMAIN_BY_REASON = {"": "", OTHER: GATEWAY} | {reason_name(reason): domain for reason, domain in _DOMAINS.items()}
"""Fault domain by the name of the reason; no reason, no fault."""


def fault_domain(reason: str) -> str:
    """Whose fault a failure with this reason is; "" for a success."""
    return DOMAIN_BY_REASON.get(reason, GATEWAY)
