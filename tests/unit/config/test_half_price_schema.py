from typing import Any

import pytest

from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.config.setting import SettingError

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"min_lines": 11, "max_lines": 10}, "min_lines: 11 is above max_lines, which is 10"),
        ({"max_bytes": MIB}, f"max_line_bytes: {6 * MIB} is above max_bytes, which is {MIB}"),
        ({"settle_s": 10, "request_timeout_s": 20}, "settle_s: 10 is below request_timeout_s, 20"),
        ({"mode": "chat", "base_url": "http://relay.example"}, "base_url: would send the API key in plaintext"),
    ],
)
def test_what_does_not_fit_together_is_told(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        HalfPriceConfig(**values)

    assert [problem] == [each[: len(problem)] for each in caught.value.problems]


def test_the_file_of_a_batch_fits_the_memory_of_a_node() -> None:
    config = HalfPriceConfig()

    assert 3 * config.max_bytes <= 24 * MIB  # its lines, its form, and what the engine holds of it
    assert config.max_line_bytes <= config.max_bytes


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingError, match="mode"):
        HalfPriceConfig(mode="disk")
