"""Whether budgets can be kept: money is counted by the prices of the operator, so without a price there is no budget.

Told at the start, and not at the first request that would have to be refused: every model that a caller with a budget
may ask needs a price, in the currency of the budget, for requests of any size that the model takes. Who does not want
to look up the prices of all models names those that the caller may ask. A dated snapshot of a model, which has a price
of its own at the provider, is refused to such a caller when it asks for it without a row.
"""

from collections.abc import Callable, Iterator

from edgeclient.config.schema import Config
from edgeclient.core.models import Catalogue
from edgeclient.policy.pricing import PriceTable

_NAMED = 3
_HUGE_TOKENS = 1 << 40


def budget_problems(config: Config, models: Catalogue) -> list[str]:
    """What is wrong, each beginning with the path of the setting. The names of models were checked before."""

    def resolve(name: str) -> str:
        return models.resolve(name).id

    return list(_problems(config, models, resolve)) if any(row.budget_per_day for row in config.callers) else []


def _problems(config: Config, models: Catalogue, resolve: Callable[[str], str]) -> Iterator[str]:
    prices = PriceTable(config.prices, resolve=resolve)
    for index, row in enumerate(config.callers):
        if not row.budget_per_day:
            continue
        specs = [models.resolve(name) for name in row.models] or list(models.models)
        missing = []
        for spec in specs:
            cost = prices.cost(spec.id, spec.context_window_tokens or _HUGE_TOKENS, 0, 0)
            if cost is None or cost.currency != row.budget_currency:
                missing.append(spec.id)
        if missing:
            names = ", ".join(missing[:_NAMED])
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            remedy = "" if row.models else f", or name the models of this caller in callers[{index}].models"
            yield (
                f"callers[{index}].budget_per_day: a budget needs prices, and in {row.budget_currency} there is none"
                f" for requests of any size to {names}{more}; add rows [[prices]]{remedy}"
            )
