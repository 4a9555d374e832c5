import json
from typing import Any

import msgspec
import pytest

from edgeclient.simulator.chat_request import ChatRequest
from edgeclient.simulator.completion import Completion, complete, is_repeatable, prompt_tokens_of
from edgeclient.simulator.models import MODELS, Thinking, find_model
from edgeclient.simulator.text_model import is_chinese

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": about,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    for name, about in (("get_time", "clock of a place"), ("get_weather", "weather forecast"))
]


def chat(text: str = "What is the weather in Berlin?", **over: Any) -> ChatRequest:
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": text}]} | over
    return msgspec.convert(body, ChatRequest)


def answer(request: ChatRequest, *, seed: int = 1) -> Completion:
    model = find_model(request.model)
    assert model is not None
    return complete(request, model, seed=seed, prompt_tokens=prompt_tokens_of(request))


def text_of(completion: Completion) -> str:
    return "".join(completion.choices[0].content)


def test_same_seed_gives_the_same_answer_and_another_seed_another() -> None:
    assert answer(chat()) == answer(chat())
    assert text_of(answer(chat(), seed=1)) != text_of(answer(chat(), seed=2))


def test_chinese_question_gets_a_chinese_answer() -> None:
    assert is_chinese(text_of(answer(chat("我的订单什么时候发货"))))
    assert not is_chinese(text_of(answer(chat())))


def test_echo_gives_the_last_user_text() -> None:
    assert text_of(answer(chat("a b c", model="sim-echo"))) == "a b c"


@pytest.mark.parametrize("over", [{"max_tokens": 3}, {"max_completion_tokens": 3}])
def test_limit_cuts_the_answer_with_reason_length(over: dict[str, Any]) -> None:
    completion = answer(chat(**over))

    assert (completion.completion_tokens, completion.choices[0].finish_reason) == (3, "length")


def test_max_tokens_bounds_the_answer_but_not_the_reasoning() -> None:
    completion = answer(chat(model="qwen3.8-max", max_tokens=2))

    assert completion.reasoning_tokens > 2
    assert len(completion.choices[0].content) == 2


def test_max_completion_tokens_bounds_reasoning_and_answer() -> None:
    assert answer(chat(model="qwen3.8-max", max_completion_tokens=5)).completion_tokens == 5


def test_thinking_follows_the_model_unless_told_otherwise() -> None:
    assert answer(chat(model="qwen3.8-max")).reasoning_tokens > 0
    assert answer(chat(model="qwen3.8-max", enable_thinking=False)).reasoning_tokens == 0
    assert answer(chat(model="qwen-plus")).reasoning_tokens == 0
    assert answer(chat(model="qwen-plus", enable_thinking=True)).reasoning_tokens > 0


def test_stop_string_ends_the_answer_before_it() -> None:
    assert text_of(answer(chat("one STOP two", model="sim-echo", stop="STOP"))) == "one "


def test_question_calls_the_tool_that_it_touches() -> None:
    (call,) = answer(chat(tools=TOOLS)).choices[0].calls

    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Berlin"})


def test_forced_tool_is_called_and_none_calls_none() -> None:
    forced = {"type": "function", "function": {"name": "get_time"}}

    assert [call.name for call in answer(chat(tools=TOOLS, tool_choice=forced)).choices[0].calls] == ["get_time"]
    assert answer(chat(tools=TOOLS, tool_choice="none")).choices[0].calls == []


def test_parallel_calls_are_given_only_when_asked_for() -> None:
    question = "weather and time"

    assert len(answer(chat(question, tools=TOOLS, parallel_tool_calls=True)).choices[0].calls) == 2
    assert len(answer(chat(question, tools=TOOLS)).choices[0].calls) == 1


def test_answer_after_a_tool_quotes_its_result() -> None:
    messages = [
        {"role": "user", "content": "What is the weather in Berlin?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain, 12 degrees"},
    ]
    completion = answer(chat(messages=messages, tools=TOOLS))

    assert "rain, 12 degrees" in text_of(completion)
    assert completion.choices[0].finish_reason == "stop"


def test_json_mode_answers_an_object() -> None:
    wanted = {"type": "json_object"}

    assert isinstance(json.loads(text_of(answer(chat("Answer in json", response_format=wanted)))), dict)


def test_n_gives_different_choices() -> None:
    texts = {"".join(choice.content) for choice in answer(chat(n=3)).choices}

    assert len(texts) > 1


@pytest.mark.parametrize("name", ["qwen-plus-latest", "qwen-plus-2025-07-28", "qwen3.8-max-0902", "qwen-plus"])
def test_snapshot_is_served_like_its_model(name: str) -> None:
    model = find_model(name)

    assert model is not None
    assert name.startswith(model.name)


def test_unknown_model_is_not_found() -> None:
    assert find_model("gpt-x") is None
    assert MODELS["qwen3.8-max"].thinking is Thinking.ON


def test_variant_of_a_sample_differs_and_is_repeatable() -> None:
    model = MODELS["qwen-plus"]
    texts = [text_of(complete(chat(), model, seed=1, prompt_tokens=9, variant=number)) for number in (0, 1, 2, 1)]

    assert 3 == len(set(texts))
    assert texts[1] == texts[3]


@pytest.mark.parametrize(
    ("over", "repeatable"), [({}, False), ({"temperature": 0}, True), ({"temperature": 0.7}, False)]
)
def test_temperature_zero_asks_for_the_same_answer(over: dict[str, Any], *, repeatable: bool) -> None:
    assert repeatable == is_repeatable(chat(**over))
    assert is_repeatable(chat(seed=7, **over))
