"""What the tests of validation share: a few models that differ in what matters, and a look at one request."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format

from edgeclient.config.schema import ChatConfig
from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.stages.validate.request import violations
from edgeclient.stages.validate.rules import rules
from edgeclient.v1 import chat_pb2

Examine = Callable[..., list[tuple[str, str]]]

MODELS = (
    ModelSpec(id="off", max_output_tokens=32_000, max_reasoning_tokens=80_000, thinking=Thinking.OFF),
    ModelSpec(
        id="on",
        max_output_tokens=64_000,
        max_reasoning_tokens=256_000,
        thinking=Thinking.ON,
        limits_reasoning=True,
        takes_effort=True,
        modalities=("image", "video"),
    ),
    ModelSpec(id="always", thinking=Thinking.ALWAYS, stream_only=True),
    ModelSpec(id="never", tools=False, json_mode=False, modalities=("image", "audio", "video")),
)


@pytest.fixture(scope="session")
def models() -> tuple[ModelSpec, ...]:
    return MODELS


@pytest.fixture(scope="session")
def examine() -> Examine:
    """Path and sentence of all that is wrong with a request, written as JSON, for one of the models."""
    table = rules(ChatConfig(max_messages=40))
    by_id = {model.id: model for model in MODELS}

    def found(fields: dict[str, Any], model: str = "off") -> list[tuple[str, str]]:
        request = json_format.ParseDict(fields, chat_pb2.ChatRequest())
        result = violations(request, by_id[model], table)
        assert result.count == len(result.listed)
        return [(each.field, each.description) for each in result.listed]

    return found
