"""What an answer costs."""

import pytest

from edgeclient.config.row_schema import PriceConfig
from edgeclient.policy.pricing import Cost, PriceTable, ScaledPrices

TABLE = PriceTable(
    [
        PriceConfig(model="tiered", up_to_input_tokens=256_000, input_per_million=2.0, output_per_million=20.0),
        PriceConfig(model="tiered", up_to_input_tokens=1000, input_per_million=0.8, output_per_million=2.0),
        PriceConfig(
            model="flat", currency="USD", input_per_million=0.15, output_per_million=0.47, cached_per_million=0.016
        ),
    ]
)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (1000, Cost(nanos=1000 * 800 + 10 * 2000, currency="CNY")),
        (1001, Cost(nanos=1001 * 2000 + 10 * 20_000, currency="CNY")),
        (256_001, None),
    ],
)
def test_tier_is_picked_by_input_and_applies_to_the_whole(prompt: int, expected: Cost | None) -> None:
    assert expected == TABLE.cost("tiered", prompt, 0, 10)


def test_cached_input_has_its_own_price() -> None:
    assert Cost(nanos=600 * 150 + 400 * 16 + 100 * 470, currency="USD") == TABLE.cost("flat", 1000, 400, 100)


def test_cached_input_costs_as_input_without_a_price_of_its_own() -> None:
    assert TABLE.cost("tiered", 1000, 0, 0) == TABLE.cost("tiered", 1000, 500, 0)


def test_more_cached_than_sent_is_no_discount() -> None:
    assert TABLE.cost("flat", 100, 100, 0) == TABLE.cost("flat", 100, 5000, 0)


def test_unknown_model_has_no_price() -> None:
    assert TABLE.cost("other", 1, 0, 1) is None
    assert PriceTable([]).cost("flat", 1, 0, 1) is None


def test_fractions_of_a_billionth_are_rounded_once() -> None:
    table = PriceTable([PriceConfig(model="m", input_per_million=0.0004, output_per_million=0.0004)])

    assert Cost(nanos=1, currency="CNY") == table.cost("m", 1, 0, 1)  # 0.4 + 0.4, not 0 + 0


def test_free_is_a_price() -> None:
    table = PriceTable([PriceConfig(model="m", currency="USD")])

    assert Cost(nanos=0, currency="USD") == table.cost("m", 10, 0, 10)


def test_an_answer_with_reasoning_may_have_a_price_of_its_own() -> None:
    row = PriceConfig(model="m", input_per_million=0.8, output_per_million=2.0, thinking_per_million=8.0)

    assert Cost(nanos=100 * 800 + 10 * 2000, currency="CNY") == PriceTable([row]).cost("m", 100, 0, 10)
    assert Cost(nanos=100 * 800 + 10 * 8000, currency="CNY") == PriceTable([row]).cost("m", 100, 0, 10, thinking=True)
    assert TABLE.cost("flat", 100, 0, 10) == TABLE.cost("flat", 100, 0, 10, thinking=True)


def test_batch_takes_half_and_knows_no_cached_input() -> None:
    assert Cost(nanos=(1000 * 150 + 100 * 470) // 2, currency="USD") == TABLE.cost("flat", 1000, 400, 100, batch=True)


def test_a_row_may_go_by_any_name_of_its_model() -> None:
    table = PriceTable([PriceConfig(model="Qwen Plus")], resolve=lambda _name: "qwen-plus")

    assert (table.currency("qwen-plus"), table.currency("Qwen Plus")) == ("CNY", "")


def test_a_target_may_take_more_or_less_and_follows_the_table() -> None:
    table = PriceTable([PriceConfig(model="m", input_per_million=1, output_per_million=3)])
    cheap, free = ScaledPrices(table, factor=0.5), ScaledPrices(table, factor=0.0)
    assert cheap.cost("m", 1000, 0, 1000) == Cost(nanos=2_000_000, currency="CNY")
    assert free.cost("m", 1000, 0, 1000) == Cost(nanos=0, currency="CNY")
    assert cheap.cost("other", 1000, 0, 1000) is None
    table.apply([PriceConfig(model="m", input_per_million=2, output_per_million=6, batch_factor=0.25, currency="USD")])
    assert cheap.cost("m", 1000, 0, 1000) == Cost(nanos=4_000_000, currency="USD")
    assert cheap.cost("m", 1000, 0, 1000, batch=True) == Cost(nanos=1_000_000, currency="USD")
