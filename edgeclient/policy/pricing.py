"""What an answer costs, by the operator's price table.

Prices change too often to live in code, so without a row there is no price rather than a guess. The provider picks the
tier by the input of the single request and applies it to the whole of it; reasoning is billed as output. All sums are
integers: a price per million tokens is a whole number of trillionths per token for every price list that there is, so
adding up answers never drifts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Protocol


class PriceRow(Protocol):
    """Price of a model for requests up to a size."""

    @property
    def model(self) -> str:
        """Model id."""
        ...

    @property
    def currency(self) -> str:
        """ISO 4217 code."""
        ...

    @property
    def up_to_input_tokens(self) -> int:
        """Largest input the row is for. 0: any."""
        ...

    @property
    def input_per_million(self) -> float:
        """Price of a million input tokens."""
        ...

    @property
    def output_per_million(self) -> float:
        """Price of a million output tokens, reasoning included."""
        ...

    @property
    def cached_per_million(self) -> float:
        """Price of a million input tokens that the provider had cached. Negative: as input."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A price.

    Attributes:
        nanos: Billionths of the currency unit.
        currency: ISO 4217 code.
    """

    nanos: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tier:
    up_to_tokens: float
    currency: str
    input_trillionths: int
    cached_trillionths: int
    output_trillionths: int


class PriceTable:
    """The prices of all models. Immutable.

    Args:
        rows: Rows in any order; of two for the same model and size the first wins.
    """

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        tiers: dict[str, list[_Tier]] = {}
        for row in rows:
            tiers.setdefault(row.model, []).append(_tier(row))
        self._tiers = {model: sorted(found, key=lambda tier: tier.up_to_tokens) for model, found in tiers.items()}

    def cost(self, model_id: str, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> Cost | None:
        """Price of one answer; None if the table has none for this model and input.

        Args:
            model_id: The model that answered.
            prompt_tokens: Tokens of the input, cached ones included.
            cached_tokens: Part of them that the provider had cached.
            completion_tokens: Tokens of the output, reasoning included.
        """
        for tier in self._tiers.get(model_id, ()):
            if prompt_tokens <= tier.up_to_tokens:
                cached = min(max(0, cached_tokens), prompt_tokens)
                trillionths = (
                    (prompt_tokens - cached) * tier.input_trillionths
                    + cached * tier.cached_trillionths
                    + completion_tokens * tier.output_trillionths
                )
                return Cost(nanos=(trillionths + 500) // 1000, currency=tier.currency)
        return None


def _tier(row: PriceRow) -> _Tier:
    cached = row.cached_per_million if row.cached_per_million >= 0 else row.input_per_million
    return _Tier(
        up_to_tokens=row.up_to_input_tokens or inf,
        currency=row.currency,
        input_trillionths=round(row.input_per_million * 1_000_000),
        cached_trillionths=round(cached * 1_000_000),
        output_trillionths=round(row.output_per_million * 1_000_000),
    )
