"""How many tokens a request will have. The true counts below come from the tokenizer that the provider ships."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from builders import chat_request, model

from edgeclient.core.models import Thinking
from edgeclient.policy.token_estimate import (
    DETAILED_IMAGE_TOKENS,
    IMAGE_TOKENS,
    REASONING_TOKENS,
    TokenEstimate,
    count_request,
    count_text,
)
from edgeclient.v1 import chat_pb2

_FILE = Path(__file__).with_name("token_samples.jsonl")
SAMPLES = [json.loads(line) for line in _FILE.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample['kind']}-{sample['tokens']}")
def test_a_request_is_never_below_the_truth_and_not_far_above(sample: dict[str, Any]) -> None:
    envelope = 8  # what the provider adds to one message
    counted = count_request(chat_request(messages=[chat_pb2.Message(content=sample["text"])]))

    assert sample["tokens"] + envelope <= counted <= 2 * sample["tokens"] + 40


def test_most_texts_are_above_the_truth_even_without_their_envelope() -> None:
    below = [sample for sample in SAMPLES if count_text(sample["text"]) < sample["tokens"]]

    assert len(below) <= len(SAMPLES) * 0.05


def test_everything_that_is_sent_is_counted() -> None:
    word = "boiler " * 50
    plain = count_request(chat_request(prompt="hi"))
    function = chat_pb2.FunctionTool(name="f", description=word, parameters=word)
    call = chat_pb2.ToolCall(id="1", name="f", arguments=word)
    parts = [chat_pb2.ContentPart(text=word), chat_pb2.ContentPart(image=chat_pb2.Media(url="https://x/y.png"))]
    form = chat_pb2.ResponseFormat(json_schema=word)

    more = {
        "system": chat_request(prompt="hi", system=word),
        "history": chat_request(prompt="hi", messages=[chat_pb2.Message(content=word)]),
        "calls": chat_request(prompt="hi", messages=[chat_pb2.Message(tool_calls=[call])]),
        "reasoning": chat_request(prompt="hi", messages=[chat_pb2.Message(reasoning_content=word)]),
        "tools": chat_request(prompt="hi", tools=[chat_pb2.Tool(function=function)]),
        "form": chat_request(prompt="hi", response_format=form),
    }
    assert {} == {name: count_request(each) - plain for name, each in more.items() if count_request(each) < plain + 50}
    assert count_request(chat_request(messages=[chat_pb2.Message(parts=parts)])) > plain + IMAGE_TOKENS + 50


def test_a_picture_may_be_wanted_in_detail() -> None:
    picture = chat_pb2.ContentPart(image=chat_pb2.Media(data=b"...", mime_type="image/png"))
    detailed = chat_request(
        messages=[chat_pb2.Message(parts=[picture])], extra_json='{"vl_high_resolution_images":true}'
    )

    assert count_request(detailed) > DETAILED_IMAGE_TOKENS


# output


def output(request: chat_pb2.ChatRequest, estimate: TokenEstimate | None = None, **facts: object) -> int:
    spec = model(**facts)
    return (estimate or TokenEstimate()).tokens(request, spec, counted=10).output_tokens


def test_what_the_caller_permits_is_the_length_of_the_answer() -> None:
    assert output(chat_request(max_tokens=77)) == 77


def test_reasoning_is_added_where_the_limit_does_not_include_it() -> None:
    asked = chat_request(max_tokens=77, thinking=chat_pb2.THINKING_MODE_ON)
    assert output(asked) == 77 + REASONING_TOKENS
    assert output(asked, limits_reasoning=True) == 77
    assert output(asked, max_reasoning_tokens=500) == 577
    asked.thinking_budget_tokens = 200
    assert output(asked) == 277


def test_no_answer_is_longer_than_the_model_can_write() -> None:
    assert output(chat_request(max_tokens=99_999), max_output_tokens=4096, max_reasoning_tokens=0) == 4096


def test_without_a_limit_the_length_of_this_models_answers_is_learnt() -> None:
    estimate, rng = TokenEstimate(assumed_output_tokens=1024), Random(1)
    assert output(chat_request(), estimate) == 1024
    lengths = [rng.randrange(50, 150) for _ in range(500)]
    for length in lengths:
        estimate.learn("qwen-plus", thinking=False, counted=10, prompt_tokens=10, completion_tokens=length)

    assert 130 <= output(chat_request(), estimate) <= 190
    assert output(chat_request(thinking=chat_pb2.THINKING_MODE_ON), estimate) == 1024 + REASONING_TOKENS
    assert output(chat_request(), estimate, id="another", thinking=Thinking.NEVER) == 1024


# input


@pytest.mark.parametrize("ratio", [0.5, 0.95, 1.4, 2.5])
def test_after_some_answers_97_of_100_requests_stay_below_however_the_provider_counts(ratio: float) -> None:
    estimate, rng, below = TokenEstimate(), Random(7), 0
    for number in range(2100):
        counted = rng.randrange(50, 5000)
        true_tokens = int(counted * ratio * rng.uniform(0.7, 1.0))
        told = estimate.tokens(chat_request(), model(), counted=counted).input_tokens
        if number >= 100:
            below += told < true_tokens
            assert told < 2.2 * counted * ratio
        estimate.learn("qwen-plus", thinking=False, counted=counted, prompt_tokens=true_tokens, completion_tokens=9)

    assert below / 2000 < 0.05


def test_the_first_estimate_is_the_operators() -> None:
    assert TokenEstimate(factor=2.0).tokens(chat_request(), model(), counted=100).input_tokens == 201


def test_memory_is_bounded() -> None:
    estimate = TokenEstimate()
    for number in range(2000):
        estimate.learn(f"m-{number}", thinking=False, counted=10, prompt_tokens=9, completion_tokens=9)

    assert len(estimate._ratios) <= 256
    assert len(estimate._lengths) <= 512
