"""What an attempt will use, what it did use, and why it may not begin now: the words of `Quota`."""

from dataclasses import dataclass
from math import isinf

from edgeclient.core.errors import CallError, Reason, Rejected, Throttled

BUDGET = "budget_per_day"
"""Name of the setting whose shortage ends with the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an attempt will use at most, estimated.

    Attributes:
        model: Id of the model that is asked.
        caller: Who asks.
        tokens: Input and output.
        cost_nanos: Price of them, in billionths of `currency`.
        currency: ISO 4217 code; "" if no price is known.
        output_tokens: Part of `tokens` that is output, which the provider may count as late as the end of the
            attempt; None: that is not known, and all of it is treated so.
        batch: It goes through the provider's batch interface, to which the limits for live traffic do not apply; only
            the caller's budget does.
        account: Whose limits of the model it uses; "": those of the first account.
    """

    model: str
    caller: str
    tokens: int
    cost_nanos: int
    currency: str = ""
    output_tokens: int | None = None
    batch: bool = False
    account: str = ""

    @property
    def read_tokens(self) -> int:
        """What is input, for all that is known."""
        return self.tokens - (self.output_tokens or 0)

    @property
    def late_tokens(self) -> int:
        """What may be counted at the end only."""
        return self.tokens if self.output_tokens is None else self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an attempt did use.

    Attributes:
        tokens: Input and output.
        cost_nanos: Their price; in a currency that is not the demand's it is not counted against the budget.
        currency: ISO 4217 code.
        output_tokens: Part of `tokens` that is output; None: not known.
    """

    tokens: int
    cost_nanos: int
    currency: str = ""
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Why an attempt may not begin now.

    Attributes:
        limit: Path of the setting, such as `limits[0].tokens_per_minute` or `callers[2].budget_per_day`;
            `provider.tokens_per_minute` for what the provider told and nobody set.
        value: Its value; of a limit per second that nobody set, what follows from the one per minute.
        wait_s: When it can begin if nothing else happens; inf: never, because the demand is above the limit itself.
        of_caller: It is the caller's own limit, so it is to be refused; else the account's, and it may wait.
        until_end: An attempt that is under way has to end first. Nobody knows when that is, and `wait_s` is a guess
            from how long they took so far, never below what the windows need.
        currency: Of a budget; "" for other limits.
    """

    limit: str
    value: float
    wait_s: float
    of_caller: bool
    until_end: bool = False
    currency: str = ""

    @property
    def is_final(self) -> bool:
        """Waiting does not help."""
        return isinf(self.wait_s)


def refusal(shortage: Shortage) -> CallError:
    """The error to raise for a demand that may not wait: what the limit is called, how high it is, and until when.

    Returns:
        `Throttled(RATE_LIMITED)` with the time to wait, or `Rejected(REQUEST_TOO_LARGE)` if that would not help.
    """
    is_budget = shortage.limit.endswith(BUDGET)
    # a budget in six digits: one of 0.0004 a day is as good as one of 4,000
    value = f"{shortage.value:,.6g} {shortage.currency}" if is_budget else f"{shortage.value:,.0f}"
    if shortage.is_final:
        sentence = f"This request may use more than {shortage.limit}, {value}, ever permits; ask for less"
        if is_budget:
            sentence += ", or for a model that has a price in that currency"
        return Rejected(Reason.ERROR_REASON_REQUEST_TOO_LARGE, sentence)
    sentence = f"{shortage.limit} is {value} and reached"
    if is_budget:
        left = f"What is left of {shortage.limit}, {value}, does not pay for this request"
        sentence = f"{left}; the next day begins at 00:00 UTC"
    return Throttled(Reason.ERROR_REASON_RATE_LIMITED, sentence, retry_after_s=max(0.0, shortage.wait_s))
