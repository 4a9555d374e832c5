"""Rows of usage as somebody wants to see them."""

import csv
import io
from datetime import date
from typing import Any

import pytest

from edgeclient.cli.usage_view import as_bars, as_csv, as_data, as_table, grouped, iso, money, number_of, short
from edgeclient.core.accounts import UsageRow

DAY = 20_000
NANOS = 1_000_000_000


def row(caller: str = "a", model: str = "qwen-plus", *, day: int = DAY, cost: float = 1.0, **over: int) -> UsageRow:
    sums = {"requests": 10, "attempts": 11, "prompt_tokens": 1000, "completion_tokens": 200}
    return UsageRow(
        day=day, caller=caller, model=model, currency="CNY", cost_nanos=round(cost * NANOS), **(sums | over)
    )


def free(caller: str = "a") -> UsageRow:
    return UsageRow(day=DAY, caller=caller, model="sim-echo", requests=5, prompt_tokens=70)


def test_sums_are_added_by_what_is_asked_for() -> None:
    rows = [row("a"), row("a", day=DAY + 1), row("b", cost=9.0), row("a", "qwen-max")]

    by_caller = grouped(rows, ("caller",))
    assert [(each.caller, each.requests, each.cost_nanos // NANOS) for each in by_caller] == [
        ("b", 10, 9),
        ("a", 30, 3),
    ]
    by_day = grouped(rows, ("day", "caller"))
    assert [(each.day - DAY, each.caller) for each in by_day] == [(0, "b"), (0, "a"), (1, "a")]
    assert [each.requests for each in grouped(rows, ())] == [40]


def test_money_of_different_currencies_is_never_added_up() -> None:
    dollars = UsageRow(day=DAY, caller="a", model="m", currency="USD", cost_nanos=NANOS)

    assert len(grouped([row(), dollars, free()], ("caller",))) == 3


def test_the_table_has_totals_and_only_columns_that_say_something() -> None:
    rows = grouped([row("device-7", cost=12.5), row("camera", cost=0.25), free()], ("caller",))
    lines = as_table(rows, ("caller",)).splitlines()

    assert lines[0].split() == ["caller", "requests", "attempts", "input", "output", "cost"]
    assert lines[1].split() == ["device-7", "10", "11", "1,000", "200", "CNY", "12.50"]
    assert lines[3].endswith("no price")
    assert lines[4].split()[:2] + lines[4].split()[-2:] == ["total", "20", "CNY", "12.75"]
    assert len(lines) == 6  # a total for each currency, none of all


def test_what_was_saved_and_what_is_not_sure_have_their_columns_when_there_is_some() -> None:
    facts: dict[str, Any] = {
        "from_cache": 3,
        "pinned": 1,
        "saved_nanos": NANOS,
        "batched": 2,
        "batch_saved_nanos": NANOS // 2,
    }
    special = row(failed=4, reasoning_tokens=9, uncertain=2, uncertain_nanos=3 * NANOS)
    special.add(UsageRow(day=DAY, caller="a", model="qwen-plus", **facts))
    head, line = as_table([special], ("caller",)).splitlines()

    for name in ("failed", "reasoning", "not asked", "half price", "saved", "perhaps billed"):
        assert name in head
    assert "CNY 1.50" in line
    assert line.endswith("2, CNY 3.00")


def test_json_and_csv_have_all_digits_and_dates() -> None:
    rows = grouped([row(cost=0.000000001)], ("day", "caller"))
    (data,) = as_data(rows, ("day", "caller"))
    (line,) = csv.DictReader(io.StringIO(as_csv(rows, ("day", "caller"))))

    assert (data["day"], data["cost"], data["prompt_tokens"]) == ("2024-10-04", 1e-09, 1000)
    assert (line["day"], float(line["cost"]), line["currency"]) == ("2024-10-04", 1e-09, "CNY")
    assert "model" not in data


def test_there_is_a_chart_for_each_currency_and_of_tokens_without_prices() -> None:
    dollars = UsageRow(day=DAY, caller="b", model="m", currency="USD", cost_nanos=NANOS)
    charts = as_bars([row(), dollars, free()], ("caller",), width=60, blocks=False)
    assert [line for line in charts.splitlines() if line.startswith("Cost")] == ["Cost in CNY", "Cost in USD"]

    assert as_bars([free("x")], ("caller",), width=60, blocks=False).startswith("Tokens\nx  #")
    assert as_bars([], ("caller",), width=60, blocks=False) == ""


def test_a_long_chart_is_cut() -> None:
    rows = grouped([row(f"c-{number}", cost=number + 1) for number in range(30)], ("caller",))

    assert as_bars(rows, ("caller",), width=60, blocks=False).splitlines()[-1] == "... and 5 more"


@pytest.mark.parametrize(
    ("nanos", "expected"),
    [(0, "0.00"), (12_500_000_000, "12.50"), (1_234_560_000_000, "1,234.56"), (12_300_000, "0.0123"), (4, "4e-09")],
)
def test_money_has_as_many_digits_as_say_something(nanos: int, expected: str) -> None:
    assert money(nanos) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (99_999, "99,999"),
        (123_456, "123k"),
        (1_234_567, "1.23M"),
        (7_800_000_000, "7.8G"),
        (10**14, "100,000G"),
    ],
)
def test_counts_are_short(number: int, expected: str) -> None:
    assert short(number) == expected


def test_days_are_dates() -> None:
    assert iso(0) == "1970-01-01"
    assert iso(number_of(date(2026, 11, 22))) == "2026-11-22"
