"""What is said about an answer."""

from fakes.chat_service import Says, answer

from edgeclient.cli.screen import Timing, facts_line
from edgeclient.v1 import chat_pb2

RESPONSE = answer(chat_pb2.ChatRequest(prompt="hi"), Says(pieces=("x",)))


def test_facts_are_complete() -> None:
    line = facts_line(RESPONSE, Timing(total_s=1.234, first_token_s=0.1))

    assert line == (
        "[qwen-plus, by beijing, 12 + 34 tokens, CNY 0.0025, first token 0.10 s, total 1.23 s, "
        "request 01JTESTREQUEST0000000000000]"
    )


def test_unknown_facts_are_left_out() -> None:
    line = facts_line(chat_pb2.ChatResponse(id="r", model="m"), Timing(total_s=1))

    assert line == "[m, total 1.00 s, request r]"


def test_cached_and_repeated_answers_say_so() -> None:
    response = chat_pb2.ChatResponse(
        id="r", model="m", source=chat_pb2.RESPONSE_SOURCE_STALE_CACHE, attempt_count=3, usage=chat_pb2.Usage()
    )
    response.usage.reasoning_tokens = 5

    assert facts_line(response, Timing(total_s=1)) == (
        "[m, cached, outdated, 0 + 0 tokens (5 reasoning), total 1.00 s, 3 attempts, request r]"
    )
