"""Pieces of a stream become the answer that Chat would have given."""

from fakes.chat_service import Says, answer, stream

from edgeclient.client import Assembly
from edgeclient.v1 import chat_pb2

REQUEST = chat_pb2.ChatRequest(prompt="hi", include_reasoning=True)
SAYS = Says(
    pieces=("你", "好", "!"),
    reasoning="They greet.",
    tool_calls=(chat_pb2.ToolCall(id="c1", name="wave", arguments="{}"),),
    finish_reason=chat_pb2.FINISH_REASON_TOOL_CALLS,
)


def test_assembled_stream_equals_the_whole_answer() -> None:
    assembly = Assembly()
    for piece in stream(REQUEST, SAYS):
        assembly.add(piece)
    expected = answer(REQUEST, SAYS)
    expected.upstream_id = "up-1"

    assert expected == assembly.response()
    assert assembly.complete


def test_an_answer_that_begins_anew_is_the_last_one() -> None:
    assembly = Assembly()
    for piece in (
        chat_pb2.StreamChatResponse(content="Yes", reasoning_content="hm", target="a", tool_calls=SAYS.tool_calls),
        chat_pb2.StreamChatResponse(content="N", target="b", restarted=True),
        chat_pb2.StreamChatResponse(content="o", finish_reason=chat_pb2.FINISH_REASON_STOP, possibly_billed_count=1),
    ):
        assembly.add(piece)

    response = assembly.response()

    assert ("No", "", "b", 1) == (
        response.message.content,
        response.message.reasoning_content,
        response.target,
        response.possibly_billed_count,
    )
    assert not response.message.tool_calls


def test_cut_stream_is_not_complete() -> None:
    assembly = Assembly()
    assembly.add(chat_pb2.StreamChatResponse(content="half"))

    assert not assembly.complete
    assert assembly.response().message.content == "half"


def test_queued_request_has_a_job_and_no_message() -> None:
    assembly = Assembly()
    assembly.add(chat_pb2.StreamChatResponse(id="r", job_id="j"))

    assert assembly.complete
    assert chat_pb2.ChatResponse(id="r", job_id="j") == assembly.response()
