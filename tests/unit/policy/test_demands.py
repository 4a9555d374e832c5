"""What a call will use, and what it did use."""

from builders import call, chat_request, model

from edgeclient.config.row_schema import PriceConfig
from edgeclient.core.call import Reply
from edgeclient.policy.demand import Demand, Spent
from edgeclient.policy.demands import Demands
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.v1 import chat_pb2

ROW = PriceConfig(model="qwen-plus", input_per_million=1.0, output_per_million=10.0, thinking_per_million=20.0)


def made(*rows: PriceConfig) -> Demands:
    return Demands(TokenEstimate(), PriceTable(rows))


def test_a_demand_is_the_estimate_and_its_price() -> None:
    got = made(ROW).demand(call(request=chat_request(prompt="hi", max_tokens=100)))

    assert got == Demand(
        model="qwen-plus",
        caller="device-7",
        tokens=got.tokens,
        cost_nanos=(got.tokens - 100) * 1000 + 100 * 10_000,
        currency="CNY",
        output_tokens=100,
    )
    assert got.tokens < 150


def test_reasoning_and_batch_have_their_own_prices() -> None:
    asked = chat_request(max_tokens=100, thinking=chat_pb2.THINKING_MODE_ON, thinking_budget_tokens=50)
    live, batch = (made(ROW).demand(call(request=asked), batch=batch) for batch in (False, True))

    assert live.cost_nanos == (live.tokens - 150) * 1000 + 150 * 20_000
    assert (batch.batch, batch.cost_nanos) == (True, live.cost_nanos // 2)


def test_without_a_price_there_is_no_currency() -> None:
    got = made().demand(call())

    assert (got.cost_nanos, got.currency) == (0, "")


def test_what_was_spent_is_what_the_provider_told_and_it_is_learnt_from() -> None:
    demands, asked = made(ROW), call(request=chat_request(max_tokens=10))
    before = demands.demand(asked)
    usage = chat_pb2.Usage(prompt_tokens=400, completion_tokens=7, cost_nanos=5, currency_code="CNY")

    spent = demands.spent(asked, Reply(response=chat_pb2.ChatResponse(usage=usage)))
    assert spent == Spent(tokens=407, cost_nanos=5, currency="CNY", output_tokens=7)
    assert demands.demand(asked).tokens > before.tokens


def test_if_the_provider_did_not_tell_it_was_as_much_as_was_thought() -> None:
    demands, asked = made(ROW), call(request=chat_request(max_tokens=10))
    demand = demands.demand(asked)

    spent = demands.spent(asked, Reply())
    assert (spent.tokens, spent.cost_nanos, spent.currency) == (demand.tokens, demand.cost_nanos, "CNY")


def test_a_text_is_counted_once_and_the_counts_are_bounded() -> None:
    demands = made()
    asked = call(request=chat_request(prompt="hi"))
    first = demands.demand(asked)
    asked.request.prompt = "a much longer text, which nobody counts again " * 10
    assert demands.demand(asked) == first
    for number in range(9000):
        demands.demand(call(id=f"c-{number}", model=model()))

    assert len(demands._counted) <= 8192
