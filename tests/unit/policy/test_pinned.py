"""A pinned answer is given to its question and to no other."""

from typing import Any

import pytest

from edgeclient.policy.pinned import Pinned, PinnedAnswers, normalised
from edgeclient.v1 import chat_pb2

ME = Pinned(questions=("Who are you?", "你是谁"), answer="The node of hall 7.")
TOOL = chat_pb2.Tool(function=chat_pb2.FunctionTool(name="read"))


def find(request: chat_pb2.ChatRequest, *pinned: Pinned, model_id: str = "qwen-plus", caller: str = "a") -> str | None:
    found = PinnedAnswers(pinned or (ME,)).find(request, model_id=model_id, caller=caller)
    return found.answer if found else None


def ask(**fields: Any) -> str | None:
    return find(chat_pb2.ChatRequest(**fields))


@pytest.mark.parametrize(
    "question",
    [
        "Who are you?",
        "who are you",
        "  WHO   are\nyou ?? ",
        "¿Who are you?!",
        "Ｗｈｏ ａｒｅ ｙｏｕ？",  # noqa: RUF001  the wide letters are the point
        "你是谁？",  # noqa: RUF001
    ],
)
def test_case_space_width_and_punctuation_around_do_not_matter(question: str) -> None:
    assert ME.answer == ask(prompt=question)


@pytest.mark.parametrize("question", ["Who are you, really?", "Who is you?", "Wer bist du?", "who areyou", "", "?"])
def test_anything_else_does(question: str) -> None:
    assert ask(prompt=question) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "Who are you?"},
        {"messages": [{"content": "Who are you?"}]},
        {"messages": [{"role": chat_pb2.ROLE_USER, "content": "Who are you?"}]},
        {"system": "Be brief.", "prompt": "Who are you?"},
        {"messages": [{"role": chat_pb2.ROLE_SYSTEM, "content": "Be brief."}], "prompt": "Who are you?"},
    ],
)
def test_one_question_is_answered_however_it_is_sent(fields: dict[str, Any]) -> None:
    assert ME.answer == ask(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"content": "hi"}], "prompt": "Who are you?"},
        {"messages": [{"content": "Who are you?"}, {"role": chat_pb2.ROLE_ASSISTANT, "content": "A node."}]},
        {"messages": [{"role": chat_pb2.ROLE_ASSISTANT, "content": "Who are you?"}]},
        {"messages": [{"parts": [{"text": "Who are you?"}]}]},
        {"prompt": "Who are you?", "tools": [TOOL]},
        {
            "prompt": "Who are you?",
            "response_format": chat_pb2.ResponseFormat(type=chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT),
        },
    ],
)
def test_question_within_something_else_is_left_to_the_model(fields: dict[str, Any]) -> None:
    assert ask(**fields) is None


def test_answer_for_one_caller_or_model_is_given_to_no_other() -> None:
    request = chat_pb2.ChatRequest(prompt="hi")
    pinned = Pinned(questions=("hi",), answer="A", models=frozenset({"qwen-max"}), callers=frozenset({"a"}))
    fallback = Pinned(questions=("hi",), answer="B", callers=frozenset({"a"}))

    assert "A" == find(request, pinned, fallback, model_id="qwen-max", caller="a")
    assert "B" == find(request, pinned, fallback, model_id="qwen-plus", caller="a")
    assert find(request, pinned, fallback, model_id="qwen-max", caller="b") is None


def test_question_of_punctuation_stays_what_it_is() -> None:
    assert "?" == normalised(" ? ")
    assert "A" == find(chat_pb2.ChatRequest(prompt="?"), Pinned(questions=("?",), answer="A"))


def test_long_prompt_is_no_question_and_costs_nothing() -> None:
    assert ask(prompt="Who are you?" + " " * 100_000) is None


def test_without_answers_there_is_none() -> None:
    assert PinnedAnswers().find(chat_pb2.ChatRequest(prompt="hi"), model_id="m", caller="a") is None
