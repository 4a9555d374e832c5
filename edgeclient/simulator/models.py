"""The models that the simulated cloud offers, with the traits on which the API's behaviour depends.

Sizes are those of the provider's model table of mid-2026 (contexts in tokens). A dated snapshot or an alias of a known
model (`qwen-plus-2025-07-28`, `qwen-plus-latest`, `qwen3.8-max-0902`) is served like the model it belongs to.
Beside them stands `sim-echo`: it answers with the text of the last user message, takes every parameter and never
thinks unless told to, so a test can choose the answer.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

K: Final = 1024
M: Final = 1_000_000
_ALIAS: Final = re.compile(r"-(latest|preview|\d{4}-\d{2}-\d{2}|\d{4})$")


class Thinking(StrEnum):
    """Whether a model reasons before it answers."""

    NO = "no"  # has no such switch
    OFF = "off"  # hybrid, off unless asked
    ON = "on"  # hybrid, on unless refused
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the table."""

    name: str
    context: int
    max_output: int
    max_reasoning: int = 0
    thinking: Thinking = Thinking.NO
    vision: bool = False  # takes content parts; a text model wants a plain string
    stream_only: bool = False
    thinking_needs_stream: bool = False  # open weights: thinking without stream is refused
    echo: bool = False


def _hybrid(name: str, context: int, output: int, reasoning: int, thinking: Thinking, *, vision: bool = False) -> Model:
    return Model(
        name=name,
        context=context,
        max_output=output,
        max_reasoning=reasoning,
        thinking=thinking,
        vision=vision,
    )


def _open(name: str) -> Model:
    return Model(
        name=name,
        context=128 * K,
        max_output=16 * K,
        max_reasoning=38 * K,
        thinking=Thinking.ON,
        thinking_needs_stream=True,
    )


def _open_thinking(name: str) -> Model:
    return Model(
        name=name,
        context=128 * K,
        max_output=32 * K,
        max_reasoning=80 * K,
        thinking=Thinking.ALWAYS,
        stream_only=True,
    )


_TABLE: Final = (
    _hybrid("qwen3.8-max", M, 131_072, 262_144, Thinking.ON, vision=True),
    _hybrid("qwen3.8-max-prime", M, 131_072, 262_144, Thinking.ON, vision=True),
    _hybrid("qwen3.8-flash", M, 131_072, 262_144, Thinking.ON, vision=True),
    _hybrid("qwen3.7-max", M, 64 * K, 256 * K, Thinking.ON),
    _hybrid("qwen3.7-plus", M, 64 * K, 256 * K, Thinking.ON, vision=True),
    _hybrid("qwen3.7-flash", M, 64 * K, 256 * K, Thinking.ON, vision=True),
    _hybrid("qwen3.6-max-preview", 256 * K, 64 * K, 128 * K, Thinking.ON),
    _hybrid("qwen3.6-plus", M, 64 * K, 80 * K, Thinking.ON, vision=True),
    _hybrid("qwen3.6-flash", M, 64 * K, 80 * K, Thinking.ON, vision=True),
    _hybrid("qwen3.5-plus", M, 64 * K, 80 * K, Thinking.ON, vision=True),
    _hybrid("qwen3.5-flash", M, 64 * K, 80 * K, Thinking.ON, vision=True),
    _hybrid("qwen3.5-27b", 256 * K, 64 * K, 80 * K, Thinking.ON),
    _hybrid("qwen3.5-35b-a3b", 256 * K, 64 * K, 80 * K, Thinking.ON),
    _hybrid("qwen3-max", 256 * K, 64 * K, 80 * K, Thinking.OFF),
    _hybrid("qwen-plus", M, 32 * K, 80 * K, Thinking.OFF),
    _hybrid("qwen-plus-us", M, 32 * K, 80 * K, Thinking.OFF),
    _hybrid("qwen-flash", M, 32 * K, 80 * K, Thinking.OFF),
    _hybrid("qwen-flash-us", M, 32 * K, 80 * K, Thinking.OFF),
    _hybrid("qwen-turbo", 128 * K, 16 * K, 38 * K, Thinking.OFF),
    _hybrid("qwen3-vl-plus", 256 * K, 32 * K, 80 * K, Thinking.OFF, vision=True),
    _hybrid("qwen3-vl-flash", 256 * K, 32 * K, 80 * K, Thinking.OFF, vision=True),
    Model(name="qwen-max", context=32 * K, max_output=8 * K),
    Model(name="qwen3-coder-plus", context=M, max_output=64 * K),
    Model(name="qwen3-coder-flash", context=M, max_output=64 * K),
    Model(name="qwen3-coder-next", context=256 * K, max_output=64 * K),
    Model(name="qwen-long", context=10 * M, max_output=32 * K),
    _open_thinking("qwq-plus"),
    _open_thinking("qvq-max"),
    _open_thinking("qwen3-235b-a22b-thinking-2507"),
    _open("qwen3-235b-a22b"),
    _open("qwen3-32b"),
    _open("qwen3-8b"),
    _open("qwen3-4b"),
    Model(name="qwen3.5-omni-flash", context=128 * K, max_output=8 * K, vision=True, stream_only=True),
    Model(name="qwen-omni-turbo", context=32 * K, max_output=2 * K, vision=True, stream_only=True),
    Model(
        name="sim-echo",
        context=10 * M,
        max_output=M,
        max_reasoning=K,
        thinking=Thinking.OFF,
        vision=True,
        echo=True,
    ),
)
MODELS: Final = {model.name: model for model in _TABLE}
EMBEDDING_MODELS: Final = {"text-embedding-v4": 1024, "text-embedding-v3": 1024}  # with their usual dimensions
_CREATED: Final = 1_750_000_000  # any moment, but always the same


def find_model(name: str) -> Model | None:
    """The row for `name`, or for the model of which `name` is a snapshot or alias."""
    return MODELS.get(name) or MODELS.get(_ALIAS.sub("", name))


def model_names() -> list[str]:
    """Every model, embeddings last."""
    return [*MODELS, *EMBEDDING_MODELS]


def list_models() -> dict[str, Any]:
    """The answer of GET /models."""
    data = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "system"} for name in model_names()]
    return {"object": "list", "data": data}
