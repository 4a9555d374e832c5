"""Facts about limits, money and what was used; see `events.py` for what a fact is."""

from dataclasses import dataclass

from edgeclient.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswered(Event):
    """A request was answered through one of the provider's half-price interfaces, of which no attempt tells.

    Attributes:
        caller: Whose.
        model: Model that was asked.
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens: As billed.
        cost_nanos: Price in billionths of `currency_code`; 0 if no price is known.
        full_cost_nanos: What the same would have cost live.
        currency_code: ISO 4217 code; "" if no price is known.
    """

    caller: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    full_cost_nanos: int
    currency_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetNearlySpent(Event):
    """Most of a caller's money for the day is spent or reserved; told once a day.

    Attributes:
        caller: Whose.
        limit: Path of the setting.
        value: The budget, in units of the currency.
        spent: What is spent or reserved of it.
        currency_code: ISO 4217 code.
    """

    caller: str
    limit: str
    value: float
    spent: float
    currency_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpent(Event):
    """A caller's money for the day is used up: it was refused for lack of it. Told once a day.

    Attributes:
        caller: Whose.
        limit: Path of the setting.
        value: The budget, in units of the currency.
        spent: What is spent or reserved of it.
        currency_code: ISO 4217 code.
        ends_in_s: Time until the next day begins.
    """

    caller: str
    limit: str
    value: float
    spent: float
    currency_code: str
    ends_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotasRead(Event):
    """The provider told its limits.

    Attributes:
        target: Which target.
        model_count: For how many models.
    """

    target: str
    model_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotasUnread(Event):
    """The provider did not tell its limits; those that are known stay in force.

    Attributes:
        target: Which target.
        problem: What was wrong.
    """

    target: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsUnsaved(Event):
    """What is counted could not be stored; it is kept in memory and tried again.

    Attributes:
        problem: What is wrong.
    """

    problem: str
