"""What an attempt at a call will use, and what it did use, in the words of `Quota`.

The text of a request is counted once, however often it is asked for while it waits; the counts of the newest few
thousand calls are remembered. The price is that of the estimate, without cached input, because nobody knows what the
provider has cached.
"""

from edgeclient.core.call import Call, Reply
from edgeclient.core.models import ModelSpec
from edgeclient.core.thinking import thinks
from edgeclient.policy.demand import Demand, Spent
from edgeclient.policy.pricing import Prices
from edgeclient.policy.token_estimate import TokenEstimate, count_request

_MOST_CALLS = 8192


class Demands:
    """See the module.

    Args:
        estimate: Estimates, and learns from what `spent` is told.
        prices: The prices.
        account: Account of the target that is asked; "": the first one.
    """

    def __init__(self, estimate: TokenEstimate, prices: Prices, *, account: str = "") -> None:
        self._estimate = estimate
        self._prices = prices
        self._account = account
        self._counted: dict[str, int] = {}

    def demand(self, call: Call, *, batch: bool = False) -> Demand:
        """What the next attempt at a call will use at most; its model is known.

        Args:
            call: The call.
            batch: It goes through the provider's batch interface.
        """
        model = _model(call)
        tokens = self._estimate.tokens(call.request, model, counted=self._count(call))
        cost = self._prices.cost(
            model.id,
            tokens.input_tokens,
            0,
            tokens.output_tokens,
            thinking=thinks(call.request.thinking, model),
            batch=batch,
        )
        return Demand(
            model=model.id,
            caller=call.caller,
            tokens=tokens.input_tokens + tokens.output_tokens,
            cost_nanos=0 if cost is None else cost.nanos,
            currency="" if cost is None else cost.currency,
            output_tokens=tokens.output_tokens,
            batch=batch,
            account=self._account,
        )

    def spent(self, call: Call, reply: Reply) -> Spent:
        """What an answered attempt did use; as much as was thought if the provider did not tell."""
        if not reply.response.HasField("usage"):
            demand = self.demand(call)
            return Spent(
                tokens=demand.tokens,
                cost_nanos=demand.cost_nanos,
                currency=demand.currency,
                output_tokens=demand.output_tokens,
            )
        usage, model = reply.response.usage, _model(call)
        self._estimate.learn(
            model.id,
            thinking=thinks(call.request.thinking, model),
            counted=self._count(call),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )
        self._counted.pop(call.id, None)
        return Spent(
            tokens=usage.prompt_tokens + usage.completion_tokens,
            cost_nanos=usage.cost_nanos,
            currency=usage.currency_code,
            output_tokens=usage.completion_tokens,
        )

    def _count(self, call: Call) -> int:
        counted = self._counted.get(call.id)
        if counted is None:
            if len(self._counted) >= _MOST_CALLS:
                del self._counted[next(iter(self._counted))]
            counted = self._counted[call.id] = count_request(call.request)
        return counted


def _model(call: Call) -> ModelSpec:
    if call.model is None:
        raise RuntimeError("the validation stage sets the model of every call")
    return call.model
