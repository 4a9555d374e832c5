"""What an error of the provider means: one table, from its words to what may be done next.

The same HTTP status carries permanent and passing failures, and one code, `insufficient_quota`, has both meanings: as
a rule it is a throttle that passes within a minute, in spite of its billing words. So a row may ask for a code, a
sentence and a status, the first row that fits decides, and rows that ask for a code come before those that ask for a
sentence, and those before the ones that go by the status alone.

Billing: the provider does not charge for a call that it answers with an error. What fails after the model has begun to
write is another matter and is always uncertain.

Whom a refusal concerns: the key, debts and an account that is not activated concern every request (`Blocked`);
permissions and free quotas are given per model (`ModelBlocked`), and so is what is said in doubt, for the provider
words one lack of a permission in many ways.

Pauses: request limits are also checked second by second (limit per minute / 60), so after one second there is a new
window. Token limits, growth limits and lack of capacity clear within about a minute; 30 s lets three attempts, the
default, span that minute and stays below the default time budget of a call. The provider's own `Retry-After` wins, but
for one so late that it would silence a node for longer than any limit lasts.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from edgeclient.core.errors import (
    Blocked,
    CallError,
    ModelBlocked,
    Reason,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
    Unfetched,
)
from edgeclient.upstream.provider_error import WEB_PAGE, ProviderError, parse_error

__all__ = ["ProviderError", "failure", "parse_error", "parse_retry_after", "unreadable"]

_SECOND_S = 1.0
_MINUTE_S = 30.0
_LONGEST_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What an error means; `says` begins the sentence for the caller."""

    error: type[CallError]
    reason: Reason.ValueType
    says: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """Matches an error whose code and sentence match and whose status is among `statuses`; None: any."""

    meaning: _Meaning
    code: re.Pattern[str] | None = None
    message: re.Pattern[str] | None = None
    statuses: range | tuple[int, ...] | None = None

    def fits(self, error: ProviderError, code: str) -> bool:
        return (
            (self.code is None or self.code.fullmatch(code) is not None)
            and (self.message is None or self.message.search(error.message) is not None)
            and (self.statuses is None or error.http_status in self.statuses)
        )


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_INVALID = _Meaning(Rejected, Reason.ERROR_REASON_INVALID_REQUEST, "The provider refused the request as invalid")
_TOO_LARGE = _Meaning(Rejected, Reason.ERROR_REASON_REQUEST_TOO_LARGE, "The request is too large for the provider")
_CONTENT = _Meaning(Rejected, Reason.ERROR_REASON_CONTENT_BLOCKED, "The provider refused the content")
_NO_MODEL = _Meaning(
    ModelBlocked, Reason.ERROR_REASON_MODEL_NOT_FOUND, "The provider has no such model, or this node may not use it"
)
_KEY = _Meaning(Blocked, Reason.ERROR_REASON_UPSTREAM_CREDENTIALS, "The provider refused this node's API key")
_MONEY = _Meaning(
    Blocked,
    Reason.ERROR_REASON_UPSTREAM_QUOTA_EXHAUSTED,
    "The provider's account of this node has no money left, or is not activated",
)
_NO_ACCESS = _Meaning(
    ModelBlocked,
    Reason.ERROR_REASON_UPSTREAM_CREDENTIALS,
    "The provider does not let this node's API key use this model",
)
_FREE_QUOTA = _Meaning(
    ModelBlocked,
    Reason.ERROR_REASON_UPSTREAM_QUOTA_EXHAUSTED,
    "The free quota of this model is used up, or the model is not activated for this node's account",
)
_NO_PATH = _Meaning(
    Blocked,
    Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE,
    "The provider knows no chat at this address; check upstream.base_url",
)
_RATE = _Meaning(
    Throttled, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "The provider limits the rate of requests", _SECOND_S
)
_TOKENS = _Meaning(
    Throttled, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "The provider limits the rate of tokens", _MINUTE_S
)
_GROWTH = _Meaning(
    Throttled, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "The provider limits how fast traffic may grow", _MINUTE_S
)
_CAPACITY = _Meaning(
    Throttled, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "The provider has no capacity left just now", _MINUTE_S
)
_BATCHES = _Meaning(
    Throttled, Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "The provider limits the management of batches", _MINUTE_S
)
_BUSY = _Meaning(
    Throttled, Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "The provider's model is not available just now", _MINUTE_S
)
_CLOSED = _Meaning(
    Unavailable, Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "The provider is not available just now", _MINUTE_S
)
_FAULT = _Meaning(Unavailable, Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "The provider failed", _SECOND_S)
_MEDIA = _Meaning(
    Unfetched, Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "The provider could not fetch the media", _SECOND_S
)
_TOO_SLOW = _Meaning(  # the same again would take as long; at another endpoint the limit may be another
    Unavailable, Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "The provider took longer than it permits itself"
)
_SLOW = _Meaning(Unavailable, Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "The provider took too long and gave up", _SECOND_S)
_PORTAL = _Meaning(
    Unavailable,
    Reason.ERROR_REASON_UPLINK_OFFLINE,
    "Something between this node and the provider answered instead of it, such as the sign-in page of a network;"
    " check the network and upstream.base_url",
    _MINUTE_S,
)
_PROXY = _Meaning(
    Unavailable,
    Reason.ERROR_REASON_UPLINK_OFFLINE,
    "The proxy wants a user and a password; check upstream.proxy",
    _MINUTE_S,
)
_NONSENSE = _Meaning(Uncertain, Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE, "The provider's answer cannot be understood")
_CUT = "The provider's answer broke off"
_CUT_FOR_CONTENT = "The provider cut its answer off for its content"

