"""Lines of a batch."""

import io

import pytest

from edgeclient.cli.batch_input import Item, chunked, count_items, items_of
from edgeclient.v1 import chat_pb2

NO_DEFAULTS = chat_pb2.ChatRequest()


def items(content: bytes, *, as_json: bool | None = None, defaults: chat_pb2.ChatRequest = NO_DEFAULTS) -> list[Item]:
    return list(items_of(io.BytesIO(content), as_json=as_json, defaults=defaults))


def prompts(found: list[Item]) -> list[str]:
    return [item.request.prompt if item.request else item.problem for item in found]


def test_blank_lines_count_as_lines_and_not_as_items() -> None:
    found = items(b"\n one \n\n  \ntwo")

    assert prompts(found) == ["one", "two"]
    assert [(item.index, item.line) for item in found] == [(0, 2), (1, 5)]
    assert count_items(io.BytesIO(b"\n one \n\n  \ntwo")) == 2


def test_windows_files_are_read() -> None:
    assert prompts(items("\ufeff一\r\n二\r\n".encode())) == ["一", "二"]
    assert prompts(items(b'\xef\xbb\xbf{"prompt": "x"}\r\n')) == ["x"]


def test_first_line_decides_about_the_format() -> None:
    assert prompts(items(b'{"prompt": "x"}\nplain')) == ["x", "line 2: not JSON: Expecting value at column 1"]
    assert prompts(items(b'plain\n{"prompt": "x"}')) == ["plain", '{"prompt": "x"}']


def test_told_format_is_obeyed() -> None:
    assert prompts(items(b'{"prompt": "x"}', as_json=False)) == ['{"prompt": "x"}']


def test_roles_of_both_spellings_are_read() -> None:
    (item,) = items(b'{"messages": [{"role": "system", "content": "a"}, {"role": "ROLE_USER", "content": "b"}]}')

    assert item.request
    assert [message.role for message in item.request.messages] == [chat_pb2.ROLE_SYSTEM, chat_pb2.ROLE_USER]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"[]", "not an object"),
        (b'{"id": [], "prompt": "x"}', "id: has to be"),
        (b'{"promt": "x"}', "promt"),
        (b'{"messages": [{"role": "boss", "content": "x"}]}', "boss"),
        (b'{"messages": "x"}', "messages"),
        (b'{"prompt": 1}', "prompt"),
        (b'{"prompt": "\\ud800"}', "line 1"),
        (b'{"prompt": "x\xff"}', "not UTF-8"),
        (b'{"a":' * 5000, "line 1"),
    ],
)
def test_wrong_line_says_what_is_wrong(line: bytes, problem: str) -> None:
    (item,) = items(line, as_json=True)

    assert item.request is None
    assert problem in item.problem


def test_line_that_is_too_long_fails_alone() -> None:
    stream = io.BytesIO(b"x" * 3000 + b"\nshort\n")
    found = list(items_of(stream, as_json=False, defaults=NO_DEFAULTS, line_limit_bytes=1000))

    assert "longer than 1000 bytes" in found[0].problem
    assert prompts(found)[1:] == ["short"]
    assert found[1].line == 2


def test_line_wins_over_defaults() -> None:
    defaults = chat_pb2.ChatRequest(model="m", system="s")
    (item,) = items(b'{"prompt": "x", "model": "own"}', defaults=defaults)

    assert item.request
    assert (item.request.model, item.request.system) == ("own", "s")


def test_hash_depends_on_what_shapes_the_answer_only() -> None:
    def hash_of(line: bytes, **defaults: str) -> str:
        return items(line, as_json=True, defaults=chat_pb2.ChatRequest(**defaults))[0].content_hash  # type: ignore[arg-type]

    plain = hash_of(b'{"prompt": "x"}')
    assert plain == hash_of(b'{ "prompt" : "x", "id": "n", "label": "l", "idempotency_key": "k" }')
    assert plain != hash_of(b'{"prompt": "y"}')
    assert plain != hash_of(b'{"prompt": "x"}', model="m")


def test_chunks_keep_both_limits() -> None:
    found = items(b"\n".join([b"x" * 100] * 7))
    size = found[0].size_bytes

    assert [len(chunk) for chunk in chunked(iter(found), most=3, most_bytes=10_000)] == [3, 3, 1]
    assert [len(chunk) for chunk in chunked(iter(found), most=100, most_bytes=2 * size)] == [2, 2, 2, 1]
    assert list(chunked(iter(()), most=3, most_bytes=1)) == []
