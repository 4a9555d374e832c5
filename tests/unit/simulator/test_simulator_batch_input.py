import json
from typing import Any

import pytest

from edgeclient.simulator.batch.input_file import CHAT_URL, TEST_MODEL, TEST_URL, LineError, read_input
from edgeclient.simulator.batch.rules import BatchRules


def line(custom_id: str = "a", *, model: str = "qwen-plus", url: str = CHAT_URL, **over: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": f"text of {custom_id}"}]}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body} | over


def text(*lines: dict[str, Any] | str) -> bytes:
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines).encode()


def errors(content: bytes, *, endpoint: str = CHAT_URL, **rules: Any) -> list[LineError]:
    lines, found = read_input(content, endpoint=endpoint, rules=BatchRules(**rules))
    assert bool(lines) is not bool(found)
    return found


def test_good_file_gives_its_lines_with_numbers_and_bodies() -> None:
    lines, found = read_input(text(line("a"), line("b")) + b"\r\n", endpoint=CHAT_URL, rules=BatchRules())

    assert [] == found
    assert [(1, "a"), (2, "b")] == [(each.number, each.custom_id) for each in lines]
    assert line("b")["body"] == json.loads(lines[1].body)


@pytest.mark.parametrize(
    ("second", "code", "param"),
    [
        ("{not json", "invalid_json_line", None),
        ('"text"', "invalid_json_line", None),
        ('{"custom_id": 7}', "invalid_json_line", None),
        ("", "invalid_json_line", None),
        (line("b", method="GET"), "invalid_method", "method"),
        (line("b", url="/v1/chat/completion"), "url_not_found", "url"),
        (line("b", url="/v1/embeddings"), "mismatched_url", "url"),
        (line("b", model=TEST_MODEL), "mismatched_test_url", "url"),
        (line("b", url=TEST_URL), "mismatched_test_url", "url"),
        (line("b", model="qwen-max"), "mismatched_model", "body.model"),
        (line("b", model="no-such-model"), "model_not_found", "body.model"),
        (line("b", model="qwen-plus-2025-07-28"), "model_not_found", "body.model"),
        (line("a"), "duplicate_custom_id", "custom_id"),
        (line("b") | {"custom_id": None}, "missing_required_parameter", "custom_id"),
        (line("b", body={"messages": []}), "missing_required_parameter", "body.model"),
    ],
)
def test_bad_line_is_told_by_code_parameter_and_number(second: Any, code: str, param: str | None) -> None:
    (error,) = errors(text(line("a"), second, line("c")))

    assert (code, param, 2) == (error.code, error.param, error.line)
    assert error.message.endswith(".")


def test_every_missing_field_is_told() -> None:
    assert ["custom_id", "method", "url", "body"] == [error.param for error in errors(b"{}")]


def test_texts_are_those_of_the_provider() -> None:
    (model,) = errors(text(line("a"), line("b", model="qwen-max")))
    (twice,) = errors(text(line("a"), line("a")))

    assert (
        "The model 'qwen-max' for this request does not match the rest of the batch. "
        "Each batch must contain requests for a single model."
    ) == model.message
    assert (
        "The custom_id 'a' for this request is a duplicate of another request. "
        "The custom_id parameter must be unique for each request in a batch."
    ) == twice.message


@pytest.mark.parametrize(
    ("content", "rules", "code"),
    [
        (b"", {}, "empty_file"),
        (b"\n", {}, "empty_file"),
        (text(line("a"), line("b")), {"file_lines": 1}, "too_many_lines"),
        (text(line("a")), {"line_bytes": 50}, "line_too_large"),
    ],
)
def test_file_outside_its_limits_is_refused(content: bytes, rules: dict[str, Any], code: str) -> None:
    assert [code] == [error.code for error in errors(content, **rules)]


def test_dry_run_has_smaller_limits() -> None:
    lines = [line(str(number), model=TEST_MODEL, url=TEST_URL) for number in range(3)]

    assert [] == read_input(text(*lines), endpoint=TEST_URL, rules=BatchRules())[1]
    codes = [error.code for error in errors(text(*lines), endpoint=TEST_URL, test_file_lines=2, test_file_bytes=99)]
    assert ["file_too_large", "too_many_lines"] == codes


def test_not_more_than_a_hundred_errors_are_told() -> None:
    assert 100 == len(errors(text(*["{}" for _ in range(500)])))
