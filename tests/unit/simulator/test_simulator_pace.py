from typing import Any

import pytest

from edgeclient.simulator.pace import ModelPace, Pace, Paces

USUAL = Pace(latency_s=0.1, ttft_s=0.2, token_s=0.01, jitter=0, seed=1)


def test_row_changes_only_what_it_names() -> None:
    paces = Paces(USUAL, [ModelPace(model="*-flash", ttft_ms=50, tokens_per_s=200)])
    flash = paces.of("qwen-flash")

    assert (0.1, 0.05, 0.005) == (flash.latency_s, flash.ttft_s, flash.token_s)
    assert USUAL == paces.of("qwen-plus")


def test_first_row_that_matches_holds_and_rows_can_be_replaced() -> None:
    paces = Paces(USUAL, [ModelPace(model="qwen-plus", ttft_ms=1), ModelPace(model="*", ttft_ms=2)])
    before = [paces.of(name).ttft_s for name in ("qwen-plus", "other")]
    paces.set_rows([])

    assert [0.001, 0.002] == before
    assert 0.2 == paces.of("qwen-plus").ttft_s


def test_long_prompt_delays_the_first_token() -> None:
    pace = Paces(USUAL, [ModelPace(model="*", prefill_tokens_per_s=1_000)]).of("m")

    assert pytest.approx(0.2 + 3) == pace.first_token_s(3_000)
    assert not pace.immediate


@pytest.mark.parametrize("over", [{"ttft_ms": -1}, {"tokens_per_s": -1}, {"prefill_tokens_per_s": -1}, {"jitter": 2}])
def test_impossible_pace_is_refused_by_its_field(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(over))):
        ModelPace(model="m", **over)
