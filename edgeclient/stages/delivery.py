"""How a call is given an answer that was not generated for it: told as what it is, and as one piece to a stream.

Nothing was paid for it here, so nothing of it is counted as paid; what the original has cost stays in the answer.
"""

from edgeclient.core.cache_events import AnswerReused
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.v1 import chat_pb2


async def deliver(call: Call, response: chat_pb2.ChatResponse) -> Reply:
    """Give the answer; it belongs to the call from now on, and its source says where it comes from."""
    mark(call, response)
    message = response.message
    delta = Delta(content=message.content, reasoning=message.reasoning_content, tool_calls=tuple(message.tool_calls))
    if call.emit is not None and (delta.content or delta.reasoning or delta.tool_calls):
        call.committed = True
        await call.emit(delta)
    return Reply(response=response)


def mark(call: Call, response: chat_pb2.ChatResponse) -> None:
    """Tell of call and answer alike that it was made for another request."""
    response.attempt_count = 0
    call.attempt_count = 0
    call.shared = True
    call.source = response.source
    call.target = response.target
    call.served_as = response.model


def reused(call: Call, response: chat_pb2.ChatResponse, *, source: str, store: str = "") -> AnswerReused:
    """The fact that it was."""
    usage = response.usage
    return AnswerReused(
        call_id=call.id,
        caller=call.caller,
        model=call.model.id if call.model else "",
        source=source,
        store=store,
        age_s=call.cache_age_s,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_nanos=usage.cost_nanos,
        currency_code=usage.currency_code,
    )
