"""The limits that the provider publishes, by region; mid-2026, requests and tokens per minute.

Models with a dynamic line (qwen3.8) stand with the lowest of their tiers, which is where an account begins; it is a
soft line at the provider and a hard one here. Dated snapshots are far lower than their alias there: 60 requests.
"""

from collections.abc import Mapping
from typing import Final

from .model_limits import ModelLimits

_M: Final = 1_000_000
_SNAPSHOT: Final = ModelLimits(model="qwen*-20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]", rpm=60, tpm=100_000)

_BEIJING: Final = {
    "qwen3.8-max": (30_000, 5 * _M),
    "qwen3.8-flash": (30_000, 5 * _M),
    "qwen3.7-max": (30_000, 5 * _M),
    "qwen3.7-plus": (30_000, 5 * _M),
    "qwen3.6-plus": (30_000, 5 * _M),
    "qwen3.6-flash": (30_000, 10 * _M),
    "qwen3.5-plus": (30_000, 5 * _M),
    "qwen3.5-flash": (30_000, 10 * _M),
    "qwen3-max": (30_000, 5 * _M),
    "qwen3-max-2026-01-23": (600, _M),
    "qwen3-max-preview": (600, _M),
    "qwen-plus": (30_000, 5 * _M),
    "qwen-plus-latest": (15_000, 1_200_000),
    "qwen-flash": (30_000, 10 * _M),
    "qwen-max": (1_200, _M),
    "qwen-turbo": (1_200, 5 * _M),
    "qwen-long": (1_200, 3 * _M),
    "qwen3-coder-plus": (5_000, 5 * _M),
    "qwen3-coder-flash": (5_000, 5 * _M),
    "qwen3-vl-plus": (3_000, 5 * _M),
    "qwen3-vl-flash": (3_000, 5 * _M),
    "qwen-omni-turbo": (60, 100_000),
}
_SINGAPORE: Final = {
    "qwen3.8-max": (15_000, _M),
    "qwen3.8-flash": (15_000, _M),
    "qwen3.5-plus": (15_000, 5 * _M),
    "qwen3.5-flash": (15_000, 5 * _M),
    "qwen3-max": (600, _M),
    "qwen-plus": (15_000, 5 * _M),
    "qwen-flash": (600, 5 * _M),
    "qwen-max": (120, 100_000),
    "qwen-max-latest": (600, _M),
    "qwen-turbo": (240, 100_000),
    "qwen3-coder-plus": (2_400, 2 * _M),
    "qwen3-vl-plus": (1_200, _M),
}


def _rows(table: Mapping[str, tuple[int, int]]) -> tuple[ModelLimits, ...]:
    rows = [ModelLimits(model=model, rpm=rpm, tpm=tpm) for model, (rpm, tpm) in table.items()]
    return (*rows, _SNAPSHOT)


PROVIDER_LIMITS: Final = {"beijing": _rows(_BEIJING), "singapore": _rows(_SINGAPORE)}
