"""Server-sent events: what is tolerated, what is refused."""

import pytest

from edgeclient.core.errors import Uncertain
from edgeclient.upstream.sse import Frame, SseParser


def frames(*chunks: bytes, limit_bytes: int = 1000) -> list[Frame]:
    parser = SseParser(limit_bytes=limit_bytes)
    found = [frame for chunk in chunks for frame in parser.feed(chunk)]
    return [*found, *parser.finish()]


@pytest.mark.parametrize(
    "body",
    [
        b"data: x\n\n",
        b"data:x\n\n",
        b"data: x\r\n\r\n",
        b"\xef\xbb\xbfdata: x\n\n",
        b": keep-alive\n\ndata: x\n\n",
        b"id: 1\nretry: 10\nunknown: y\nnonsense\ndata: x\n\n",
        b"\n\n\ndata: x\n\n\n",
        b"data: x\n",
        b"data: x",
        b"data:\n\ndata: x\n\n",
    ],
)
def test_bent_formats_give_the_same_event(body: bytes) -> None:
    assert [Frame(b"x")] == frames(body)


def test_lines_of_data_are_joined() -> None:
    assert [Frame(b'{"a":\n1}')] == frames(b'data: {"a":\ndata:1}\n\n')


def test_byte_order_mark_may_be_cut() -> None:
    assert [Frame(b"x")] == frames(b"\xef", b"\xbb", b"\xbfdata: x\n\n")


def test_status_in_a_comment_is_read() -> None:
    body = b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling"}\n\ndata: y\n\n'

    found = frames(body)

    assert [Frame(b'{"code":"Throttling"}', "error", 429), Frame(b"y")] == found
    assert [frame.is_error for frame in found] == [True, False]


@pytest.mark.parametrize(("comment", "expected"), [(b"200", False), (b"503", True), (b"x", False), (b"99999", False)])
def test_only_an_http_error_makes_an_error(comment: bytes, expected: bool) -> None:  # noqa: FBT001  table
    (frame,) = frames(b":HTTP_STATUS/" + comment + b"\ndata: x\n\n")

    assert expected is frame.is_error


def test_error_event_without_data_is_not_lost() -> None:
    assert [Frame(b"", "error")] == frames(b"event: error\n\n")


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 100],
        [b"x" * 60, b"x" * 60],
        [b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: " + b"x" * 40 + b"\n", b"data: " + b"x" * 40 + b"\n\n"],
    ],
)
def test_event_beyond_the_limit_is_refused(chunks: list[bytes]) -> None:
    with pytest.raises(Uncertain, match="longer than 80 bytes"):
        frames(*chunks, limit_bytes=80)


def test_many_events_may_exceed_the_limit_of_one() -> None:
    assert len(frames(b"data: xxxxxxxxxx\n\n" * 100, limit_bytes=20)) == 100
