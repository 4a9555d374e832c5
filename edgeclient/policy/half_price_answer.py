"""The answer of a half-price interface as that of its request: whose it is, what its caller wants to see, the price."""

from collections.abc import Callable

from edgeclient.core.call import Call
from edgeclient.core.models import ModelSpec
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.core.thinking import thinks
from edgeclient.policy.pricing import Cost, Prices
from edgeclient.v1 import chat_pb2


class Answers:
    """Finishes answers: implements `FinishAnswer`.

    Args:
        prices: Prices them.
        model_of: The model of an id.
        target: Name of what answered, if the answer does not say.
    """

    def __init__(self, prices: Prices, *, model_of: Callable[[str], ModelSpec], target: str) -> None:
        self._prices = prices
        self._model_of = model_of
        self._target = target

    def __call__(self, call: Call, response: chat_pb2.ChatResponse) -> BatchAnswered:
        """Complete the answer in place; tells what it cost, and would have cost live."""
        response.id = call.id
        response.target = response.target or self._target
        response.attempt_count = call.attempt_count
        if not call.request.include_reasoning:
            response.message.reasoning_content = ""
        half, full = (self._cost(call, response, batch=batch) for batch in (True, False))
        usage = response.usage
        if half is not None:
            usage.cost_nanos, usage.currency_code = half.nanos, half.currency
        return BatchAnswered(
            caller=call.caller,
            model=response.model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_nanos=half.nanos if half is not None else 0,
            full_cost_nanos=full.nanos if full is not None else 0,
            currency_code=half.currency if half is not None else "",
        )

    def _cost(self, call: Call, response: chat_pb2.ChatResponse, *, batch: bool) -> Cost | None:
        if not response.HasField("usage"):
            return None
        usage = response.usage
        return self._prices.cost(
            response.model,
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            thinking=thinks(call.request.thinking, call.model or self._model_of(response.model)),
            batch=batch,
        )
