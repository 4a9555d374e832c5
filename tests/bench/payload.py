"""What is asked and answered, the same for every subject: 500 bytes of prompt, 800 bytes of answer, 50 pieces a stream.

The sizes are those of a short question with a log excerpt and a short answer; they are fixed so that figures of
different days can be compared at all.
"""

from msgspec.json import encode

from edgeclient.upstream.request_codec import SHORT_ANSWER_TOKENS
from edgeclient.v1 import chat_pb2

MODEL = "qwen-plus"
PROMPT = ("The boiler of house 7 reports 97 degrees at 3.1 bar. " * 10)[:500]
ANSWER = ("Ninety-seven degrees is close to the limit of this boiler, so lower the flow. " * 11)[:800]
PIECES = 50
_USAGE = {"prompt_tokens": 131, "completion_tokens": 178, "total_tokens": 309}
_COMMON = {"id": "chatcmpl-7c1f", "created": 1_763_800_000, "model": MODEL}


def chat_request(*, streamed: bool) -> chat_pb2.ChatRequest:
    """What a device sends. The daemon asks for a whole answer only if it is bounded to be short."""
    return chat_pb2.ChatRequest(model=MODEL, prompt=PROMPT, max_tokens=0 if streamed else SHORT_ANSWER_TOKENS)


def is_streamed(request: chat_pb2.ChatRequest) -> bool:
    """The daemon would have the provider stream the answer."""
    return not request.max_tokens


def chat_response() -> chat_pb2.ChatResponse:
    """What a device gets."""
    return chat_pb2.ChatResponse(
        id="01KAJ8GZ1Y8J4N1W3T5Q6R7S8V",
        message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=ANSWER),
        finish_reason=chat_pb2.FINISH_REASON_STOP,
        usage=_usage(),
        model=MODEL,
        target="dashscope",
        source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
        attempt_count=1,
        upstream_id="chatcmpl-7c1f",
    )


def stream_responses() -> list[chat_pb2.StreamChatResponse]:
    """What a device gets in pieces: the text, then what is known at the end."""
    step = len(ANSWER) // PIECES
    pieces = [chat_pb2.StreamChatResponse(content=ANSWER[at : at + step]) for at in range(0, len(ANSWER), step)]
    end = chat_pb2.StreamChatResponse(
        finish_reason=chat_pb2.FINISH_REASON_STOP,
        usage=_usage(),
        id="01KAJ8GZ1Y8J4N1W3T5Q6R7S8V",
        model=MODEL,
        source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
        target="dashscope",
        attempt_count=1,
        upstream_id="chatcmpl-7c1f",
    )
    return [*pieces, end]


def completion_request(*, stream: bool) -> bytes:
    """What the provider is sent."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    return encode(body | ({"stream_options": {"include_usage": True}} if stream else {}))


def completion() -> bytes:
    """What the provider answers."""
    message = {"role": "assistant", "content": ANSWER, "reasoning_content": ""}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return encode(_COMMON | {"object": "chat.completion", "choices": [choice], "usage": _USAGE})


def completion_events() -> list[bytes]:
    """What the provider streams: the text in pieces; the finish reason, the usage and the end are in the last one."""
    step = len(ANSWER) // PIECES
    events = [_event({"delta": {"content": ANSWER[at : at + step]}}) for at in range(0, len(ANSWER), step)]
    usage = b"data: " + encode(_COMMON | {"object": "chat.completion.chunk", "choices": [], "usage": _USAGE}) + b"\n\n"
    end = _event({"delta": {"content": ""}, "finish_reason": "stop"}) + usage + b"data: [DONE]\n\n"
    return [*events, end]


def _usage() -> chat_pb2.Usage:
    prompt, output, total = _USAGE.values()
    return chat_pb2.Usage(prompt_tokens=prompt, completion_tokens=output, total_tokens=total)


def _event(choice: dict[str, object]) -> bytes:
    chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, "finish_reason": None} | choice]}
    return b"data: " + encode(_COMMON | chunk) + b"\n\n"
