"""A road that answers by script: the prompt names the error to raise, any other prompt is answered."""

import builders

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.events import Event
from edgeclient.v1 import chat_pb2

ANSWER = "Yes, 97 degrees is hot."


class Road:
    """See the module.

    Attributes:
        script: Error by prompt.
        calls: What came.
        events: Takes what the parts around it observe.
    """

    def __init__(self) -> None:
        self.script: dict[str, Exception] = {}
        self.calls: list[Call] = []
        self.events: list[Event] = []

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        call.model, call.target = builders.model(), "dashscope"
        call.attempt_count = 1
        half = len(ANSWER) // 2
        if call.emit is not None:
            await call.emit(Delta(content=ANSWER[:half]))
        if call.request.prompt in self.script:
            raise self.script[call.request.prompt]
        if call.emit is not None:
            await call.emit(Delta(content=ANSWER[half:]))
        message = chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=ANSWER)
        response = chat_pb2.ChatResponse(
            message=message,
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            usage=chat_pb2.Usage(prompt_tokens=9, completion_tokens=7, total_tokens=16),
            model="qwen-plus",
            source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
            target="dashscope",
            attempt_count=1,
            upstream_id="chatcmpl-1",
        )
        return Reply(response=response)