_PASSING_CODES = _any(
    r"insufficientquota", r"(throttling\.)?allocationquota(\.\w+)?", r"limittokens?", r"throttling\.tpm"
)
_TIME_OUTS = _any(r"internalerror\.timeout", r"requesttimeout", r"responsetimeout")
_TABLE = (
    # -- by code; compared in lower case, without "_", "-" and blanks
    _Row(_PORTAL, _any(re.escape(WEB_PAGE)), statuses=range(200, 406)),
    _Row(_MONEY, _any(r"arrearage", r"\w*billoverdue", r"commoditynotpurchased", r"insufficientbalance")),
    _Row(_FREE_QUOTA, _any(r"allocationquota\.freetieronly", r"accessdenied\.unpurchased")),
    _Row(_FREE_QUOTA, _PASSING_CODES, _any(r"free (\w+ )?(quota|tier)")),
    _Row(_FREE_QUOTA, _PASSING_CODES, statuses=(403,)),
    _Row(_MONEY, _PASSING_CODES, statuses=(402,)),
    _Row(_TOKENS, _PASSING_CODES),
    _Row(_GROWTH, _any(r"throttling\.burstrate", r"limitburstrate")),
    _Row(_RATE, _any(r"throttling(\..+)?", r"limit(requests?|rate)", r"ratelimit\w*", r"toomanyrequests", r"130[25]")),
    _Row(_RATE, _any(r"invalidrequesterror", r"apierror"), _any(r"^too many requests")),
    _Row(_CAPACITY, _any(r"modelservingerror")),
    _Row(_BUSY, _any(r"modelunavailable", r"serviceunavailable")),
    _Row(_CONTENT, _any(r"(.+\.)?datainspectionfailed", r"contentfilter", r"contentpolicyviolation")),
    _Row(_CONTENT, _any(r"customroleblocked", r"faqruleblocked", r"ipinfringementsuspect")),
    _Row(_KEY, _any(r"invalidapikey", r"notauthorized", r"invalidaccesstoken", r"authenticationerror")),
    _Row(_KEY, _any(r"workspacenotfound")),
    _Row(_NO_MODEL, _any(r"model\.?(notfound|accessdenied)", r"modelnotsupported", r"modelnotexist")),
    _Row(_NO_MODEL, _any(r"accessdenied"), _any(r"access to (the )?model", r"model access")),
    _Row(_NO_ACCESS, _any(r"(workspace\.?)?accessdenied")),
    _Row(_TOO_LARGE, _any(r"badrequest\.toolarge")),
    _Row(_MEDIA, _any(r"(invalidurl|invalidfile)\.(timeout|connectionrefused|downloadfailed)")),
    _Row(_INVALID, _any(r"invalid(url|file)(\..+)?", r"invalidvalue", r"contextlengthexceeded")),
    _Row(_INVALID, _any(r"mismatchedmodel", r"duplicatecustomid")),  # of a line in a file of a batch
    _Row(_INVALID, _any(r"invalidparameter\w*(\..+)?", r"internalerror\.algo\.invalidparameter")),
    _Row(_INVALID, _any(r"invalidrequesterror"), statuses=(200, 400, 422)),  # elsewhere it says less than the status
    _Row(_INVALID, _any(r"internalerror\.algo"), statuses=(400,)),
    _Row(_INVALID, _any(r"serviceunavailableerror"), statuses=(400,)),  # wrong roles, in spite of its name
    _Row(_SLOW, _TIME_OUTS, statuses=(408, 504)),  # of something in between, in words of the provider's
    _Row(_TOO_SLOW, _TIME_OUTS),
    _Row(_FAULT, _any(r"internal(server)?error(\..+)?", r"systemerror", r"servererror", r"apiconnectionerror")),
    _Row(_FAULT, _any(r"modelservicefailed", r"invokepluginfailed", r"rewritefailed", r"clientdisconnect")),
    _Row(_FAULT, _any(r"serviceunavailableerror", r"errorfinish")),
    # -- by the provider's sentence
    _Row(_FREE_QUOTA, message=_any(r"free (\w+ )?(quota|tier)"), statuses=(400, 402, 403, 429)),
    _Row(_MONEY, message=_any(r"account is in good standing"), statuses=(400, 402, 403, 429)),
    _Row(_TOKENS, message=_any(r"^you exceeded your current quota", r"^allocated quota exceeded")),
    _Row(_GROWTH, message=_any(r"request rate increased too quickly")),
    _Row(_BATCHES, message=_any(r"batch requests? (are )?throttl")),
    _Row(_RATE, message=_any(r"^too many requests", r"^requests? rate limit", r"^requests? throttl")),
    _Row(_INVALID, message=_any(r"range of input length", r"maximum context length"), statuses=(200, *range(400, 500))),
    _Row(_CONTENT, message=_any(r"inappropriate content"), statuses=(200, *range(400, 500))),
    _Row(_NO_MODEL, message=_any(r"^(the )?model .*(not exist|not found)"), statuses=(400, 403, 404)),
    # -- by the status alone
    _Row(_KEY, statuses=(401, 403)),
    _Row(_MONEY, statuses=(402,)),
    _Row(_NO_PATH, statuses=(404, 405)),
    _Row(_PROXY, statuses=(407,)),
    _Row(_TOO_LARGE, statuses=(413,)),
    _Row(_RATE, statuses=(429,)),
    _Row(_SLOW, statuses=(408, 504)),
    _Row(_FAULT, statuses=(409, 421, 425, 499)),
    _Row(_INVALID, statuses=range(400, 500)),
    _Row(_PORTAL, statuses=(511, *range(300, 400))),
    _Row(_CLOSED, statuses=(503,)),
    _Row(_FAULT, statuses=range(500, 600)),
    _Row(_FAULT, message=_any(r".")),  # reported inside a 200, in words that are not known
    _Row(_FAULT, _any(r".+")),
    _Row(_NONSENSE),
)


