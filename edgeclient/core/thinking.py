"""Whether a model will reason before it answers: one decision, for the room that refuses and for the one that asks.

Reasoning is billed as output, and some things cannot be asked of a model that reasons, so the two must never disagree.
"""

from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.v1 import chat_pb2


def thinks(mode: int, model: ModelSpec) -> bool:
    """The model will reason before this answer.

    Args:
        mode: `ThinkingMode` of the request.
        model: The model that is asked.
    """
    if model.thinking in (Thinking.NEVER, Thinking.ALWAYS):
        return model.thinking is Thinking.ALWAYS
    if mode == chat_pb2.THINKING_MODE_UNSPECIFIED:
        return model.thinking is Thinking.ON
    return mode != chat_pb2.THINKING_MODE_OFF
