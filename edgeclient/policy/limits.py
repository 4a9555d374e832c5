"""How much a model's account, or a caller, may be asked: six numbers, whoever set them."""

from dataclasses import dataclass, fields
from typing import Protocol

_SECONDS = 60


class LimitRow(Protocol):
    """A row of the operator's table of limits; 0: no limit is known."""

    @property
    def model(self) -> str:
        """Model id; "*": each model that has no row of its own."""
        ...

    @property
    def account(self) -> str:
        """Account that it is for; "": each by itself."""
        ...

    @property
    def requests_per_minute(self) -> int:
        """Most requests in any 60 seconds."""
        ...

    @property
    def tokens_per_minute(self) -> int:
        """Most tokens in any 60 seconds."""
        ...

    @property
    def requests_per_second(self) -> int:
        """Most requests in any second. 0: a sixtieth of those per minute."""
        ...

    @property
    def tokens_per_second(self) -> int:
        """Most tokens in any second. 0: a sixtieth of those per minute."""
        ...

    @property
    def max_in_flight(self) -> int:
        """Most requests in progress."""
        ...

    @property
    def growth_tokens(self) -> int:
        """Tokens per minute up to which traffic may grow at once."""
        ...


class CallerRow(Protocol):
    """A row of the operator's table of callers; 0: no limit."""

    @property
    def name(self) -> str:
        """Name; "*": each caller that has no row of its own."""
        ...

    @property
    def requests_per_minute(self) -> int:
        """Most requests in any 60 seconds."""
        ...

    @property
    def tokens_per_minute(self) -> int:
        """Most tokens in any 60 seconds."""
        ...

    @property
    def max_in_flight(self) -> int:
        """Most requests in progress."""
        ...

    @property
    def budget_per_day(self) -> float:
        """Most money in a day (UTC)."""
        ...

    @property
    def budget_currency(self) -> str:
        """ISO 4217 code of the budget."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers; 0: no limit. The names are those of the settings."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    requests_per_second: int = 0
    tokens_per_second: int = 0
    max_in_flight: int = 0
    growth_tokens: int = 0

    def lowered_to(self, other: "Limits") -> "Limits":
        """The lower one of each."""
        return Limits(
            **{each.name: lower_of(getattr(self, each.name), getattr(other, each.name)) for each in fields(Limits)}
        )


NO_LIMITS = Limits()


def limits_of_model(row: LimitRow) -> Limits:
    """The numbers of a row, those per second worked out."""
    return Limits(
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        requests_per_second=row.requests_per_second or per_second(row.requests_per_minute),
        tokens_per_second=row.tokens_per_second or per_second(row.tokens_per_minute),
        max_in_flight=row.max_in_flight,
        growth_tokens=row.growth_tokens,
    )


def limits_of_caller(row: CallerRow) -> Limits:
    """The numbers of a row; nobody counts a caller's seconds."""
    return Limits(
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        max_in_flight=row.max_in_flight,
    )


def limits_told(*, requests_per_minute: int, tokens_per_minute: int) -> Limits:
    """The numbers that the provider tells, which checks a sixtieth of them each second."""
    return Limits(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        requests_per_second=per_second(requests_per_minute),
        tokens_per_second=per_second(tokens_per_minute),
    )


def per_second(per_minute: int) -> int:
    """A sixtieth, rounded down, and at least 1; 0 for no limit."""
    return max(1, per_minute // _SECONDS) if per_minute else 0


def lower_of(one: int, other: int) -> int:
    """The lower limit; 0 is none."""
    return min(one, other) if one and other else one or other