def failure(error: ProviderError, *, retry_after_s: float | None = None, sent_pieces: bool = False) -> CallError:
    """The error to raise for what the provider said.

    Args:
        error: What it said.
        retry_after_s: What it said about when to come back; None: nothing.
        sent_pieces: The model had begun to answer, so the call has perhaps been billed.
    """
    code = re.sub(r"[\s_-]", "", error.code).lower()
    meaning = next(row.meaning for row in _TABLE if row.fits(error, code))
    pause_s = meaning.retry_after_s
    told = retry_after_s is not None and pause_s is not None
    if told:
        pause_s = retry_after_s
    if sent_pieces and meaning is _CONTENT:  # again would be the same question
        return Uncertain(meaning.reason, _summary(_CUT_FOR_CONTENT, error), detail=error.message)
    if sent_pieces:
        reason = Reason.ERROR_REASON_UPSTREAM_INTERRUPTED
        return Uncertain(reason, _summary(_CUT, error), detail=error.message, retry_after_s=pause_s or _SECOND_S)
    return meaning.error(
        meaning.reason,
        _summary(meaning.says, error),
        detail=error.message,
        retry_after_s=pause_s,
        retry_after_told=told,
    )


def unreadable(what: str) -> Uncertain:
    """The error to raise for an answer that arrived and cannot be understood. It was billed, perhaps."""
    return Uncertain(_NONSENSE.reason, f"{_NONSENSE.says}: {what}")


def parse_retry_after(
    headers: Callable[[str], str], *, wall_s: float, capped: Callable[[float, float], None] | None = None
) -> float | None:
    """When the provider wants to be asked again, in seconds from now; None if it does not say.

    Neither documented nor observed of DashScope; relays and gateways send it. Three spellings are known: milliseconds,
    seconds, and a date. It may not exceed an hour: a misconfigured gateway must not silence a node for a day.

    Args:
        headers: Gives the value of a header; "" if there is none.
        wall_s: The present time, because the header may hold a date.
        capped: Told what it said and what is kept of it, if that is less.
    """
    told_s = _told_s(headers, wall_s)
    if told_s is None or told_s <= _LONGEST_RETRY_AFTER_S:
        return told_s
    if capped is not None:
        capped(told_s, _LONGEST_RETRY_AFTER_S)
    return _LONGEST_RETRY_AFTER_S


def _told_s(headers: Callable[[str], str], wall_s: float) -> float | None:
    milliseconds = _number(headers("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_s)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _summary(says: str, error: ProviderError) -> str:
    status = f"HTTP {error.http_status}" if error.http_status else ""
    label = ", ".join(filter(None, (error.code, status)))
    return f"{says} ({label})" if label else says
