"""What an answer costs, by the operator's price table.

Prices change too often to live in code, so without a row there is no price rather than a guess. The provider picks the
tier by the input of the single request and applies it to the whole of it; reasoning is billed as output, and for some
models all output of an answer with reasoning has a price of its own. Its batch interfaces take a part of the price, and
there cached input is no cheaper. All sums are integers: a price per million tokens is a whole number of trillionths per
token for every price list that there is, so adding up answers never drifts.
"""

from collections.abc import Callable, Iterable
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

    @property
    def thinking_per_million(self) -> float:
        """Price of a million output tokens of an answer with reasoning. Negative: as output."""
        ...

    @property
    def batch_factor(self) -> float:
        """The part of these prices that the batch interfaces take."""
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
    thinking_trillionths: int
    batch_millionths: int


class Prices(Protocol):
    """What answers cost."""

    def cost(
        self,
        model_id: str,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        *,
        thinking: bool = False,
        batch: bool = False,
    ) -> Cost | None:
        """See `PriceTable.cost`."""
        ...


class PriceTable:
    """The prices of all models; they may change while the node runs.

    Args:
        rows: Rows in any order; of two for the same model and size the first wins.
        resolve: The id of the model that a name in a row stands for.
    """

    def __init__(self, rows: Iterable[PriceRow], *, resolve: Callable[[str], str] = str) -> None:
        self._resolve = resolve
        self.apply(rows)

    def apply(self, rows: Iterable[PriceRow]) -> None:
        """From now on these are the prices. What is priced already keeps its price."""
        tiers: dict[str, list[_Tier]] = {}
        for row in rows:
            tiers.setdefault(self._resolve(row.model), []).append(_tier(row))
        self._tiers = {model: sorted(found, key=lambda tier: tier.up_to_tokens) for model, found in tiers.items()}

    def cost(
        self,
        model_id: str,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        *,
        thinking: bool = False,
        batch: bool = False,
    ) -> Cost | None:
        """Price of one answer; None if the table has none for this model and input.

        Args:
            model_id: The model that answered.
            prompt_tokens: Tokens of the input, cached ones included.
            cached_tokens: Part of them that the provider had cached.
            completion_tokens: Tokens of the output, reasoning included.
            thinking: The output has reasoning in it.
            batch: It came through a batch interface.
        """
        for tier in self._tiers.get(model_id, ()):
            if prompt_tokens <= tier.up_to_tokens:
                cached = 0 if batch else min(max(0, cached_tokens), prompt_tokens)
                trillionths = (
                    (prompt_tokens - cached) * tier.input_trillionths
                    + cached * tier.cached_trillionths
                    + completion_tokens * (tier.thinking_trillionths if thinking else tier.output_trillionths)
                )
                if batch:
                    trillionths = trillionths * tier.batch_millionths // 1_000_000
                return Cost(nanos=(trillionths + 500) // 1000, currency=tier.currency)
        return None

    def currency(self, model_id: str) -> str:
        """The currency of a model's price; "" if it has none."""
        tiers = self._tiers.get(model_id)
        return tiers[0].currency if tiers else ""


class ScaledPrices:
    """The prices of a target that takes more or less than those of the table; also when those have changed.

    Args:
        table: The prices.
        factor: What they are multiplied by; 0: nothing is paid there.
    """

    def __init__(self, table: PriceTable, *, factor: float) -> None:
        self._table = table
        self._millionths = round(factor * 1_000_000)

    def cost(
        self,
        model_id: str,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        *,
        thinking: bool = False,
        batch: bool = False,
    ) -> Cost | None:
        """See `PriceTable.cost`."""
        cost = self._table.cost(
            model_id, prompt_tokens, cached_tokens, completion_tokens, thinking=thinking, batch=batch
        )
        if cost is None:
            return None
        return Cost(nanos=(cost.nanos * self._millionths + 500_000) // 1_000_000, currency=cost.currency)


def _tier(row: PriceRow) -> _Tier:
    cached = row.cached_per_million if row.cached_per_million >= 0 else row.input_per_million
    thinking = row.thinking_per_million if row.thinking_per_million >= 0 else row.output_per_million
    return _Tier(
        up_to_tokens=row.up_to_input_tokens or inf,
        currency=row.currency,
        input_trillionths=round(row.input_per_million * 1_000_000),
        cached_trillionths=round(cached * 1_000_000),
        output_trillionths=round(row.output_per_million * 1_000_000),
        thinking_trillionths=round(thinking * 1_000_000),
        batch_millionths=round(row.batch_factor * 1_000_000),
    )
