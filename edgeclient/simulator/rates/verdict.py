"""Whether one more call is allowed, and which rule forbids it.

The provider publishes the limits but not how it counts. Decided here, so that a client that keeps the published limits
is never refused and one that does not is:

* A minute is any 60 seconds: within none of them are more than RPM requests begun, or calls begun when with their input
  the tokens would be more than TPM. Output counts when it is generated, so it can carry the sum above TPM; then the
  next calls are refused until enough of it is a minute ago.
* A second is any one second. A call is refused when those before it within that second have used up RPM/60 or TPM/60
  already. So calls at an even pace always pass, and so does one call with more tokens than a second has, which the
  provider's long contexts need.
* Growth: the use of the last minute, this call included, stays within the larger one of a fixed allowance and what was
  used in the minute that ended `burst_lookback_s` ago plus `burst_growth` of it.
* Concurrency: calls that have begun and not ended.

The rules are asked in the order of `Rule`; the first that forbids is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from .model_limits import ModelLimits
from .window import History, Window

MINUTE_S: Final = 60
SECOND_S: Final = 1


class Rule(StrEnum):
    """Why a call is refused."""

    CONCURRENCY = "concurrency"
    RPM = "rpm"
    RPS = "rps"
    TPM = "tpm"
    TPS = "tps"
    BURST_REQUESTS = "burst_requests"
    BURST_TOKENS = "burst_tokens"


@dataclass(slots=True, kw_only=True)
class Use:
    """What calls of one model have used."""

    requests: History = field(default_factory=History)
    tokens: History = field(default_factory=History)
    requests_of_minute: Window = field(default_factory=lambda: Window(MINUTE_S))
    requests_of_second: Window = field(default_factory=lambda: Window(SECOND_S))
    tokens_of_minute: Window = field(default_factory=lambda: Window(MINUTE_S))
    tokens_of_second: Window = field(default_factory=lambda: Window(SECOND_S))
    in_flight: int = 0
    in_flight_max: int = 0
    admitted: int = 0
    refused: dict[Rule, int] = field(default_factory=dict)

    def add_request(self, now_s: float) -> None:
        """A call has begun."""
        self.requests_of_minute.add(now_s, 1)
        self.requests_of_second.add(now_s, 1)
        self.requests.add(now_s, 1)

    def add_tokens(self, now_s: float, amount: int) -> None:
        """Tokens were read or written."""
        self.tokens_of_minute.add(now_s, amount)
        self.tokens_of_second.add(now_s, amount)
        self.tokens.add(now_s, amount)


def _too_many_at_once(limits: ModelLimits, use: Use, _tokens: int, _now_s: float) -> bool:
    return limits.concurrency is not None and use.in_flight >= limits.concurrency


def _over_rpm(limits: ModelLimits, use: Use, _tokens: int, now_s: float) -> bool:
    limit = limits.requests_per_minute
    return limit is not None and use.requests_of_minute.used(now_s) >= limit


def _over_rps(limits: ModelLimits, use: Use, _tokens: int, now_s: float) -> bool:
    limit = limits.requests_per_minute
    return limit is not None and use.requests_of_second.used(now_s) >= limit / MINUTE_S


def _over_tpm(limits: ModelLimits, use: Use, tokens: int, now_s: float) -> bool:
    limit = limits.tokens_per_minute
    return limit is not None and use.tokens_of_minute.used(now_s) + tokens > limit


def _over_tps(limits: ModelLimits, use: Use, _tokens: int, now_s: float) -> bool:
    limit = limits.tokens_per_minute
    return limit is not None and use.tokens_of_second.used(now_s) >= limit / MINUTE_S


def _requests_grow(limits: ModelLimits, use: Use, _tokens: int, now_s: float) -> bool:
    wanted = use.requests_of_minute.used(now_s) + 1
    return _grows(limits, limits.burst_rpm, wanted, use.requests, now_s)


def _tokens_grow(limits: ModelLimits, use: Use, tokens: int, now_s: float) -> bool:
    wanted = use.tokens_of_minute.used(now_s) + tokens
    return _grows(limits, limits.burst_tpm, wanted, use.tokens, now_s)


def _grows(limits: ModelLimits, allowance: int | None, wanted: int, history: History, now_s: float) -> bool:
    if allowance is None or wanted <= allowance:
        return False
    end_s = now_s - limits.burst_lookback_s
    return wanted > history.within(end_s - MINUTE_S, end_s) * (1 + limits.burst_growth)


_FORBIDS: Final[Mapping[Rule, Callable[[ModelLimits, Use, int, float], bool]]] = {
    Rule.CONCURRENCY: _too_many_at_once,
    Rule.RPM: _over_rpm,
    Rule.RPS: _over_rps,
    Rule.TPM: _over_tpm,
    Rule.TPS: _over_tps,
    Rule.BURST_REQUESTS: _requests_grow,
    Rule.BURST_TOKENS: _tokens_grow,
}


def verdict(limits: ModelLimits, use: Use, *, tokens: int, now_s: float) -> Rule | None:
    """The rule that forbids a call with so many tokens now; None: it is allowed."""
    return next((rule for rule in Rule if _FORBIDS[rule](limits, use, tokens, now_s)), None)
